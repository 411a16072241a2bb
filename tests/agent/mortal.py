"""Stores that end their process at a given step, for tests of what a run loses or does twice when that happens: nothing.

As a program, `mortal.py FOLDER STEP WHEN`: goes on with the run in FOLDER, or begins it, and is killed (SIGKILL) at the step of that
number, before or after it is taken; 0 lets it live. An effect is a line in FOLDER/effects; at the end the results stand in FOLDER/end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tests.agent.world import ADA, World
from toolgate.agent.events import Finished
from toolgate.agent.facts import Answered
from toolgate.calls import Annotations, Call, Outcome, Text, Tool
from toolgate.llm.messages import Assistant, Prompt
from toolgate.settings import Settings
from toolgate.stores import Entry, Journal, Record, Records, Stores, open_stores
from toolgate.testing import Line, a_tool

When = Literal["before", "after"]


class Died(BaseException):
    """The process is gone: nothing of it may do anything any more."""


@dataclass
class Death:
    """Comes at the step of number `at`, counted from 1; 0: never."""

    at: int
    when: When
    kill: Callable[[], None] | None = None
    """Ends the process for good; None: it only behaves as if."""
    steps: int = 0
    dead: bool = False

    def step(self, when: When) -> None:
        if self.dead:
            raise Died
        if when == "before":
            self.steps += 1
        if self.steps == self.at and when == self.when:
            if self.kill:
                self.kill()
            self.dead = True
            raise Died


@dataclass
class Soon:
    """What is not waited for: written before the next thing that is, and lost when death comes first."""

    there: Records
    death: Death
    waiting: list[tuple[tuple[str, str, Mapping[str, Any], float | None], asyncio.Future[bool]]] = field(default_factory=list)

    async def write(self) -> None:
        while self.waiting:
            (kind, name, body, expires), told = self.waiting.pop(0)
            self.death.step("before")
            told.set_result(await self.there.put(kind, name, body, expires=expires))
            self.death.step("after")


@dataclass
class MortalRecords:
    there: Records
    death: Death
    soon: Soon

    async def get(self, kind: str, id: str) -> Record | None:
        return await self.there.get(kind, id)

    async def list(self, kind: str, *, limit: int = 1000, after: str = "") -> Sequence[Record]:
        return await self.there.list(kind, limit=limit, after=after)

    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, replaces: int = 0, expires: float | None = None) -> bool:
        await self.soon.write()
        self.death.step("before")
        done = await self.there.put(kind, id, body, replaces=replaces, expires=expires)
        self.death.step("after")
        return done

    def put_soon(self, kind: str, id: str, body: Mapping[str, Any], *, expires: float | None = None) -> Awaitable[bool]:
        if self.death.kill:  # for good: then it is the store's own affair
            return self.there.put_soon(kind, id, body, expires=expires)
        told = asyncio.get_running_loop().create_future()
        self.soon.waiting.append(((kind, id, body, expires), told))
        return told

    async def delete(self, kind: str, id: str) -> bool:
        await self.soon.write()
        self.death.step("before")
        done = await self.there.delete(kind, id)
        self.death.step("after")
        return done


@dataclass
class MortalJournal:
    there: Journal
    death: Death
    soon: Soon

    def __post_init__(self) -> None:
        self.instance = self.there.instance

    @property
    def fault(self) -> str | None:
        return self.there.fault

    async def append(self, stream: str, body: Mapping[str, Any], *, opens: str | None = None, closes: str | None = None) -> int:
        await self.soon.write()
        self.death.step("before")
        seq = await self.there.append(stream, body, opens=opens, closes=closes)
        self.death.step("after")
        return seq

    async def recover(self) -> int:
        return await self.there.recover()

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        return await self.there.read(stream, limit=limit, before=before)

    async def since(self, stream: str, *, after: int, limit: int = 100) -> Sequence[Entry]:
        return await self.there.since(stream, after=after, limit=limit)

    async def lines(self, numbers: Sequence[int]) -> Sequence[Entry]:
        return await self.there.lines(numbers)


def mortal(stores: Stores, death: Death) -> Stores:
    soon = Soon(stores.records, death)
    return replace(stores, records=MortalRecords(stores.records, death, soon), journal=MortalJournal(stores.journal, death, soon))


PLAN: Sequence[Sequence[tuple[str, Mapping[str, Any]]]] = (
    (("order", {"what": "a"}), ("look", {}), ("order", {"what": "b"})),
    (("order", {"what": "c"}), ("set", {"to": "on"})),
    (("order", {"what": "a"}),),  # the same once more is meant: it is another call
)
"""What the model wants, reply by reply; then it answers."""


def says(prompt: Prompt) -> Line:
    """The next line: a model that is asked again after a death says the same."""
    said = sum(isinstance(message, Assistant) for message in prompt.messages)
    return Line(calls=tuple(PLAN[said])) if said < len(PLAN) else Line("All of it is done.")


def tools(effect: Callable[[str], None], death: Death) -> list[Tool]:
    async def order(call: Call) -> Outcome:
        death.step("before")
        effect(f"order {call.arguments['what']}")
        death.step("after")
        return Outcome((Text(f"ordered {call.arguments['what']}"),))

    async def set_(call: Call) -> Outcome:
        death.step("before")
        effect("set")
        death.step("after")
        return Outcome((Text("set"),))

    async def look(call: Call) -> Outcome:
        return Outcome((Text("seen"),))

    twice_as_once = Annotations(idempotent=True)
    return [
        a_tool(order, name="order", reads=False),
        replace(a_tool(set_, name="set"), annotations=twice_as_once),
        a_tool(look, name="look"),
    ]


async def live(stores: Stores, effect: Callable[[str], None], death: Death, settings: Settings) -> tuple[Finished, list[tuple[str, bool]]]:
    """Go on with the run, or begin it; how it ended, and each result with whether it failed."""
    world = World(tools(effect, death), says, stores=mortal(stores, death), settings=settings)
    runs = await world.agent.runs.seen_by(ADA)
    if runs and runs[0].status == "done":
        end = (await world.agent.replay(runs[0].id, ADA))[-1]
    else:
        end = await (world.resume(runs[0].id) if runs else world.run())
    assert isinstance(end, Finished)
    facts, _ = await world.agent.runs.facts((await world.agent.runs.seen_by(ADA))[0])
    return end, [(fact.text, fact.failed) for fact in facts if isinstance(fact, Answered)]


async def main(folder: Path, at: int, when: When) -> None:
    file = os.open(folder / "effects", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    death = Death(at, when, lambda: os.kill(os.getpid(), signal.SIGKILL))
    settings = Settings(data_dir=folder)
    async with open_stores("sqlite", folder, settings.audit) as stores:
        await stores.journal.recover()

        def effect(what: str) -> None:
            os.write(file, f"{what}\n".encode())

        end, told = await live(stores, effect, death, settings)
    (folder / "end").write_text(json.dumps({"status": end.status, "answer": end.answer, "results": told, "steps": death.steps}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), "before" if sys.argv[3] == "before" else "after"))
