"""Processes that are killed while they call, and one whose disk fails it (cases F1, F4 and F45 of the fault table).

`make faults` runs it 25 times, the ordinary tests 5 times: TOOLGATE_FAULT_RUNS.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.effort import within
from toolgate.settings import Audit
from toolgate.stores import open_stores
from toolgate.stores.secret import keys_in
from toolgate.stores.verify import records, verify

RUNS = int(os.environ.get("TOOLGATE_FAULT_RUNS", "5"))
AT_ONCE = 20
CHILD = [sys.executable, str(Path(__file__).with_name("calling.py"))]


def started(
    folder: Path, answered: Path, at_once: int = AT_ONCE, *, seconds: float = 0.002, under: Sequence[str] = ()
) -> subprocess.Popen[bytes]:
    """A child that has answered its first call.

    Args:
        seconds: that an effect takes.
        under: the command that runs it.
    """
    with answered.open("ab") as out:
        child = subprocess.Popen([*under, *CHILD, str(folder), str(at_once), str(seconds)], stdout=out)
    deadline = time.monotonic() + 60
    while answered.stat().st_size == 0:
        assert child.poll() is None, "the child ended by itself"
        assert time.monotonic() < deadline, "the child answers nothing"
        time.sleep(0.01)  # for another process, whose clock is the real one
    return child


class Told:
    """What the audit tells of calls, by the type of the event."""

    def __init__(self, folder: Path) -> None:
        events = [entry.body for entry in records(folder / "toolgate.db")]
        self.intents = {event["call"] for event in events if event["type"] == "call.intent"}
        self.outcomes = [event["call"] for event in events if event["type"] == "call.outcome"]
        self.unknown = [event["call"] for event in events if event["type"] == "call.unknown"]


@pytest.mark.parametrize("run", range(RUNS))
async def test_of_a_killed_process_every_effect_has_its_intent_and_every_answer_its_outcome(tmp_path: Path, run: int) -> None:
    child = started(tmp_path, tmp_path / "answered")
    time.sleep(random.Random(run).uniform(0.02, 0.4))  # the moment of death
    child.kill()
    child.wait(timeout=60)

    async with open_stores("sqlite", tmp_path, Audit()) as stores:
        with within(2):
            recovered = await stores.journal.recover()

    told = Told(tmp_path)
    effects = lines(tmp_path / "effects")
    answered = lines(tmp_path / "answered")
    assert effects <= told.intents
    assert answered <= set(told.outcomes)
    assert len(told.outcomes) == len(set(told.outcomes))
    assert sorted(told.unknown) == sorted(told.intents - set(told.outcomes))
    assert recovered == len(told.unknown) <= AT_ONCE
    report = verify(tmp_path / "toolgate.db", keys_in(tmp_path).signer.verifier)
    assert (report.flaw, report.signed) == (None, report.records)


def lines(file: Path) -> set[str]:
    """The whole lines; a process may have died within the last."""
    return set(file.read_text().split("\n")[:-1])


async def test_calls_of_a_living_process_are_not_taken_for_those_of_a_dead_one(tmp_path: Path) -> None:
    child = started(tmp_path, tmp_path / "answered", seconds=0.1)
    try:
        async with open_stores("sqlite", tmp_path, Audit()) as stores:
            assert [await stores.journal.recover() for _ in range(20)] == [0] * 20
            child.send_signal(signal.SIGKILL)
            child.wait(timeout=60)
            while_open = await stores.journal.recover()
    finally:
        child.kill()
        child.wait(timeout=60)

    told = Told(tmp_path)
    assert while_open == len(told.unknown) == len(told.intents - set(told.outcomes)) > 0


async def test_processes_on_one_file_write_one_chain(tmp_path: Path) -> None:
    children = [started(tmp_path, tmp_path / f"answered{number}") for number in range(3)]
    time.sleep(0.3)
    for child, ending in zip(children, (signal.SIGKILL, signal.SIGTERM, signal.SIGTERM), strict=True):
        child.send_signal(ending)
    codes = [child.wait(timeout=60) for child in children]

    assert codes == [-signal.SIGKILL, 0, 0]
    report = verify(tmp_path / "toolgate.db", keys_in(tmp_path).signer.verifier)
    assert report.flaw is None
    assert report.records == len(list(records(tmp_path / "toolgate.db")))
    told = Told(tmp_path)
    for number in range(3):
        assert lines(tmp_path / f"answered{number}") <= set(told.outcomes)


async def test_a_process_that_is_asked_to_end_with_200_calls_under_way_leaves_nothing_open(tmp_path: Path) -> None:
    child = started(tmp_path, tmp_path / "answered", at_once=200)
    child.terminate()

    assert child.wait(timeout=60) == 0
    told = Told(tmp_path)
    assert told.intents == set(told.outcomes)
    assert told.unknown == []
    assert lines(tmp_path / "answered") == set(told.outcomes)


FAILING = ("--trace=fsync,fdatasync", "--inject=fsync,fdatasync:error=EIO:when=40..60")
"""From the 40th on, 21 times: the disk says that it could not keep what it was given."""


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not here, which injects the errors")
async def test_what_the_disk_would_not_keep_is_never_answered_and_afterwards_it_goes_on_by_itself(tmp_path: Path) -> None:
    trace, answered = tmp_path / "trace", tmp_path / "answered"
    child = started(tmp_path, answered, under=["strace", "-D", "-f", "-qq", "-o", str(trace), *FAILING])
    try:
        deadline = time.monotonic() + 60
        while trace.read_text().count("EIO") < 21:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        before = answered.stat().st_size
        while answered.stat().st_size < before + 1000:  # answers again
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.terminate()
        assert child.wait(timeout=60) == 0
    finally:
        child.kill()
        child.wait(timeout=60)

    told = Told(tmp_path)
    assert lines(tmp_path / "effects") <= told.intents
    assert lines(answered) <= set(told.outcomes)
    assert told.intents <= set(told.outcomes)  # a call whose intent could not be written may have an outcome: that it did not run
    restored = [entry.body for entry in records(tmp_path / "toolgate.db") if entry.body["type"] == "audit.restored"]
    assert restored[0]["details"]["reason"] == "disk I/O error"
    assert verify(tmp_path / "toolgate.db", keys_in(tmp_path).signer.verifier).flaw is None
