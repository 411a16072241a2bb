"""How many calls: per user, tool, tenant, role and integration, at once, and nested ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Call, Outcome, Principal, Rate, Tool, key
from toolgate.errors import Busy, LimitReached
from toolgate.gateway.limit import Limit
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Rates, Tier
from toolgate.settings import CallLimit, Limits
from toolgate.stores.counters import MemoryCounters
from toolgate.testing import Echo, FakeClock, a_call, a_principal, a_tool

ADA, BOB = a_principal(id="ada"), a_principal(id="bob")


def a_limit(clock: FakeClock | None = None, *calls: CallLimit, tier: Rates | None = None, **settings: Any) -> Limit:
    live = Live(Policy((), {"pro": Tier(limits=tier or Rates())}))
    return Limit(MemoryCounters(clock or FakeClock()), live, Limits(calls=calls, **settings))


async def refusals(limit: Limit, calls: list[tuple[Principal, Tool]]) -> list[str | None]:
    said: list[str | None] = []
    for principal, tool in calls:
        try:
            await limit(a_call(tool, principal=principal), Echo())
            said.append(None)
        except LimitReached as error:
            said.append(str(error))
    return said


async def test_the_call_after_the_last_allowed_one_is_refused_and_says_when_to_come_back() -> None:
    clock, echo = FakeClock(), Echo()
    limit = a_limit(clock, CallLimit(calls=2, per=60, by=("user", "tool")))
    call = a_call(a_tool(echo, name="github_list_issues"))
    await limit(call, echo)
    await limit(call, echo)
    clock.now += 45

    with pytest.raises(LimitReached) as refused:
        await limit(call, echo)

    assert refused.value.retry_after == 15
    assert str(refused.value) == "2 calls to github_list_issues by local:ada per 60 s are used up; try again in 15 s"
    assert len(echo.seen) == 2


async def test_a_tiers_minute_and_hour_hold_for_each_user_over_all_tools() -> None:
    clock = FakeClock()
    limit = a_limit(clock, tier=Rates(per_minute=2, per_hour=3))

    first = await refusals(limit, [(ADA, a_tool(name="a")), (ADA, a_tool(name="b")), (ADA, a_tool(name="c")), (BOB, a_tool(name="a"))])
    clock.now += 60
    second = await refusals(limit, [(ADA, a_tool(name="a"))] * 2)

    assert first == [None, None, "2 calls by ada per 60 s are used up; try again in 60 s", None]
    assert second == [None, "3 calls by ada per 3600 s are used up; try again in 3540 s"]


async def test_a_limit_of_the_settings_concerns_the_calls_it_names_and_counts_as_it_says() -> None:
    agent = replace(ADA, roles=("agent",))
    limit = a_limit(
        None,
        CallLimit(calls=1, per=60, tools="github_*", role="agent", by=()),
        CallLimit(calls=1, per=60, tools="sam_*", by=("tenant",)),
        CallLimit(calls=1, per=60, tools="x", tenant="acme", by=()),
    )
    acme = replace(BOB, tenant="acme")
    github, sam, x = a_tool(name="github_a"), a_tool(name="sam_a"), a_tool(name="x")

    assert await refusals(limit, [(agent, github), (replace(agent, id="eve"), github), (BOB, github)]) == [
        None,
        "1 calls to github_* by the role agent per 60 s are used up; try again in 60 s",
        None,
    ]
    assert await refusals(limit, [(ADA, sam), (BOB, sam), (acme, sam)]) == [
        None,
        "1 calls to sam_* of default per 60 s are used up; try again in 60 s",
        None,
    ]
    assert await refusals(limit, [(ADA, x), (ADA, x), (acme, x), (acme, x)]) == [
        None,
        None,
        None,
        "1 calls to x per 60 s are used up; try again in 60 s",
    ]


async def test_what_the_other_side_allows_is_shared_by_all_callers_and_by_integrations_with_one_key() -> None:
    rate, stricter = Rate(1000, 3600, "api.data.gov"), Rate(2, 3600, "api.data.gov")
    perdiem, calc = (a_tool(name=name, integration=name, rates=(rate, stricter)) for name in ("perdiem", "calc"))

    said = await refusals(a_limit(), [(ADA, perdiem), (BOB, calc), (ADA, calc), (ADA, a_tool())])

    assert said == [None, None, "2 calls of everybody to api.data.gov per 3600 s are used up; try again in 3600 s", None]


async def test_a_refused_call_takes_from_no_other_limit() -> None:
    clock = FakeClock()
    limit = a_limit(clock, CallLimit(calls=1, per=10, tools="busy"), tier=Rates(per_minute=3))
    busy, other = a_tool(name="busy"), a_tool(name="other")

    assert [said is None for said in await refusals(limit, [(ADA, busy)] * 5 + [(ADA, other)] * 3)] == [
        *(True, False, False, False, False),
        *(True, True, False),
    ]


async def test_a_tier_that_changes_is_in_force_with_the_next_call() -> None:
    live = Live(Policy((), {"pro": Tier(limits=Rates(per_minute=1))}))
    limit = Limit(MemoryCounters(FakeClock()), live, Limits())
    tool = a_tool()
    assert [said is None for said in await refusals(limit, [(ADA, tool)] * 2)] == [True, False]

    live.current = Policy((), {"pro": Tier(limits=Rates(per_minute=2))})

    assert [said is None for said in await refusals(limit, [(ADA, tool)] * 2)] == [True, False]


class Gate:
    """A handler whose calls last until it is opened."""

    def __init__(self) -> None:
        self.open = anyio.Event()
        self.under_way = 0
        self.most = 0

    async def __call__(self, call: Call) -> Outcome:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.open.wait()
        self.under_way -= 1
        return Outcome()


async def together(limit: Limit, calls: list[Call]) -> list[str | None]:
    """What each call is refused with, when all are under way at the same time."""
    gate = Gate()
    said: list[str | None] = [None] * len(calls)

    async def one(n: int) -> None:
        try:
            await limit(calls[n], gate)
        except (LimitReached, Busy) as error:
            said[n] = f"{error.code}: {error}"

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for n in range(len(calls)):
                tasks.start_soon(one, n)
            await anyio.wait_all_tasks_blocked()
            gate.open.set()
    return said


async def test_a_user_has_so_many_calls_at_once_and_room_again_when_they_are_over() -> None:
    limit = a_limit(tier=Rates(concurrency=2))
    calls = [a_call(principal=ADA), a_call(principal=ADA), a_call(principal=ADA), a_call(principal=BOB)]
    full = "limit_reached: ada has 2 calls under way, as many as the tier pro may have at once; try again in 1 s"

    assert await together(limit, calls) == [None, None, full, None]
    assert await together(limit, calls) == [None, None, full, None]
    assert not limit._under_way


async def test_an_integration_is_sent_so_many_calls_at_once_over_all_callers_nested_ones_too() -> None:
    tool = a_tool(integration="sam", concurrency=2)
    calls = [a_call(tool, principal=ADA), a_call(tool, principal=BOB, depth=1, parent_id="p"), a_call(tool, principal=BOB)]

    assert await together(a_limit(), calls) == [
        None,
        None,
        "limit_reached: 2 calls to sam are under way, as many as it is sent at once; try again in 1 s",
    ]


async def test_a_process_that_is_full_says_busy() -> None:
    calls = [a_call(principal=ADA), a_call(principal=BOB), a_call(principal=BOB, depth=1, parent_id="p")]

    assert await together(a_limit(in_flight=1), calls) == [
        None,
        "busy: 1 calls are under way here, as many as are carried at once; try again in 1 s",
        None,
    ]


async def test_a_call_within_a_call_does_not_wait_for_itself() -> None:
    limit = a_limit(tier=Rates(concurrency=1), in_flight=1)
    inner = Echo()

    async def outer(call: Call) -> Outcome:
        return await limit(a_call(a_tool(name="inner"), depth=call.depth + 1, parent_id=call.id), inner)

    await limit(a_call(a_tool(name="outer")), outer)

    assert [call.tool.name for call in inner.seen] == ["inner"]


async def test_calls_within_calls_count_for_their_users_minute() -> None:
    limit = a_limit(tier=Rates(per_minute=1))
    await limit(a_call(depth=1, parent_id="p"), Echo())

    with pytest.raises(LimitReached):
        await limit(a_call(), Echo())


async def test_a_worker_lets_its_share_of_calls_at_once_through() -> None:
    calls = [a_call(principal=ADA)] * 3

    said = await together(a_limit(tier=Rates(concurrency=8), workers=4), calls)

    assert [one is None for one in said] == [True, True, False]


@pytest.mark.parametrize("ending", [RuntimeError, anyio.get_cancelled_exc_class])
async def test_a_call_that_dies_makes_room(ending: Any) -> None:
    limit = a_limit(tier=Rates(concurrency=1))

    async def die(call: Call) -> Outcome:
        raise ending() if ending is RuntimeError else ending()()

    for _ in range(2):
        with pytest.raises(RuntimeError if ending is RuntimeError else anyio.get_cancelled_exc_class()):
            await limit(a_call(), die)


PARTS = st.lists(st.text(max_size=6) | st.sampled_from(["a/b", "c", "a", "b/c", "b:c", ""]), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_have_different_keys(one: list[str], other: list[str]) -> None:
    assert (key(*one) == key(*other)) == (one == other)


def test_the_keys_that_the_usual_identifiers_would_merge_are_apart() -> None:
    assert key("a/b", "c") != key("a", "b/c")


async def test_users_and_tenants_whose_names_join_alike_are_counted_apart() -> None:
    limit = a_limit(tier=Rates(per_minute=1))
    tool = a_tool()
    one, other = replace(ADA, tenant="a", id="b:c"), replace(ADA, tenant="a:b", id="c")

    assert await refusals(limit, [(one, tool), (other, tool)]) == [None, None]


@given(
    asked=st.lists(st.tuples(st.floats(0, 15), st.sampled_from([ADA, BOB]), st.sampled_from(["github_a", "github_b", "sam"])), max_size=60)
)
async def test_whatever_is_asked_no_window_of_any_limit_holds_too_many(asked: list[tuple[float, Principal, str]]) -> None:
    clock = FakeClock()
    limit = a_limit(clock, CallLimit(calls=2, per=20, tools="github_*", by=("tool",)), tier=Rates(per_minute=4))
    tools = {name: a_tool(name=name, rates=(Rate(5, 60, "all"),)) for name in ("github_a", "github_b", "sam")}
    admitted: list[tuple[float, Principal, str]] = []
    for step, principal, name in asked:
        clock.now += step
        if await refusals(limit, [(principal, tools[name])]) == [None]:
            admitted.append((clock.now, principal, name))

    for now, principal, name in admitted:
        minute = [call for call in admitted if now <= call[0] < now + 60]
        assert len(minute) <= 5
        assert len([call for call in minute if call[1] == principal]) <= 4
        if name != "sam":
            assert len([call for call in admitted if now <= call[0] < now + 20 and call[2] == name]) <= 2
