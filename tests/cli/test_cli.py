from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from toolgate import __version__
from toolgate.cli import NOUNS, root
from toolgate.cli.output import clean

Terminal = Callable[..., Any]
HEAVY = ("mcp", "aiohttp", "pydantic", "rich", "starlette", "jsonschema_rs", "uvicorn", "httpx2", "yaml", "opentelemetry", "asyncio")


def test_help_imports_nothing_heavy_and_names_every_command(tmp_path: Path) -> None:
    program = (
        "import sys, contextlib, io, json\n"
        "from toolgate.cli import main\n"
        "text = io.StringIO()\n"
        "with contextlib.redirect_stdout(text):\n"
        "    code = main(['--help'])\n"
        "print(json.dumps({'code': code, 'help': text.getvalue(), 'modules': sorted(sys.modules)}))\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)

    told = json.loads(ran.stdout)
    assert told["code"] == 0
    assert [noun for noun in NOUNS if f"  {noun} " not in told["help"]] == []
    assert [name for name in HEAVY if name in told["modules"]] == []


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([noun, "--help"] for noun in NOUNS)])
def test_help_is_there_for_every_noun(terminal: Terminal, words: list[str]) -> None:
    ran = terminal(*words)

    assert ran.code == 0
    assert ran.out.startswith("toolgate, version " + __version__ if words == ["--version"] else "Usage: toolgate")


def every_command() -> list[list[str]]:
    context = click.Context(root)
    paths = []
    for noun in NOUNS:
        command = root.get_command(context, noun)
        paths += [[noun, verb] for verb in command.commands] if isinstance(command, click.Group) else [[noun]]
    return paths


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_every_command_takes_json_and_says_what_it_does(terminal: Terminal, path: list[str]) -> None:
    ran = terminal(*path, "--help")

    assert ran.code == 0
    assert "--json" in ran.out
    assert len(ran.out.splitlines()[2].strip()) > 20


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tool"], "No such command 'tool'. Did you mean 'tools'?"),
        (["tools", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["tools", "show"], "Missing argument 'NAME'."),
        (["tools", "list", "--integraton"], "No such option '--integraton'. Did you mean '--integration'?"),
        (["serve", "--port", "70000"], "Invalid value for '--port': 70000 is not in the range 0<=x<=65535."),
        (["serve", "--base-url", "https://example.com"], "--base-url: only with --openapi"),
        (["connect", "emacs"], "there is no client 'emacs' here; there is claude-desktop, claude-code, vscode, cursor"),
    ],
)
def test_wrong_usage_ends_with_1_and_says_what_would_be_right(terminal: Terminal, words: list[str], message: str) -> None:
    for_people, for_programs = terminal(*words), terminal(*words, "--json")

    assert (for_people.code, for_programs.code) == (1, 1)
    assert for_people.err.splitlines()[0] == f"error: {message}"
    assert (for_programs.error["code"], for_programs.error["message"]) == ("usage", message)
    assert for_people.out == for_programs.out == ""


def test_without_a_command_the_help_is_told_and_nothing_was_done(terminal: Terminal) -> None:
    ran = terminal()

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Usage: toolgate")


def test_a_traceback_cannot_steer_a_terminal(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_DEBUG", "1")

    ran = terminal("tools", "list", "--config", "no\x1b[31m\x9b2J.yaml")

    assert "Traceback" in ran.err
    assert clean(ran.err) == ran.err


def test_python_m_toolgate_is_the_command(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, "-m", "toolgate", "connect", "--json"], capture_output=True, text=True, timeout=60, cwd=tmp_path)

    assert ran.returncode == 0
    assert [client["client"] for client in json.loads(ran.stdout)] == ["claude-desktop", "claude-code", "vscode", "cursor"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminal_has_no_letters_for_is_written_as_escapes(shop: Path, encoding: str) -> None:
    description = json.loads((shop / "openapi.json").read_text())
    description["paths"]["/items"]["get"]["summary"] = "品を一覧する"
    (shop / "openapi.json").write_text(json.dumps(description))

    ran = subprocess.run(
        [sys.executable, "-m", "toolgate", "tools", "show", "shop_list_items"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
        cwd=shop.parents[1],
    )

    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b"\\u54c1\\u3092\\u4e00\\u89a7\\u3059\\u308b" in ran.stdout
