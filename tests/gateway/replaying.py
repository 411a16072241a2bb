"""Calls with idempotency keys, handlers that end as they are told, and processes, for the tests of `replay`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from toolgate.calls import Annotations, Call, Outcome, Text
from toolgate.errors import ToolgateError
from toolgate.gateway.replay import Replay
from toolgate.settings import Replay as ReplaySettings
from toolgate.stores import Records
from toolgate.stores.lease import Alone
from toolgate.stores.memory import MemoryRecords
from toolgate.telemetry import Metrics
from toolgate.testing import WRITES, FakeClock, a_call, a_principal, a_tool

DAY = 86_400.0
PUTS = Annotations(idempotent=True)
UNKNOWN = (
    "an earlier call of order with this idempotency key ended unseen. It may have happened, so it is not made again: "
    "look whether it did, and if not, call with another key"
)
DONE = Outcome((Text('{"id":1}'),), {"id": 1}, cost=700, meta={"status": 201}, notes={"spend": {"reserved": 700}})
AGAIN = Outcome((Text('{"id":1}'),), {"id": 1}, meta={"status": 201}, replayed=True, notes={"replay": "hit"})


class Crowd:
    """The processes that are alive."""

    def __init__(self, instance: str, *others: str) -> None:
        self.instance = instance
        self.others = set(others)
        self.joined = False

    async def join(self) -> None:
        self.joined = True

    async def alive(self, instance: str) -> bool:
        return instance in self.others


async def no_time(_seconds: float) -> None:
    await checkpoint()


def a_replay(records: Records | None = None, lives: Crowd | Alone | None = None, clock: FakeClock | None = None, **kept: Any) -> Replay:
    clock = clock or FakeClock()
    return Replay(records or MemoryRecords(clock), lives or Alone(), ReplaySettings(**kept), Metrics(), clock, no_time)


def an_order(key: str | None = "k", /, annotations: Annotations = WRITES, user: str = "ada", **arguments: Any) -> Call:
    return a_call(replace(a_tool(name="order"), annotations=annotations), arguments, a_principal(id=user), idempotency_key=key)


@dataclass
class Works:
    """A handler that gives its outcomes in turn, or raises them, and counts."""

    endings: list[Outcome | BaseException]
    calls: int = 0

    async def __call__(self, call: Call) -> Outcome:
        self.calls += 1
        ending = self.endings.pop(0)
        if isinstance(ending, Outcome):
            return ending
        raise ending


@dataclass
class Slow:
    """A handler that ends when it is let."""

    outcome: Outcome | ToolgateError = DONE
    calls: int = 0
    began: anyio.Event = field(default_factory=anyio.Event)
    go_on: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, call: Call) -> Outcome:
        self.calls += 1
        self.began.set()
        await self.go_on.wait()
        if isinstance(self.outcome, Outcome):
            return self.outcome
        raise self.outcome


async def settle_down() -> None:
    """Let everybody come as far as they can."""
    for _ in range(50):
        await checkpoint()
