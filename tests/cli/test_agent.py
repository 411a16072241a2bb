"""`toolgate agent` and `toolgate runs`, with a script in the model's place and a real API on loopback."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
import yaml

from toolgate.cli.agent import _changed
from toolgate.cli.output import clean
from toolgate.llm.count import IMAGES
from toolgate.llm.prompts import templates

Terminal = Callable[..., Any]
LOOK = {"tool": "shop_list_items", "arguments": {"kind": "tea"}}
ADDS = [
    {"text": "I add a pot.", "calls": [{"tool": "shop_add_item", "arguments": {"name": "Pot"}}]},
    {"text": "The pot is added."},
]


@pytest.fixture
def scripted(shop: Path, tmp_path: Path) -> Callable[[list[dict[str, Any]]], None]:
    """Writes what the model says."""

    def write(lines: list[dict[str, Any]]) -> None:
        (tmp_path / "script.yaml").write_text(yaml.safe_dump(lines))
        file = tmp_path / "toolgate.yaml"
        settings = yaml.safe_load(file.read_text()) if file.exists() else {}
        settings["providers"] = {"play": {"kind": "scripted", "script": "script.yaml"}}
        file.write_text(yaml.safe_dump(settings))

    return write


def test_in_a_pipe_only_the_answer_is_the_result_and_the_rest_is_for_people(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Let me look.", "calls": [LOOK]}, {"text": "There are items."}])

    ran = terminal("agent", "What is there?")

    assert (ran.code, ran.out) == (0, "There are items.\n")
    assert "asks play/scripted-1" in ran.err
    assert '→ shop_list_items {"kind": "tea"}' in ran.err
    assert "done: 2 steps, 1 calls" in ran.err


def test_an_answer_that_nobody_sees_before_it_is_whole_begins_anew_when_it_breaks_off(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "There are many items.", "errors": [{"after": 2}]}])

    piped, streamed = (terminal("agent", "What is there?", "--output", output) for output in ("text", "stream-json"))

    assert (piped.code, piped.out) == (0, "There are many items.\n")
    assert streamed.code == 5


def test_a_task_of_high_risk_is_one_to_the_router(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Nothing is there."}])

    for more in ((), ("--high-risk",)):
        terminal("agent", "What is there?", *more)

    events = terminal("audit", "list", "--json").value
    assert [event["errand"]["high_risk"] for event in events if event["type"] == "model.outcome"] == [True, False]


def test_off_a_terminal_nobody_is_asked_and_the_run_waits_until_somebody_has_answered(terminal: Terminal, scripted: Any) -> None:
    scripted(ADDS)

    waiting = terminal("agent", "Add a pot", "--output", "json")
    run = waiting.value["run"]
    [question] = terminal("approvals", "list", "--json").value
    terminal("approvals", "approve", question["id"])
    done = terminal("runs", "resume", run)

    assert (waiting.code, waiting.value["status"]) == (6, "waiting")
    assert (question["tool"], question["acting_for"]) == ("shop_add_item", [question["caller"].removeprefix("agent:")])
    assert (done.code, done.out) == (0, "The pot is added.\n")
    [listed] = terminal("runs", "list", "--json").value
    assert (listed["run"], listed["status"], listed["calls"]) == (run, "done", 1)


@pytest.mark.parametrize(("approve", "code"), [("always", None), ("never", "approval_needed")])
def test_a_yes_beforehand_lets_calls_through_and_a_no_refuses_them(
    terminal: Terminal, scripted: Any, approve: str, code: str | None
) -> None:
    scripted(ADDS)

    ran = terminal("agent", "Add a pot", "--approve", approve, "--output", "stream-json")

    events = [json.loads(line) for line in ran.out.splitlines()]
    assert (ran.code, events[0]["type"], events[-1]["type"], events[-1]["status"]) == (0, "started", "finished", "done")
    assert [event["code"] for event in events if event["type"] == "called"] == [code]


def test_a_run_is_shown_again_with_its_bill(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Let me look.", "calls": [LOOK]}, {"text": "There are items."}])
    run = terminal("agent", "What is there?", "--output", "json").value["run"]

    shown = terminal("runs", "show", run)
    as_json = terminal("runs", "show", run, "--json").value

    assert '→ shop_list_items {"kind": "tea"}' in shown.err
    assert shown.out.startswith("There are items.\n")
    assert "shop_list_items\t1\t0 failed\t$0.005\n" in shown.out
    assert "total\t\t$0.005 of it estimated\t$0.005\n" in shown.out
    assert [event["type"] for event in as_json] == ["started", "routed", "said", "calling", "called", "said", "finished"]
    assert terminal("runs", "show", "nothing").code == 1


def test_steps_that_are_used_up_end_with_7_and_a_resume_goes_on(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Let me look.", "calls": [LOOK]}, {"text": "As far as I know."}, {"text": "All."}])

    ended = terminal("agent", "What is there?", "--max-steps", "1")
    run = ended.err.rsplit(" ", 1)[1].strip()
    done = terminal("agent", "--resume", run)

    assert (ended.code, ended.out) == (7, "As far as I know.\n")
    assert f"it goes on with: toolgate agent --resume {run}" in ended.err
    assert (done.code, done.out) == (0, "All.\n")


def test_a_resume_changes_of_a_run_what_is_typed_and_nothing_else(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted(
        [{"text": "Let me look.", "calls": [LOOK]}, {"text": "As far as I know."}, {"text": "More.", "calls": [LOOK]}, {"text": "All."}]
    )

    ended = terminal("agent", "What is there?", "--max-steps", "1", "--max-cost", "0.05", "--tools", "shop_*")
    run = ended.err.rsplit(" ", 1)[1].strip()
    done = terminal("agent", "--resume", run, "--max-steps", "3", "--tools", "nothing_*")

    with closing(sqlite3.connect(tmp_path / "state" / "toolgate" / "toolgate.db")) as store:
        (body,) = store.execute("SELECT body FROM record WHERE kind = 'run'").fetchone()
    limits = json.loads(body)["task"]["limits"]
    assert (limits["cost"], limits["steps"]) == (50_000, 3)
    assert "shop_list_items is not among the tools of this task" in done.err


def test_a_task_may_come_by_a_pipe_and_has_to_come_somehow(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "You said: {{task}}"}])

    def piped(text: str) -> Any:
        program = [sys.executable, "-m", "toolgate", "agent"]
        with Popen(program, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
            out, err = process.communicate(text, timeout=60)
        return process.returncode, out, err

    assert piped("Hello\n")[:2] == (0, "You said: Hello\n")
    code, out, err = piped("")
    assert (code, out) == (1, "")
    assert "there is no task" in err


def test_ctrl_c_leaves_a_run_that_goes_on(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Too late.", "delay": "30s"}])
    # Whoever started the tests in the background may have had Ctrl-C ignored, which is inherited.
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, "-m", "toolgate", "agent", "Wait"]
    with Popen(command, preexec_fn=heard, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("asks "):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    scripted([{"text": "Here I am."}])
    [run] = terminal("runs", "list", "--json").value

    assert process.returncode == 130
    assert f"toolgate agent --resume {run['run']}" in err
    assert run["status"] == "cancelled"
    assert terminal("agent", "--resume", run["run"]).out == "Here I am.\n"


def test_on_a_terminal_the_person_is_asked_and_can_talk_on(terminal: Terminal, scripted: Any) -> None:
    scripted([*ADDS, {"text": "You are welcome."}])
    leader, follower = pty.openpty()
    with Popen([sys.executable, "-m", "toolgate", "agent"], stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        said = ""
        for wait, answer in (("you> ", "Add a pot"), ("Let it through?", "y"), ("you> ", "Thanks"), ("you> ", "")):
            said = _until(leader, wait)
            os.write(leader, f"{answer}\n".encode())
        process.wait(timeout=60)
    os.close(leader)

    assert "You are welcome." in said
    assert process.returncode == 0
    [run] = terminal("runs", "list", "--json").value
    assert (run["status"], run["steps"], run["calls"]) == ("done", 3, 1)


def test_a_person_at_the_terminal_may_change_the_arguments_in_their_editor(
    terminal: Terminal, scripted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(ADDS)
    editor = tmp_path / "editor"
    editor.write_text(f"#!{sys.executable}\nimport sys\nopen(sys.argv[1], 'w').write('{{\"name\": \"kettle\"}}')\n")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    leader, follower = pty.openpty()
    with Popen([sys.executable, "-m", "toolgate", "agent", "Add a pot"], stdin=follower, stdout=follower, stderr=follower) as process:
        os.close(follower)
        _until(leader, "Let it through?")
        os.write(leader, b"e\n")
        said = _until(leader, "The pot is added.")
        process.wait(timeout=60)
    os.close(leader)

    assert "kettle" in said


def test_arguments_are_what_they_look_like_in_the_editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor, seen = tmp_path / "editor", tmp_path / "seen"
    editor.write_text(f"#!{sys.executable}\nimport shutil, sys\nshutil.copy(sys.argv[1], {str(seen)!r})\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    arguments = {"to": "ada\u202e\x9b2J\x1b[8m ü"}

    _changed(arguments)

    text = seen.read_text()
    assert json.loads(text) == arguments
    assert text.isascii() is False
    assert clean(text) == text


def _until(leader: int, text: str) -> str:
    """What the terminal shows until `text` is there."""
    said = b""
    while text.encode() not in said:
        ready, _, _ = select.select([leader], [], [], 30)
        assert ready, said
        piece = os.read(leader, 4096)
        said += piece
    return said.decode()


def test_a_run_is_gone_on_with_by_who_may_have_runs_alone(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted(ADDS)
    run = terminal("agent", "Add a pot", "--output", "json").value["run"]
    file = tmp_path / "toolgate.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "stdio": {"roles": ["nobody"]}}))

    refused = terminal("runs", "resume", run)

    assert refused.code == 6
    assert "may not run the agent" in refused.err


def test_a_task_that_is_no_text_is_refused(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "Hello."}])

    ran = terminal("agent", "caf\udce9")

    assert (ran.code, ran.out) == (1, "")
    assert "what you say is not UTF-8" in ran.err


def test_a_tool_of_any_name_is_told_of_in_one_line(terminal: Terminal, scripted: Any) -> None:
    scripted([{"calls": [{"tool": "none\ndone: 9 steps, all is well", "arguments": {}}]}, {"text": "All."}])

    ran = terminal("agent", "What is there?")

    assert [line for line in ran.err.splitlines() if line.startswith("done: ")] == [ran.err.splitlines()[-1]]


def test_amounts_that_are_none_are_refused(terminal: Terminal) -> None:
    for amount in ("much", "-1", "nan"):
        assert terminal("agent", "x", "--max-cost", amount).code == 1


def test_a_run_is_judged_at_the_terminal_once_and_its_model_wins_or_loses_by_it(terminal: Terminal, scripted: Any) -> None:
    scripted([{"text": "There are items."}])
    run = terminal("agent", "What is there?", "--output", "json").value["run"]

    first = terminal("runs", "feedback", run, "good", "--json")
    again = terminal("runs", "feedback", run, "bad")
    unknown = terminal("runs", "feedback", "nothing", "bad")
    [line] = terminal("providers", "wins", "--json").value["wins"]
    [stats] = terminal("providers", "stats", "--by", "prompt", "--json").value["stats"]

    assert first.value == {"run": run, "verdict": "good", "model": "play/scripted-1"}
    assert (again.code, unknown.code) == (1, 1)
    assert "you have judged it" in again.err
    assert (line["task"], line["model"], line["win_rate"], line["judged"]) == ("tool_use", "scripted-1", 1, 1)
    assert stats["prompt"].startswith(templates()["system"].version)
    assert stats["total_requests"] == 1


def test_who_may_have_no_runs_by_policy_has_none_at_the_terminal(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted([{"text": "Hello."}])
    file = tmp_path / "toolgate.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "stdio": {"roles": ["readonly"], "tier": "pro"}}))

    ran = terminal("agent", "Hello", "--json")

    assert (ran.code, ran.out, ran.error["code"]) == (6, "", "not_permitted")


CAT = b"\x89PNG\r\n\x1a\n the cat"


def test_pictures_are_files_that_go_with_the_task_and_what_is_said_later(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted([{"text": "A cat."}, {"text": "Two cats."}])
    (tmp_path / "cat.png").write_bytes(CAT)

    ran = terminal("agent", "What is this?", "--image", "cat.png", "--json")
    more = terminal("agent", "And these?", "--image", "cat.png", "--image", "cat.png", "--resume", ran.value["run"], "--json")

    assert (ran.value["answer"], more.value["answer"]) == ("A cat.", "Two cats.")
    assert [event["prompt"]["tokens"] // IMAGES["llama"] for event in _asked(terminal)] == [1, 3]  # it is counted by that family


def test_a_picture_is_shown_to_no_model_without_vision_and_that_is_said(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted([{"text": "A cat."}])
    file = tmp_path / "toolgate.yaml"
    settings = yaml.safe_load(file.read_text())
    settings["providers"]["play"]["models"] = {"scripted-1": {"vision": False}}
    file.write_text(yaml.safe_dump(settings))
    (tmp_path / "cat.png").write_bytes(CAT)

    ran = terminal("agent", "What is this?", "--image", "cat.png", "--json")

    assert (ran.code, ran.value["status"]) == (5, "failed")
    assert "play/scripted-1: it sees no images" in ran.value["reason"]
    assert "For pictures set up, or name, a model with vision" in ran.value["reason"]
    assert not _asked(terminal)


def test_what_is_no_picture_or_goes_with_no_task_is_said_before_anything_runs(terminal: Terminal, scripted: Any, tmp_path: Path) -> None:
    scripted([])
    (tmp_path / "cat.png").write_bytes(CAT)
    (tmp_path / "notes.png").write_text("a cat")

    none = terminal("agent", "What is this?", "--image", "notes.png", "--json")
    gone = terminal("agent", "What is this?", "--image", "dog.png", "--json")
    alone = terminal("agent", "--resume", "8d1b", "--image", "cat.png", "--json")

    assert none.error["message"].startswith("notes.png does not begin as a picture does of a type that is taken: image/png, ")
    assert "dog.png" in gone.error["message"]
    assert alone.error["message"] == "a picture goes with what you say of it: give --image together with TASK"
    assert [ran.code for ran in (none, gone, alone)] == [1, 1, 1]


def _asked(terminal: Terminal) -> list[Any]:
    """What the audit has of requests to models, the oldest first."""
    return list(reversed(terminal("audit", "list", "--type", "model.intent", "--json").value))
