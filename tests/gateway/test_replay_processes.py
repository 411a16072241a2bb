"""Idempotency keys over real processes on one store, some of them killed in the middle."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from tests.gateway.keyed import Ordering, a_keyed_call, a_replay
from toolgate.calls import Outcome, Text
from toolgate.errors import OutcomeUnknown
from toolgate.stores import open_stores

ROOT = Path(__file__).resolve().parents[2]
COUNT = 48


@contextmanager
def another(folder: Path, *stages: int) -> Iterator[subprocess.Popen[str]]:
    """A process that makes `COUNT` calls; ready when this begins, gone when it ends."""
    command = [sys.executable, "-m", "tests.gateway.keyed", str(folder), str(COUNT), *map(str, stages)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def effects(folder: Path) -> Counter[str]:
    file = folder / "effects"
    return Counter(file.read_text().split()) if file.exists() else Counter()


@pytest.mark.parametrize("stage", [*range(1, 6), *range(10, 85, 5)])
async def test_a_killed_process_leaves_no_effect_twice_and_no_answer_forgotten(stage: int, tmp_path: Path) -> None:
    with another(tmp_path, stage) as process:
        assert process.stdout is not None
        answered = process.stdout.read().split()
        assert process.wait() == -signal.SIGKILL
    before = effects(tmp_path)

    endings: dict[str, Outcome | None] = {}
    async with open_stores("sqlite", tmp_path) as stores:
        replay, order = a_replay(stores), Ordering(tmp_path)

        async def make(key: str) -> None:
            try:
                endings[key] = await replay(a_keyed_call(key), order)
            except OutcomeUnknown:
                endings[key] = None

        async with anyio.create_task_group() as tasks:
            for key in map(str, range(COUNT)):
                tasks.start_soon(make, key)

    after = effects(tmp_path)
    assert set(after.values()) == {1}
    unknown = {key for key, ending in endings.items() if ending is None}
    assert 1 <= len(unknown) <= 8  # those that were under way, and no others
    assert unknown.isdisjoint(answered)
    for key, ending in endings.items():
        if ending is None:
            assert after[key] == before[key]  # whether it happened or not, it was not done now
        else:
            assert (ending.content, ending.replayed) == ((Text(f"ordered {key}"),), key in before)


async def test_two_processes_with_the_same_keys_at_the_same_time_do_each_thing_once(tmp_path: Path) -> None:
    with another(tmp_path) as process:
        async with open_stores("sqlite", tmp_path) as stores:
            replay, order = a_replay(stores), Ordering(tmp_path)
            endings: dict[int, Outcome] = {}

            async def make(key: int) -> None:
                endings[key] = await replay(a_keyed_call(key), order)

            with anyio.fail_after(90):
                async with anyio.create_task_group() as tasks:
                    for key in range(COUNT):
                        tasks.start_soon(make, key)
                assert await anyio.to_thread.run_sync(process.wait) == 0

    assert effects(tmp_path) == {str(key): 1 for key in range(COUNT)}
    assert {key: ending.content for key, ending in endings.items()} == {key: (Text(f"ordered {key}"),) for key in range(COUNT)}
