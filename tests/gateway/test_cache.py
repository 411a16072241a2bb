"""Answers that are given again, and to whom."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from toolgate.calls import Call, Outcome, Principal, Problem, Text, Tool
from toolgate.errors import OverBudget, ToolgateError, Unreachable
from toolgate.gateway import build_gateway
from toolgate.gateway.cache import Cache
from toolgate.money import Price
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores.local import LocalMemory
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.telemetry import Metrics
from toolgate.testing import FakeClock, a_call, a_principal, a_tool


@dataclass
class Counting:
    """A handler that answers with how often it was called, or with what it is told."""

    told: list[Outcome | ToolgateError] = field(default_factory=list)
    seen: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> Outcome:
        self.seen.append(call)
        ending = self.told.pop(0) if self.told else Outcome((Text(str(len(self.seen))),), cost=700, notes={"spend": {}})
        if isinstance(ending, Outcome):
            return ending
        raise ending


class World:
    """A cache before a handler that counts."""

    def __init__(self, *told: Outcome | ToolgateError, memory: LocalMemory | None = None) -> None:
        self.clock = FakeClock(now=1000.0)
        self.metrics = Metrics()
        self.cache = Cache(memory or LocalMemory(1_000_000, self.clock), self.metrics, self.clock)
        self.handler = Counting(list(told))

    async def ask(self, tool: Tool, principal: Principal | None = None, /, depth: int = 0, **arguments: Any) -> Outcome:
        return await self.cache(a_call(tool, arguments, principal, depth=depth), self.handler)


def a_read(name: str = "find", **more: Any) -> Tool:
    defaults: dict[str, Any] = {"cache": 60.0, "integration": "shop"}
    return a_tool(name=name, **defaults | more)


def text(outcome: Outcome) -> str:
    [piece] = outcome.content
    assert isinstance(piece, Text)
    return piece.text


async def test_the_same_read_is_answered_again_for_nothing_until_its_seconds_are_over() -> None:
    world, tool = World(), a_read()

    first = await world.ask(tool, a=1, b=2)
    world.clock.now += 59.5
    second = await world.ask(tool, b=2, a=1)
    world.clock.now += 0.5
    third = await world.ask(tool, a=1, b=2)

    assert first == Outcome((Text("1"),), cost=700, notes={"spend": {}, "cache": "miss"})
    assert second == Outcome((Text("1"),), meta={"age": 59}, notes={"cache": "hit"})
    assert text(third) == "2"


@pytest.mark.parametrize("tool", [a_read(cache=0.0), a_tool(name="find", reads=False, cache=60.0)])
async def test_what_writes_or_is_not_to_be_kept_is_asked_each_time_and_left_as_it_is(tool: Tool) -> None:
    world = World()

    outcomes = [await world.ask(tool), await world.ask(tool)]

    assert outcomes == [Outcome((Text(n),), cost=700, notes={"spend": {}}) for n in "12"]


ADA = a_principal(id="ada")


@pytest.mark.parametrize(
    "other",
    [
        a_principal(id="bob"),
        a_principal("admin", id="ada"),
        replace(ADA, tenant="other"),
        replace(ADA, tier="free"),
        replace(ADA, acting_for=("bob",)),
        replace(ADA, roles=(), acting_for=ADA.roles),
        replace(ADA, credential="key2"),
        replace(ADA, scopes=frozenset()),
        replace(ADA, scopes=frozenset({"read"})),
        replace(ADA, via="key"),
    ],
)
async def test_nobody_is_given_what_another_asked_for(other: Principal) -> None:
    world, tool = World(), a_read()
    await world.ask(tool, ADA)

    assert text(await world.ask(tool, other)) == "2"
    assert text(await world.ask(tool, ADA)) == "1"


async def test_everybody_is_given_what_is_the_same_for_all() -> None:
    world, tool = World(), a_read(public=True)
    await world.ask(tool, ADA)

    outcome = await world.ask(tool, replace(a_principal(id="bob"), tenant="other"))

    assert text(outcome) == "1"


@pytest.mark.parametrize(
    ("tool", "more"),
    [
        (a_read("look"), {}),
        (a_read(fingerprint="changed"), {}),
        (a_read(integration="other"), {}),
        (a_read(), {"n": 1}),
        (a_read(), {"n": 1.0}),
        (a_read(), {"n": True}),
        (a_read(), {"n": None}),
        (a_read(), {"n": str(2**64)}),
        (a_read(), {"depth": 1}),
    ],
)
async def test_another_question_has_another_answer(tool: Tool, more: dict[str, Any]) -> None:
    world = World()
    await world.ask(a_read())
    await world.ask(a_read(), n="1")
    await world.ask(a_read(), n=2**64)

    assert text(await world.ask(tool, **more)) == "4"


@pytest.mark.parametrize("ending", [Unreachable("nobody answers"), Outcome(problem=Problem("upstream_failed", "404")), Outcome(fresh=0.0)])
async def test_only_good_answers_that_may_be_kept_are(ending: Outcome | ToolgateError) -> None:
    world, tool = World(ending), a_read()
    with suppress(Unreachable):
        await world.ask(tool)

    assert text(await world.ask(tool)) == "2"


@pytest.mark.parametrize(("fresh", "seconds"), [(None, 60), (5.0, 5), (600.0, 60)])
async def test_the_other_side_may_shorten_the_time_and_not_lengthen_it(fresh: float | None, seconds: float) -> None:
    world, tool = World(Outcome((Text("1"),), fresh=fresh)), a_read()
    await world.ask(tool)

    world.clock.now += seconds - 0.1
    before = await world.ask(tool)
    world.clock.now += 0.1
    after = await world.ask(tool)

    assert (text(before), text(after)) == ("1", "2")


async def test_who_writes_and_then_reads_sees_what_was_written() -> None:
    world, tool = World(), a_read()
    await world.ask(tool)
    await world.ask(a_read("elsewhere", integration="other"))

    await world.ask(a_tool(name="put", reads=False, integration="shop"))

    assert text(await world.ask(tool)) == "4"
    assert text(await world.ask(a_read("elsewhere", integration="other"))) == "2"


async def test_a_read_that_began_before_a_write_is_not_kept_past_it() -> None:
    world, tool, go_on = World(), a_read(), anyio.Event()

    async def slow(call: Call) -> Outcome:
        await go_on.wait()
        return Outcome((Text("old"),))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.cache, a_call(tool), slow)
        await checkpoint()
        with pytest.raises(Unreachable):  # a write that failed may have happened too
            await world.cache(a_call(a_tool(name="put", reads=False, integration="shop")), Counting([Unreachable("?")]))
        go_on.set()

    assert text(await world.ask(tool)) == "1"


@dataclass
class Slow:
    """A handler that ends when it is let, the first time with `first`."""

    first: Outcome | ToolgateError
    calls: int = 0
    go_on: anyio.Event = field(default_factory=anyio.Event)

    async def __call__(self, call: Call) -> Outcome:
        self.calls += 1
        number = self.calls
        await self.go_on.wait()
        if number > 1:
            return Outcome((Text(str(number)),))
        if isinstance(self.first, ToolgateError):
            raise self.first
        return self.first


async def asked_at_once(world: World, slow: Slow, tool: Tool, *principals: Principal) -> list[str]:
    """How three questions at the same time were answered, in their order."""
    answers = [""] * len(principals)

    async def ask(n: int, principal: Principal) -> None:
        try:
            outcome = await world.cache(a_call(tool, {}, principal), slow)
            answers[n] = f"{text(outcome)} {outcome.notes['cache']} {outcome.cost}"
        except ToolgateError as error:
            answers[n] = error.code

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for n, principal in enumerate(principals):
                tasks.start_soon(ask, n, principal)
            for _ in range(20):
                await checkpoint()
            slow.go_on.set()
    return answers


async def test_who_asks_what_is_being_asked_waits_for_that_answer() -> None:
    slow = Slow(Outcome((Text("1"),), cost=7))

    answers = await asked_at_once(World(), slow, a_read(), ADA, ADA, ADA)

    assert answers == ["1 miss 7", "1 waited 0", "1 waited 0"]
    assert slow.calls == 1


async def test_what_one_was_refused_others_find_out_for_themselves() -> None:
    slow = Slow(OverBudget("too dear"))

    answers = await asked_at_once(World(), slow, a_read(public=True), ADA, a_principal(id="bob"), a_principal(id="eve"))

    assert answers == ["over_budget", "2 miss 0", "3 miss 0"]


async def test_an_answer_that_may_not_be_kept_is_not_shared_with_those_who_wait_either() -> None:
    slow = Slow(Outcome((Text("ada's own"),), fresh=0.0))

    answers = await asked_at_once(World(), slow, a_read(public=True), ADA, a_principal(id="bob"))

    assert answers == ["ada's own miss 0", "2 miss 0"]


async def test_when_the_first_to_ask_leaves_those_who_wait_ask_themselves() -> None:
    world, slow, tool = World(), Slow(Outcome((Text("1"),))), a_read()
    answers: list[str] = []

    async def ask() -> None:
        answers.append(text(await world.cache(a_call(tool), slow)))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as first:
            first.start_soon(ask)
            await checkpoint()
            tasks.start_soon(ask)
            await checkpoint()
            first.cancel_scope.cancel()
        slow.go_on.set()

    assert answers == ["2"]


async def test_what_cannot_be_kept_is_answered_all_the_same() -> None:
    world, tool = World(Outcome((Text("\ud800"),)), Outcome((Text("x" * 200_000),))), a_read()

    answers = [text(await world.ask(tool)) for _ in range(3)]

    assert answers == ["\ud800", "x" * 200_000, "3"]


async def test_hits_misses_and_their_rate_are_counted() -> None:
    world, tool = World(), a_read()
    for _ in range(4):
        await world.ask(tool)

    lines = [line for line in world.metrics.exposition().splitlines() if not line.startswith("#")]

    assert lines == [
        'toolgate_cache_total{integration="shop",result="hit"} 3',
        'toolgate_cache_total{integration="shop",result="miss"} 1',
        "toolgate_cache_hit_rate 0.75",
    ]


async def test_a_hit_is_permitted_and_written_down_like_any_call_and_costs_nothing() -> None:
    journal, clock = MemoryJournal(), Counting()
    tool = a_tool(clock, name="find", cache=60.0, price=Price(call=9))
    policy = Policy([Role(role="reader", permissions=(Permission(id="read", tools="*"),)), Role(role="nobody")])
    gateway = build_gateway([tool], policy, memory_stores(journal), Settings())

    outcomes = [await gateway.call("find", {}, a_principal(role, id="ada")) for role in ("reader", "reader", "nobody")]

    events = [entry.body for entry in reversed(await journal.read("audit"))]
    assert [outcome.problem.code if outcome.problem else outcome.cost for outcome in outcomes] == [9, 0, "unknown_tool"]
    assert [event["type"] for event in events] == ["call.intent", "call.outcome", "call.outcome", "call.denied"]
    assert [event["notes"].get("cache") for event in events[1:3]] == ["miss", "hit"]


USERS = [ADA, a_principal(id="bob"), replace(ADA, tenant="other"), replace(ADA, acting_for=("bob",)), a_principal("admin", id="ada")]
STEPS = st.tuples(st.integers(0, len(USERS) - 1), st.sampled_from("xy"), st.booleans(), st.sampled_from([0, 0, 1, 30, 61]))


@settings(max_examples=100, deadline=None)
@given(st.lists(STEPS, max_size=20), st.integers(0, 4000))
async def test_whatever_is_asked_no_one_hears_an_answer_of_somebody_else_nor_an_old_one(
    steps: list[tuple[int, str, bool, int]], size: int
) -> None:
    clock = FakeClock()
    cache = Cache(LocalMemory(size, clock), Metrics(), clock)

    async def tell(call: Call) -> Outcome:
        return Outcome(structured=[USERS.index(call.principal), call.arguments["q"], clock.now])

    for user, question, writes, passed in steps:
        clock.now += passed
        tool = a_tool(name="put", reads=False, integration="shop") if writes else a_read()

        outcome = await cache(a_call(tool, {"q": question}, USERS[user]), tell)

        who, what, when = outcome.structured
        assert (who, what) == (user, question)
        assert 0 <= clock.now - when < 60
        assert when == clock.now or not writes
