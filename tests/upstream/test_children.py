"""Servers that are child processes: held, begun again, ended with all that is theirs, whatever they do (F47)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.upstream.conftest import PLAIN, Behind, plain, settings_of
from toolgate.app import App
from toolgate.calls import Outcome, Text
from toolgate.testing import a_principal
from toolgate.upstream.child import Keeper, child

ADA = a_principal("reader")
STARTS = int(os.environ.get("TOOLGATE_FAULT_RUNS", "2")) * 80


async def call(app: App, name: str, /, **arguments: object) -> Outcome:
    return await app.gateway.call(name, arguments, ADA)


def text(outcome: Outcome) -> str:
    assert isinstance(outcome.content[0], Text)
    return outcome.content[0].text


def mentioned(word: str) -> list[int]:
    """The processes whose command line has `word`."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if word.encode() in (folder / "cmdline").read_bytes() and "\nState:\tZ" not in (folder / "status").read_text():
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


async def until(true: Callable[[], object]) -> None:
    with anyio.fail_after(60):
        while not true():
            await anyio.sleep(0.02)


async def test_a_childs_tools_are_called_and_its_environment_is_clean(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUR_SECRET", "x")

    async with behind(plain=plain(env={"THEIRS": "y"})) as app:
        said = await call(app, "plain_echo", text="hello")
        environment = json.loads(text(await call(app, "plain_environment")))

    assert (said.problem, text(said), said.effect) == (None, "hello", "none")
    assert environment["THEIRS"] == "y"
    assert environment.keys() - {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER"} == {"THEIRS"}


async def test_an_argument_whose_name_not_every_client_takes_has_another_here_and_its_own_there(behind: Behind) -> None:
    async with behind(one=plain("odd")) as app:
        said = await call(app, "one_odd", filter="x eq 1", top=3)
        past = await call(app, "one_odd", **{"filter": "x eq 1", "$filter": "y eq 2"})

    assert json.loads(text(said)) == {"$filter": "x eq 1", "top": 3}
    assert past.problem is not None
    assert (past.problem.code, past.effect) == ("invalid_arguments", "none")


async def test_a_child_that_crashes_is_begun_again_and_costs_only_the_call(behind: Behind) -> None:
    async with behind(one=plain(), two=plain()) as app:
        before = text(await call(app, "one_pid"))
        crashed = await call(app, "one_crash")
        other = await call(app, "two_echo", text="still here")
        after = text(await call(app, "one_pid"))

    assert crashed.problem is not None
    assert (crashed.problem.code, crashed.effect) == ("upstream_failed", "unknown")
    assert text(other) == "still here"
    assert before != after


async def test_tools_of_a_server_that_is_away_are_marked(behind: Behind) -> None:
    async with behind(one=plain(expose="search")) as app:
        there = await call(app, "describe_tool", name="one_echo")
    async with behind(one={"command": ["/no/such/program"], "expose": "search"}) as app:
        away = await call(app, "describe_tool", name="one_echo")
        found = await call(app, "search_tools", query="say it again")

    why = "one cannot be started: program: No such file or directory"
    assert there.structured["name"] == "one_echo"
    assert away.structured == {**there.structured, "unavailable": why}
    assert found.structured["tools"][0]["unavailable"] == why


async def test_what_a_child_wrote_last_is_told_when_it_ends_by_itself(behind: Behind, caplog: pytest.LogCaptureFixture) -> None:
    async with behind(one=plain()) as app:
        await call(app, "one_crash")
        await call(app, "one_pid")

    assert [record.getMessage() for record in caplog.records if "wrote last" in record.getMessage()] == [
        "one wrote last: I was told | to  [31mend"
    ]


async def test_of_many_definitions_that_are_none_some_are_told(behind: Behind, caplog: pytest.LogCaptureFixture) -> None:
    async with behind(one=plain("bad")) as app:
        said = await call(app, "one_echo", text="hello")

    assert text(said) == "hello"
    assert sum("is left out" in record.getMessage() for record in caplog.records) == 20
    assert "one: … 10 definitions more are left out" in caplog.text


async def test_a_child_that_crashes_by_what_it_is_asked_comes_back_each_time_as_quickly(behind: Behind) -> None:
    async with behind(one=plain()) as app:
        answers = []
        for turn in range(6):  # the pause would be 8 s by then
            await call(app, "one_crash")
            answers.append(text(await call(app, "one_echo", text=str(turn))))

    assert answers == ["0", "1", "2", "3", "4", "5"]


async def test_a_child_that_is_held_back_says_when_it_is_begun_again(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgate.upstream.upstream.FIRST", 1000.0)

    async with behind(one=plain()) as app:
        await call(app, "one_crash")
        refused = await call(app, "one_echo", text="too early")

    assert refused.problem is not None
    assert refused.problem.code == "suspended"
    assert refused.problem.message.startswith("one cannot be called now: one has ended; it is begun again in ")
    assert 25 < (refused.problem.retry_after or 0) <= 60


async def test_one_that_crashes_and_leaves_a_child_with_its_pipe_is_seen_to_be_gone(behind: Behind) -> None:
    with anyio.fail_after(60):
        async with behind(one=plain("family", defaults={"timeout": 300})) as app:
            crashed = await call(app, "one_crash")
            after = await call(app, "one_echo", text="back")

    assert crashed.problem is not None
    assert crashed.problem.code == "upstream_failed"
    assert text(after) == "back"


@pytest.mark.parametrize("habit", ["garbage", "flood", "deaf"])
async def test_a_child_with_bad_habits_serves_all_the_same(behind: Behind, habit: str) -> None:
    async with behind(plain=plain(habit)) as app:
        said = await call(app, "plain_echo", text="hello")

    assert text(said) == "hello"


async def test_one_that_never_answers_and_one_that_is_not_there_hold_up_nobody(behind: Behind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolgate.upstream.source.START_SECONDS", 1.0)

    with anyio.fail_after(60):  # less than a server that never answers would take
        async with behind(good=plain(), mute=plain("silent"), gone={"command": ["/no/such/program"]}) as app:
            await until(lambda: app.gateway.catalog.get("good_echo"))
            said = await call(app, "good_echo", text="hello")
            problems = {one["name"]: one["problem"] for one in app.roster.status()}

    assert text(said) == "hello"
    assert problems == {
        "good": None,
        "mute": "it has not answered yet",
        "gone": "gone cannot be started: program: No such file or directory",
    }


async def test_a_flood_that_nobody_asked_for_ends_the_conversation_and_not_the_others(behind: Behind) -> None:
    async with behind(loud=plain(), quiet=plain()) as app:
        flooded = await call(app, "loud_loud")
        said = await call(app, "quiet_echo", text="hello")
        again = await call(app, "loud_echo", text="back")

    assert flooded.problem is not None
    assert "more than 5000 things" in flooded.problem.message
    assert (text(said), text(again)) == ("hello", "back")


async def test_a_call_that_hangs_ends_at_its_deadline_and_others_pass_meanwhile(behind: Behind) -> None:
    async with behind(plain=plain(defaults={"timeout": 3})) as app, anyio.create_task_group() as tasks:
        endings: list[Outcome] = []

        async def hang() -> None:
            endings.append(await call(app, "plain_hang"))

        tasks.start_soon(hang)
        said = await call(app, "plain_echo", text="meanwhile")
        await until(lambda: endings)

    assert text(said) == "meanwhile"
    assert endings[0].problem is not None
    assert endings[0].problem.code == "timed_out"


async def test_nothing_is_left_of_a_child_that_has_children_and_listens_to_nobody(tmp_path: Path) -> None:
    keeper = Keeper()
    command = [sys.executable, "-S", str(PLAIN), "family", "deaf", str(tmp_path)]

    async with child("plain", command, {}, tmp_path, keeper) as line:
        group = line._process.pid
        await until(lambda: len(in_group(group)) == 2)

    await until(lambda: not in_group(group))
    await keeper.close()


def in_group(group: int) -> list[str]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its) == group and state != "Z":
            found.append(stat.parent.name)
    return found


async def test_nothing_is_left_when_toolgate_is_killed(tmp_path: Path) -> None:
    settings_of(tmp_path, {"plain": plain("family", str(tmp_path))})
    command = [sys.executable, "-m", "toolgate", "serve", "--config", str(tmp_path / "toolgate.yaml"), "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    with anyio.fail_after(90):
        await process.stdout.readline()
    (server,) = (pid for pid in mentioned(str(tmp_path)) if pid != process.pid)
    group = os.getpgid(server)
    await until(lambda: len(in_group(group)) == 2)

    process.send_signal(signal.SIGKILL)
    await process.wait()

    await until(lambda: not in_group(group))


async def test_children_that_begin_and_end_again_and_again_leave_no_process_and_no_pipe(tmp_path: Path) -> None:
    keeper = Keeper()
    async with child("plain", [sys.executable, "-S", str(PLAIN)], {}, tmp_path, keeper):
        pass
    files = len(list(Path("/proc/self/fd").iterdir()))

    async def begin_and_end() -> None:
        async with child("plain", ["cat", str(tmp_path), "-"], {}, tmp_path, keeper):
            pass

    for _ in range(STARTS // 10):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(begin_and_end)

    assert mentioned(str(tmp_path)) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= files
    await keeper.close()
