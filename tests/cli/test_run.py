"""`toolgate run spec-to-issues` against the stand-in for GitHub."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Event
from typing import Any

import pytest
import yaml
from anyio.from_thread import start_blocking_portal

from toolgate.cli.demo import _write_settings
from toolgate.standin import GitHub, serving

Terminal = Callable[..., Any]
EXAMPLES = Path(__file__).parents[2] / "examples"
SPEC = EXAMPLES / "feature-spec.md"
GO = ("run", "spec-to-issues", str(SPEC), "--repo", "acme/rocket", "--provider", "scripted", "--config", "toolgate.yaml")
TITLES = ["Landing", "Choose a pad before the start", "Steer the descent", "Follow the landing", "Write down what happened"]


@dataclass
class Hub:
    """The stand-in, and what it heard."""

    github: GitHub = field(default_factory=GitHub)
    heard: list[str] = field(default_factory=list)
    at: dict[int, Callable[[], None]] = field(default_factory=dict)
    """Done when it has heard so many writes."""

    def hear(self, method: str, target: str) -> None:
        self.heard.append(f"{method} {target.partition('?')[0]}")
        writes = sum(not one.startswith("GET") for one in self.heard)
        if method != "GET" and writes in self.at:
            self.at.pop(writes)()

    def made(self) -> list[dict[str, Any]]:
        return self.github.issues[2:]


@pytest.fixture
def hub(terminal: Terminal, tmp_path: Path) -> Iterator[Hub]:
    there = Hub()
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal())
        url = stack.enter_context(portal.wrap_async_context_manager(serving(there.github.app(there.hear))))
        _write_settings(tmp_path, url)
        yield there


def test_a_specification_becomes_linked_issues_and_twice_creates_nothing_twice(terminal: Terminal, hub: Hub) -> None:
    ran = terminal(*GO, "--approve", "always")
    again = terminal(*GO, "--approve", "always", "--json")

    assert (ran.code, again.code) == (0, 0)
    assert [issue["title"] for issue in hub.made()] == TITLES
    assert hub.github.blockers == {5: [4], 6: [5], 7: [6]}
    assert [issue["parent_issue_url"].rpartition("/")[2] for issue in hub.made()[1:]] == ["3"] * 4
    assert "## Acceptance criteria\n\n- [ ] A page shows height" in hub.made()[3]["body"]
    assert "created #4 choose-a-pad-before-the-start https://github.com/acme/rocket/issues/4" in ran.out
    assert "choose-a-pad-before-the-start: Choose a pad before the start [specification]" in ran.err
    assert (again.value["status"], again.value["created"]["counts"]["existing"]) == ("done", 5)


def test_a_dry_run_shows_the_draft_and_the_real_one_creates_what_was_shown(terminal: Terminal, hub: Hub) -> None:
    shown = terminal(*GO, "--dry-run")

    assert (shown.code, hub.heard) == (0, [])
    assert "steer-the-descent: Steer the descent [specification] (after choose-a-pad-before-the-start)" in shown.out


def test_off_a_terminal_nothing_is_created_until_somebody_says_yes_and_the_same_command_goes_on(terminal: Terminal, hub: Hub) -> None:
    waiting = terminal(*GO)
    writes = [one for one in hub.heard if not one.startswith("GET")]
    [question] = terminal("approvals", "list", "--json", "--config", "toolgate.yaml").value
    terminal("approvals", "approve", question["id"], "--config", "toolgate.yaml")
    done = terminal(*GO)

    assert (waiting.code, writes, done.code) == (6, [], 0)
    assert [issue["title"] for issue in hub.made()] == TITLES
    assert len(terminal("runs", "list", "--json", "--config", "toolgate.yaml").value) == 1


def test_where_it_is_not_to_be_approved_nothing_is_created_and_that_is_refused(terminal: Terminal, hub: Hub) -> None:
    ran = terminal(*GO, "--approve", "never")

    assert (ran.code, hub.made()) == (6, [])
    assert "The issues were not made. internal_create_issues needs a person's yes" in ran.out


def test_killed_in_the_middle_the_same_command_goes_on_and_creates_what_is_missing(terminal: Terminal, hub: Hub) -> None:
    with Popen([sys.executable, "-m", "toolgate", *GO, "--approve", "always"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        hub.at[3] = lambda: os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
    done = terminal(*GO, "--approve", "always")

    assert (process.returncode, done.code) == (-9, 0)
    assert [issue["title"] for issue in hub.made()] == TITLES
    assert hub.github.blockers == {5: [4], 6: [5], 7: [6]}
    [run] = terminal("runs", "list", "--json", "--config", "toolgate.yaml").value
    assert run["status"] == "done"


def test_a_long_answer_is_read_to_its_end(terminal: Terminal, hub: Hub, tmp_path: Path) -> None:
    settings = json.loads((tmp_path / "toolgate.yaml").read_text())
    (tmp_path / "toolgate.yaml").write_text(json.dumps({**settings, "agent": {"result_bytes": 2000}}))
    spec = "# Rover\n\n" + "".join(f"## Wheel number {number} turns\n\n- It turns\n\n" for number in range(15))
    (tmp_path / "rover.md").write_text(spec)

    ran = terminal(*GO[:2], "rover.md", *GO[3:], "--approve", "always", "--json")

    assert (ran.code, ran.value["created"]["counts"]["created"], len(hub.made())) == (0, 16, 16)


def test_while_it_is_under_way_the_same_command_begins_nothing_beside_it(terminal: Terminal, hub: Hub) -> None:
    stopped = Event()

    def stop() -> None:
        os.kill(process.pid, signal.SIGSTOP)
        stopped.set()

    with Popen([sys.executable, "-m", "toolgate", *GO, "--approve", "always"], stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        hub.at[3] = stop
        assert stopped.wait(60)
        beside = terminal(*GO, "--approve", "always")
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=60)

    assert (process.returncode, beside.code) == (0, 7)
    assert "is under way" in beside.err
    assert [issue["title"] for issue in hub.made()] == TITLES


def test_a_model_drafts_by_a_schema_and_is_told_what_does_not_fit(terminal: Terminal, hub: Hub, tmp_path: Path) -> None:
    def an_issue(key: str, *after: str) -> dict[str, Any]:
        listed = {"acceptance": ["It lands"], "labels": ["engine"], "depends_on": list(after)}
        return {"key": key, "title": f"The {key} works", "body": "Because.", **listed}

    circle = {"summary": "s", "issues": [an_issue("legs", "fuel"), an_issue("fuel", "legs")]}
    right = {"summary": "s", "issues": [an_issue("legs", "fuel"), an_issue("fuel")]}
    said = [{"text": text} for text in ("Sure!", json.dumps(circle), json.dumps(right))]
    (tmp_path / "script.yaml").write_text(yaml.safe_dump(said))
    settings = json.loads((tmp_path / "toolgate.yaml").read_text())
    (tmp_path / "toolgate.yaml").write_text(json.dumps({**settings, "providers": {"play": {"kind": "scripted", "script": "script.yaml"}}}))

    ran = terminal(*GO[:5], "--config", "toolgate.yaml", "--approve", "always", "--no-tracking", "--json")

    assert ran.code == 0
    assert ran.value["bill"]["by_model"]["play/scripted-1"]["requests"] == 1
    assert [(issue["title"], issue["labels"]) for issue in hub.made()] == [
        ("The fuel works", [{"name": "engine"}]),
        ("The legs works", [{"name": "engine"}]),
    ]


def test_what_is_no_specification_or_repository_is_refused(terminal: Terminal, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "empty.md").write_text(" \n")

    assert terminal("run", "spec-to-issues", str(SPEC), "--repo", "rocket").code == 1
    assert terminal("run", "spec-to-issues", "empty.md", "--repo", "acme/rocket").code == 1
    assert terminal("run", "spec-to-issues", "missing.md", "--repo", "acme/rocket").code == 1
