"""A run whose process is killed, at any step and as often as one likes, loses nothing and does nothing twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agent.mortal import Death, Died, When, live
from toolgate.settings import Settings
from toolgate.stores import Stores
from toolgate.stores.lease import Alone
from toolgate.stores.memory import MemoryJournal, MemoryRecords, memory_ledger

RUNS = int(os.environ.get("TOOLGATE_FAULT_RUNS", "1"))
WHENS: tuple[When, ...] = ("before", "after")
WANTED = Counter({"order a": 2, "order b": 1, "order c": 1})


def check(effects: list[str], told: list[tuple[str, bool]]) -> None:
    """Every result stands for its effect: what is said to be done was done once, what nobody knows was done once at most."""
    done = Counter(f"order {text.removeprefix('ordered ')}" for text, failed in told if text.startswith("ordered"))
    unknown = sum(failed and "ended unseen" in text for text, failed in told)
    happened = Counter(effect for effect in effects if effect != "set")

    assert len(told) == 6
    assert done <= happened <= WANTED
    assert (happened - done).total() <= unknown
    assert done.total() + unknown == WANTED.total()
    assert sum(text == "set" for text, _ in told) == 1  # twice is as once there, so it is always known in the end
    assert "set" in effects


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(WHENS)), min_size=1, max_size=4))
async def test_processes_that_die_at_any_steps_leave_a_run_that_goes_on_as_if_nothing_had_been(deaths: list[tuple[int, When]]) -> None:
    records, ledger, effects = MemoryRecords(), memory_ledger(), list[str]()
    for number, (at, when) in enumerate([*deaths, (0, "before")]):
        journal = MemoryJournal()
        stores = Stores(journal, records, ledger, lives=Alone(f"process {number}"))
        try:
            end, told = await live(stores, effects.append, Death(at, when), Settings())
        except Died:
            continue
        except BaseExceptionGroup as group:
            assert group.subgroup(Died)  # noqa: PT017
            continue
        break

    assert (end.status, end.answer) == ("done", "All of it is done.")
    check(effects, told)


def go(folder: Path, at: int, when: str) -> int:
    program = [sys.executable, "-m", "tests.agent.mortal", str(folder), str(at), when]
    return subprocess.run(program, cwd=Path(__file__).parents[2], timeout=60, check=False).returncode


async def test_the_run_has_as_many_steps_as_are_tried(tmp_path: Path) -> None:
    assert go(tmp_path, 0, "before") == 0

    assert json.loads((tmp_path / "end").read_text())["steps"] <= 60


@pytest.mark.parametrize("at", range(1, 61) if RUNS > 1 else (3, 14, 23, 28, 41))
@pytest.mark.parametrize("when", WHENS if RUNS > 1 else ("after",))
def test_a_run_whose_process_is_killed_is_taken_up_by_the_next(tmp_path: Path, at: int, when: str) -> None:
    killed = go(tmp_path, at, when)
    assert killed in (-9, 0)  # 0: it had fewer steps

    if killed:
        assert go(tmp_path, 0, "before") == 0

    end = json.loads((tmp_path / "end").read_text())
    assert end["status"] == "done"
    check((tmp_path / "effects").read_text().splitlines(), [tuple(one) for one in end["results"]])
