"""However calls interleave, one key has one effect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.replaying import PUTS, Crowd, a_replay, an_order, settle_down
from toolgate.calls import Annotations, Call, Outcome, Text
from toolgate.errors import KeyReused, TimedOut, ToolgateError, Unreachable
from toolgate.stores.memory import MemoryRecords
from toolgate.testing import WRITES, FakeClock

Start = tuple[Literal["start"], int, str, str, int]
Act = tuple[Literal["end", "cancel"], int, Literal["ok", "unreachable", "timed out"]]
ACTIONS = st.one_of(
    st.tuples(st.just("start"), st.integers(0, 1), st.sampled_from("ab"), st.sampled_from(["k", "l"]), st.integers(1, 2)),
    st.tuples(st.sampled_from(["end", "cancel"]), st.integers(0, 7), st.sampled_from(["ok", "unreachable", "timed out"])),
)


@dataclass
class Effect:
    """One run of the tool."""

    call: Call
    number: int
    ended: anyio.Event = field(default_factory=anyio.Event)
    how: str = "under way"


@dataclass
class Made:
    """One call, and how it ended."""

    call: Call
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outcome: Outcome | ToolgateError | None = None
    done: bool = False


class World:
    """Two processes on one store, and a tool whose runs end when they are told to."""

    def __init__(self) -> None:
        records = MemoryRecords(FakeClock())
        self.replays = [a_replay(records, Crowd("0", "1")), a_replay(records, Crowd("1", "0"))]
        self.effects: list[Effect] = []
        self.made: list[Made] = []

    async def work(self, call: Call) -> Outcome:
        effect = Effect(call, len(self.effects))
        self.effects.append(effect)
        try:
            await effect.ended.wait()
        except anyio.get_cancelled_exc_class():
            effect.how = "cancelled"
            raise
        if effect.how == "unreachable":
            raise Unreachable("nobody answers")
        if effect.how == "timed out":
            raise TimedOut("too late")
        return Outcome((Text(str(effect.number)),))

    async def make(self, process: int, made: Made) -> None:
        with made.scope:
            try:
                made.outcome = await self.replays[process](made.call, self.work)
            except ToolgateError as error:
                made.outcome = error
        made.done = True

    def end(self, which: int, how: str) -> None:
        running = [effect for effect in self.effects if effect.how == "under way"]
        if running:
            effect = running[which % len(running)]
            effect.how = how
            effect.ended.set()


async def live(actions: list[Start | Act], annotations: Annotations) -> World:
    world = World()
    async with anyio.create_task_group() as tasks:
        for action in actions:
            if action[0] == "start":
                _, process, user, key, n = action
                world.made.append(Made(an_order(key, annotations, user, n=n)))
                tasks.start_soon(world.make, process, world.made[-1])
            elif action[0] == "end":
                world.end(action[1], action[2])
            elif world.made:
                world.made[action[1] % len(world.made)].scope.cancel()
            await settle_down()
        while not all(made.done for made in world.made):
            world.end(0, "ok")
            await settle_down()
    return world


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=14))
def test_whatever_the_interleaving_one_key_has_one_effect_and_one_answer(actions: list[Start | Act]) -> None:
    world = anyio.run(live, actions, WRITES)

    by_key: Mapping[str, list[Effect]] = defaultdict(list)
    for effect in world.effects:
        by_key[effect.call.once].append(effect)
    for effects in by_key.values():
        # Only what surely did nothing was followed by another run, and never did two run at once.
        assert all(effect.how == "unreachable" for effect in effects[:-1])
    for made in world.made:
        last = by_key[made.call.once][-1] if by_key[made.call.once] else None
        if isinstance(made.outcome, Outcome) and made.outcome.ok:
            assert last is not None
            assert (made.outcome.content, made.call.arguments) == ((Text(str(last.number)),), last.call.arguments)
        elif isinstance(made.outcome, KeyReused):
            assert {effect.call.arguments["n"] for effect in by_key[made.call.once]} != {made.call.arguments["n"]}
        else:
            assert made.outcome is None or _problem(made.outcome) in {"unreachable", "timed_out", "unknown"}


@settings(max_examples=100, deadline=None)
@given(st.lists(ACTIONS, max_size=14))
def test_what_may_be_done_twice_still_never_runs_twice_at_once_and_is_done_once_it_succeeded(actions: list[Start | Act]) -> None:
    world = anyio.run(live, actions, PUTS)

    by_key: Mapping[str, list[Effect]] = defaultdict(list)
    for effect in world.effects:
        by_key[effect.call.once].append(effect)
    for effects in by_key.values():
        assert "ok" not in [effect.how for effect in effects[:-1]]
    for made in world.made:
        assert made.outcome is None or _problem(made.outcome) != "unknown"


def _problem(ending: Outcome | ToolgateError) -> str | None:
    if isinstance(ending, ToolgateError):
        return ending.code
    return ending.problem.code if ending.problem else None
