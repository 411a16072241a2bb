"""Code and tests as callers run them: through the gate, in a real sandbox."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from toolgate.app import App, open_app
from toolgate.backends import Code
from toolgate.calls import Outcome
from toolgate.sandbox.sandbox import Unavailable, find_sandbox
from toolgate.settings import Settings, bundled
from toolgate.testing import a_principal

ADMIN = replace(a_principal("admin"), tier="enterprise")
ON = Code(enabled=True, seconds=60.0, cpu_seconds=60)  # this machine may be slow
TEST = "import unittest\nclass T(unittest.TestCase):\n    def test_good(self): pass\n    def test_bad(self): self.assertEqual(1, 2)\n"


@asynccontextmanager
async def an_app(folder: Path, code: Code) -> AsyncIterator[App]:
    shutil.copytree(bundled("tool-specs") / "internal", folder / "tool-specs" / "internal")
    async with open_app(Settings(tool_specs=(folder / "tool-specs",), data_dir=folder / "state", store="memory", code=code)) as app:
        yield app


@pytest.fixture(autouse=True)
async def _works() -> None:
    if isinstance(found := await find_sandbox(), Unavailable):
        pytest.skip(f"this machine has no sandbox: {found.why}")


async def run(app: App, tool: str = "execute_code", **arguments: Any) -> Outcome:
    return await app.gateway.call(f"internal_{tool}", arguments, ADMIN)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "import sys; print(sys.argv[1], sys.stdin.read(), open('a/b.txt').read())"),
        ("bash", 'echo "$1 $(cat) $(cat a/b.txt)"'),
        (
            "javascript",
            "import fs from 'node:fs'; console.log(process.argv[2], fs.readFileSync(0, 'utf8'), fs.readFileSync('a/b.txt', 'utf8'))",
        ),
        ("typescript", "const word: string = Deno.args[0]; console.log(word, 'in', await Deno.readTextFile('a/b.txt'))"),
    ],
)
async def test_a_program_has_arguments_input_and_files_in_every_language(tmp_path: Path, language: str, code: str) -> None:
    async with an_app(tmp_path, ON) as app:
        files = [{"path": "a/b.txt", "content": "file"}]

        outcome = await run(app, language=language, code=code, arguments=["word"], stdin="in", files=files)

        if outcome.problem is not None and "has no interpreter" in outcome.problem.message:
            pytest.skip(outcome.problem.message)
        assert outcome.structured["stdout"] == "word in file\n"
        assert (outcome.structured["status"], outcome.structured["exit_code"]) == ("finished", 0)


async def test_a_program_that_fails_or_takes_too_long_is_an_answer(tmp_path: Path) -> None:
    async with an_app(tmp_path, ON) as app:
        failed = await run(app, language="bash", code="echo no >&2; exit 7")
        slow = await run(app, language="bash", code="sleep 60", seconds=0.5)

    assert failed.ok
    assert (failed.structured["exit_code"], failed.structured["stderr"]) == (7, "no\n")
    assert (slow.structured["status"], slow.structured["exit_code"]) == ("time_limit", None)


@pytest.mark.parametrize("path", ["../up", "/etc/x", "a//b", "a/./b", "a/..", "-rf", "ü" * 128, "a\x00b"])
async def test_a_path_that_leads_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    async with an_app(tmp_path, ON) as app:
        outcome = await run(app, language="bash", code="true", files=[{"path": path, "content": ""}])

    assert outcome.problem is not None
    assert "path" in outcome.problem.message


async def test_what_is_run_is_a_file_and_no_folder_of_others(tmp_path: Path) -> None:
    async with an_app(tmp_path, ON) as app:
        outcome = await run(app, language="bash", code="true", files=[{"path": "main.sh/x", "content": ""}])

    assert outcome.problem is not None
    assert "'main.sh' is to be a file, and a folder of other files" in outcome.problem.message


async def test_tests_are_told_one_by_one(tmp_path: Path) -> None:
    async with an_app(tmp_path, ON) as app:
        outcome = await run(app, "run_tests", runner="unittest", files=[{"path": "test_it.py", "content": TEST}])

    if outcome.problem is not None:
        pytest.skip(outcome.problem.message)
    assert outcome.structured["passed"] is False
    assert outcome.structured["counts"] == {"passed": 1, "failed": 1, "error": 0, "skipped": 0}
    assert outcome.structured["tests"][0]["name"].startswith("test_bad")


async def test_pytest_runs_where_its_packages_are_given(tmp_path: Path) -> None:
    packages = Path(pytest.__file__).parents[1]
    async with an_app(tmp_path, ON.model_copy(update={"packages": packages})) as app:
        outcome = await run(app, "run_tests", runner="pytest", files=[{"path": "test_it.py", "content": "def test_good(): pass\n"}])

    if outcome.problem is not None or "No module named" in outcome.structured["stderr"] + outcome.structured["stdout"]:
        pytest.skip("these packages are for another Python, or not for everybody to read")
    assert (outcome.structured["passed"], outcome.structured["counts"]["passed"]) == (True, 1)


async def test_without_being_turned_on_there_is_no_such_tool_and_the_reason_is_told(tmp_path: Path) -> None:
    async with an_app(tmp_path, Code()) as app:
        outcome = await run(app, language="bash", code="true")
        (status,) = app.roster.status()

        assert outcome.problem is not None
        assert outcome.problem.code == "unknown_tool"
        assert "code: {enabled: true}" in status["absent"]["internal_execute_code"]


async def test_a_tier_without_the_feature_has_no_such_tool(tmp_path: Path) -> None:
    async with an_app(tmp_path, ON) as app:
        pro, enterprise = (app.gateway.visible(replace(a_principal("admin"), tier=tier)) for tier in ("pro", "enterprise"))

    assert "internal_execute_code" not in pro
    assert "internal_execute_code" in enterprise
