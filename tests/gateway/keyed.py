"""A process that makes calls with idempotency keys, and is killed in the middle; run by test_replay_processes.

Usage: keyed.py FOLDER COUNT [STAGES]: makes calls with the keys 0, 1, … COUNT - 1, eight at a time. The effect of each is a
line in FOLDER/effects, and each answer that a caller gets a line on standard output. STAGES: see `Ordering`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

from toolgate.calls import Call, Outcome, Text
from toolgate.gateway.replay import Replay
from toolgate.settings import Replay as Settings
from toolgate.stores import Stores, open_stores
from toolgate.telemetry import Metrics
from toolgate.testing import a_call, a_principal, a_tool

TOOL = a_tool(name="order", reads=False)


def a_keyed_call(key: object) -> Call:
    return a_call(TOOL, {"item": str(key)}, a_principal(id="ada"), idempotency_key=str(key))


def a_replay(stores: Stores) -> Replay:
    return Replay(stores.records, stores.lives, Settings(), Metrics())


class Ordering:
    """A tool whose effect is a line in a file."""

    def __init__(self, folder: Path, stages: int | None = None) -> None:
        """
        Args:
            stages: after so many the process is killed, two a call: before the effect and after it. None: it lives.
        """
        self._effects = folder / "effects"
        self._stages = stages
        self._chance = random.Random(stages)

    async def __call__(self, call: Call) -> Outcome:
        await self._stage()
        with self._effects.open("a") as effects:
            effects.write(f"{call.idempotency_key}\n")
        await self._stage()
        return Outcome((Text(f"ordered {call.arguments['item']}"),))

    async def _stage(self) -> None:
        for _ in range(self._chance.randrange(50)):  # where other calls come in between
            await asyncio.sleep(0)
        if self._stages is not None:
            self._stages -= 1
            if self._stages == 0:
                os.kill(os.getpid(), signal.SIGKILL)


async def run(folder: Path, count: int, stages: int | None) -> None:
    async with open_stores("sqlite", folder) as stores:
        replay, order = a_replay(stores), Ordering(folder, stages)
        keys = iter(range(count))

        async def make_some() -> None:
            for key in keys:
                await replay(a_keyed_call(key), order)
                print(key, flush=True)

        print("ready", flush=True)
        await asyncio.gather(*(make_some() for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else None))
