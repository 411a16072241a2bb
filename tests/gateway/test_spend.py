"""What a call costs is set aside before it is made and booked after, whatever becomes of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from toolgate.calls import Binary, Call, Outcome, Principal, Problem, Text, Tool
from toolgate.chain import Handler
from toolgate.errors import (
    AnswerTooLarge,
    AuditUnavailable,
    EgressBlocked,
    InvalidArguments,
    OverBudget,
    TimedOut,
    ToolgateError,
    Unreachable,
    UpstreamFailed,
)
from toolgate.gateway.spend import Spend
from toolgate.integration import Charge
from toolgate.money import Micros, Price
from toolgate.policy.live import Live
from toolgate.policy.prices import Prices
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Budgets, Tier
from toolgate.stores import Account, Ledger
from toolgate.stores.database import Database
from toolgate.stores.ledger import SCHEMA, SqlLedger
from toolgate.stores.memory import memory_ledger
from toolgate.testing import Echo, FakeClock, a_call, a_principal, a_tool

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp()
ADA = Account("user", "default", "local:ada")
CENT = 10_000


class World:
    """A `Spend` with its ledger, for callers of one tier."""

    def __init__(self, prices: Prices | None = None, **budgets: str) -> None:
        self.clock = FakeClock(now=NOON)
        self.ledger: Ledger = memory_ledger(self.clock)
        self.live = Live(self.policy(prices, **budgets))
        self.spend = Spend(self.ledger, self.live, self.clock)

    def policy(self, prices: Prices | None = None, **budgets: str) -> Policy:
        tier = Tier(budgets=Budgets(**{name: Decimal(amount) for name, amount in budgets.items()}))
        return Policy([], {"pro": tier}, prices)

    async def call(self, tool: Tool, principal: Principal | None = None, run: Handler | None = None, **more: Any) -> Outcome:
        return await self.spend(a_call(tool, principal=principal, **more), run or cast("Handler", tool.run))

    async def spent(self, account: Account = ADA) -> tuple[Micros, Micros]:
        """What is spent and what is held today."""
        found = [(one.spent, one.held) for one in await self.ledger.balances() if (one.account, one.every) == (account, "day")]
        return found[0] if found else (0, 0)

    async def used(self) -> tuple[int, int, int, Micros, Micros]:
        """Calls, refusals, unknown endings, cost, and what of it is estimated."""
        [used] = await self.ledger.usage([])
        return used.calls, used.refused, used.unknown, used.cost, used.estimated


async def test_a_priced_call_is_held_while_it_runs_and_booked_after() -> None:
    world, during = World(day="1"), []

    async def look(call: Call) -> Outcome:
        during.append(await world.spent())
        return Outcome()

    outcome = await world.call(a_tool(look, price=Price(CENT, most=3 * CENT)))

    assert during == [(0, 3 * CENT)]
    assert outcome == Outcome(cost=CENT, notes={"spend": {"reserved": 3 * CENT, "charged": CENT, "estimated": False, "unknown": False}})
    assert await world.spent() == (CENT, 0)
    for account in (Account("tenant", "default"), Account("tool", name="echo")):
        assert await world.spent(account) == (CENT, 0)
    assert await world.used() == (1, 0, 0, CENT, 0)


async def test_a_free_call_is_counted_and_passes_any_budget() -> None:
    world = World(day="0")

    outcome = await world.call(a_tool())

    assert (outcome.cost, outcome.notes) == (0, {})
    assert await world.used() == (1, 0, 0, 0, 0)
    assert await world.ledger.balances() == []


async def test_an_unknown_price_reserves_and_charges_the_default_and_says_that_it_is_one() -> None:
    world = World(day="0.012")
    tool = a_tool(price=None)

    outcome = await world.call(tool)
    await world.call(tool)
    with pytest.raises(OverBudget):
        await world.call(tool)

    assert outcome.notes["spend"] == {"reserved": 5000, "charged": 5000, "estimated": True, "unknown": False}
    assert await world.used() == (2, 1, 0, 10_000, 10_000)


async def test_over_budget_says_which_how_much_is_left_and_when_it_renews() -> None:
    world = World(day="0.025")
    tool = a_tool(price=Price(CENT))
    await world.call(tool)
    await world.call(tool)

    with pytest.raises(OverBudget) as refused:
        await world.call(tool)

    assert str(refused.value) == (
        "the budget of local:ada, $0.025 a day, has $0.005 left, and echo may cost $0.01. It renews at 2026-11-21 00:00 UTC. "
        "An operator changes it with `toolgate budget set`"
    )
    assert refused.value.retry_after == 12 * 3600
    assert refused.value.details() == {
        "budget": {
            "scope": "user",
            "period": "day",
            "limit": 25_000,
            "spent": 20_000,
            "held": 0,
            "left": 5_000,
            "needed": CENT,
            "renews": "2026-11-21T00:00:00Z",
        }
    }


async def test_waiting_is_not_advised_where_it_cannot_help() -> None:
    with pytest.raises(OverBudget, match="more than the whole budget, so waiting does not help") as refused:
        await World(day="0.005").call(a_tool(price=Price(CENT)))

    assert refused.value.retry_after is None


async def test_a_call_refused_only_for_what_others_hold_may_be_tried_again_soon() -> None:
    world, going, tool = World(day="0.03"), asyncio.Event(), a_tool(price=Price(CENT, most=3 * CENT))

    async def wait(call: Call) -> Outcome:
        await going.wait()
        return Outcome()

    first = asyncio.create_task(world.call(tool, run=wait))
    await asyncio.sleep(0)
    with pytest.raises(OverBudget, match=r"Calls under way hold \$0.03 and may give some of it back") as refused:
        await world.call(a_tool(price=Price(CENT)))
    going.set()
    await first

    assert refused.value.retry_after == 2
    await world.call(a_tool(price=Price(CENT)))


@pytest.mark.parametrize(
    ("error", "reads", "cost", "calls"),
    [
        (InvalidArguments("no"), True, 0, 0),
        (EgressBlocked("no"), True, 0, 0),
        (AuditUnavailable("no intent"), False, 0, 0),
        (Unreachable("nobody"), False, 0, 1),
        (UpstreamFailed("broke", 500), True, 0, 1),
        (UpstreamFailed("broke", 500), False, CENT, 1),
        (TimedOut("late"), True, CENT, 1),
        (AnswerTooLarge("much"), True, CENT, 1),
    ],
)
async def test_what_failed_costs_nothing_only_where_that_is_certain(error: ToolgateError, reads: bool, cost: Micros, calls: int) -> None:
    world = World(day="1")

    async def fail(call: Call) -> Outcome:
        raise error

    with pytest.raises(type(error)) as raised:
        await world.call(a_tool(fail, price=Price(CENT), reads=reads))

    assert await world.spent() == (cost, 0)
    assert await world.used() == (calls, 0, 1 if cost else 0, cost, cost)
    assert raised.value.cost == cost
    assert raised.value.notes["spend"]["charged"] == cost


FAILED = Problem("upstream_failed", "it was answered with 500")


@pytest.mark.parametrize(
    ("outcome", "cost", "unknown"),
    [
        (Outcome(problem=FAILED, effect="none"), 0, 0),
        (Outcome(problem=FAILED, effect="unknown"), CENT, 1),
        (Outcome(problem=FAILED, effect="done"), CENT, 0),
        (Outcome(problem=FAILED, effect="none", metered=7), 7, 0),
        (Outcome(effect="unknown"), CENT, 1),
        (Outcome(metered=0), 0, 0),
        (Outcome(metered=5 * CENT), 5 * CENT, 0),
    ],
)
async def test_an_ending_costs_what_is_known_of_it(outcome: Outcome, cost: Micros, unknown: int) -> None:
    world = World(day="1")

    async def end(call: Call) -> Outcome:
        return outcome

    told = await world.call(a_tool(end, price=Price(CENT)))

    assert told.cost == cost
    assert await world.spent() == (cost, 0)
    assert await world.used() == (1, 0, unknown, cost, cost if unknown else 0)


async def test_a_bug_counts_as_spent() -> None:
    world = World(day="1")

    async def stumble(call: Call) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await world.call(a_tool(stumble, price=Price(CENT)))

    assert await world.used() == (1, 0, 1, CENT, CENT)


async def test_a_cancelled_call_counts_as_spent() -> None:
    world, started = World(day="1"), asyncio.Event()

    async def wait(call: Call) -> Outcome:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(world.call(a_tool(wait, price=Price(CENT))))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await world.spent() == (CENT, 0)
    assert await world.used() == (1, 0, 1, CENT, CENT)


async def test_a_caller_who_leaves_while_money_is_set_aside_leaves_nothing_behind(tmp_path: Path) -> None:
    world, echo = World(day="1"), Echo()
    async with Database.open(tmp_path / "x.db", SCHEMA) as database:
        world.ledger = SqlLedger(database, world.clock)
        world.spend = Spend(world.ledger, world.live, world.clock)
        task = asyncio.create_task(world.call(a_tool(echo, price=Price(CENT))))
        await asyncio.sleep(0)  # the reserve is on its way, and cannot be called back
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await world.spent() == (0, 0)
        assert await world.used() == (0, 0, 0, 0, 0)
        assert echo.seen == []


@pytest.mark.parametrize(
    ("content", "cost"),
    [
        ((), 100),
        ((Text("x" * 1024),), 1100),
        ((Text("é" * 1024), Binary(b"x" * 1024)), 3100),
        ((Text("x"),), 101),
    ],
)
async def test_a_price_by_size_counts_the_bytes_that_reach_the_caller(content: tuple[Any, ...], cost: Micros) -> None:
    world = World(day="1")

    async def answer(call: Call) -> Outcome:
        return Outcome(content)

    outcome = await world.call(a_tool(answer, price=Price(call=100, mebibyte=1000 * 1024, most=CENT)))

    assert outcome.cost == cost


async def test_a_price_that_the_answer_should_have_told_and_did_not_is_what_was_reserved() -> None:
    outcome = await World(day="1").call(a_tool(price=Price(header="X-Cost", most=CENT)))

    assert outcome.cost == CENT
    assert outcome.notes["spend"]["estimated"]


async def test_the_operators_price_counts_over_the_integrations_and_a_changed_one_at_once() -> None:
    world, tool = World(Prices(tools={"ec*": Decimal("0.02")}), day="1"), a_tool(price=Price(CENT))

    first = await world.call(tool)
    world.live.current = world.policy(Prices(tools={"ec*": Decimal("0.02"), "echo": Charge(call=Decimal("0.03"))}), day="1")
    second = await world.call(tool)

    assert (first.cost, second.cost) == (2 * CENT, 3 * CENT)


async def test_a_header_that_only_the_operator_names_is_known_to_whoever_reads_the_answer() -> None:
    world, named = World(Prices(tools={"echo": Charge(header="X-Cost", most=Decimal("0.02"))}), day="1"), []

    async def read(call: Call) -> Outcome:
        named.append(call.tool.price)
        return Outcome(metered=7)

    outcome = await world.call(a_tool(price=Price(CENT)), run=read)

    assert (named, outcome.cost) == ([Price(header="X-Cost", most=2 * CENT)], 7)


async def test_an_agent_spends_the_money_of_whom_it_acts_for() -> None:
    world, agent = World(day="0.015"), replace(a_principal(id="agent:1"), acting_for=("agent:0", "local:ada"))
    await world.call(a_tool(price=Price(CENT)), agent)

    with pytest.raises(OverBudget, match="budget of local:ada"):
        await world.call(a_tool(price=Price(CENT)), a_principal())


async def test_a_session_has_a_budget_of_its_own_within_its_users() -> None:
    world, tool = World(day="1", session="0.015"), a_tool(price=Price(CENT))
    await world.call(tool, session="s1")
    with pytest.raises(OverBudget, match="budget of session s1"):
        await world.call(tool, session="s1")

    await world.call(tool, session="s2")
    await world.call(tool)
    await world.call(tool, a_principal(id="local:bob"), session="s1")

    assert await world.spent() == (3 * CENT, 0)


async def test_budgets_of_tenants_and_tools_hold_over_all_their_users() -> None:
    world = World(day="1")
    await world.ledger.budget(Account("tenant", "default"), "month", 3 * CENT)
    await world.ledger.budget(Account("tool", name="dear"), "day", CENT)
    await world.call(a_tool(name="dear", price=Price(CENT)))

    with pytest.raises(OverBudget, match=r"the budget of tool dear, \$0.01 a day, has \$0.00 left"):
        await world.call(a_tool(name="dear", price=Price(CENT)), a_principal(id="local:bob"))
    await world.call(a_tool(price=Price(2 * CENT)), a_principal(id="local:bob"))
    with pytest.raises(OverBudget, match=r"the budget of tenant default, \$0.03 a month, .* renews at 2026-12-01 00:00 UTC"):
        await world.call(a_tool(price=Price(CENT)), a_principal(id="local:eve"))


async def test_the_hold_outlives_the_deadline_by_less_than_a_minute() -> None:
    world = World(day="1")

    async def die(call: Call) -> Outcome:
        world.clock.now += 20 + 29
        assert await world.ledger.reap() == 0
        world.clock.now += 2
        assert await world.ledger.reap() == 1
        return Outcome()

    await world.call(a_tool(die, price=Price(CENT), timeout=20.0))

    assert await world.used() == (1, 0, 0, CENT, 0)


class TestTheFiveRacesOfOtherGateways:
    """Found open in LiteLLM in 2026: case F38 of the fault table. Each let callers past their budget, or kept honest ones out."""

    @staticmethod
    async def many(world: World, tool: Tool, calls: int, **more: Any) -> int:
        """How many of `calls` at the same time were let through."""

        async def one() -> bool:
            try:
                await world.call(tool, **more)
            except OverBudget:
                return False
            return True

        return sum(await asyncio.gather(*(one() for _ in range(calls))))

    @staticmethod
    def slow(metered: Micros | None = None, **price: Any) -> Tool:
        async def run(call: Call) -> Outcome:
            for _ in range(5):
                await asyncio.sleep(0)
            return Outcome(metered=metered)

        return a_tool(run, **price)

    async def test_the_first_calls_of_a_user_at_the_same_time_stay_within_the_budget(self) -> None:
        world = World(day="0.10")

        assert await self.many(world, self.slow(price=Price(CENT)), 200) == 10
        assert await world.spent() == (10 * CENT, 0)

    async def test_calls_without_a_known_price_at_the_same_time_stay_within_the_budget(self) -> None:
        world = World(day="0.10")

        assert await self.many(world, self.slow(price=None), 200) == 20
        assert await world.spent() == (20 * 5000, 0)

    async def test_calls_of_one_session_at_the_same_time_stay_within_its_budget(self) -> None:
        world = World(day="10", session="0.05")

        assert await self.many(world, self.slow(price=Price(CENT)), 200, session="s") == 5
        assert await world.spent() == (5 * CENT, 0)

    async def test_prices_that_are_known_only_after_stay_within_the_budget_by_their_most(self) -> None:
        world = World(day="0.10")

        passed = await self.many(world, self.slow(metered=4 * CENT, price=Price(header="X-Cost", most=4 * CENT)), 200)

        assert passed == 2
        assert await world.spent() == (8 * CENT, 0)

    async def test_a_big_hold_leaves_room_for_small_calls_and_what_it_did_not_cost_comes_back(self) -> None:
        world, going = World(day="1"), asyncio.Event()

        async def wait(call: Call) -> Outcome:
            await going.wait()
            return Outcome(metered=CENT)

        big = asyncio.create_task(world.call(a_tool(wait, name="big", price=Price(header="X-Cost", most=90 * CENT))))
        await asyncio.sleep(0)
        beside = await self.many(world, self.slow(price=Price(CENT)), 50)
        going.set()
        await big
        after = await self.many(world, self.slow(price=Price(CENT)), 100)

        assert (beside, after) == (10, 89)
        assert await world.spent() == (100 * CENT, 0)
