"""One effect for one idempotency key."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.gateway.replaying import AGAIN, DAY, DONE, PUTS, UNKNOWN, Crowd, Slow, Works, a_replay, an_order, settle_down
from toolgate.calls import Annotations, Binary, Call, Outcome, Problem, Text
from toolgate.errors import (
    AuditUnavailable,
    KeyReused,
    OutcomeUnknown,
    OverBudget,
    TimedOut,
    ToolgateError,
    Unreachable,
    UpstreamFailed,
)
from toolgate.gateway import build_gateway
from toolgate.gateway.replay import NestedKeys, Replay
from toolgate.money import Price
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Replay as ReplaySettings
from toolgate.settings import Settings
from toolgate.stores import Records
from toolgate.stores.lease import Alone
from toolgate.stores.memory import MemoryJournal, MemoryRecords, memory_stores
from toolgate.telemetry import Metrics
from toolgate.testing import READS, WRITES, Echo, FakeClock, a_principal, a_tool


async def test_a_call_without_a_key_is_left_alone() -> None:
    records = MemoryRecords()
    works = Works([DONE, DONE])

    first = await a_replay(records)(an_order(None), works)

    assert first is DONE
    assert await records.list("replay") == []


async def test_who_comes_later_with_the_same_key_gets_the_same_outcome_for_nothing() -> None:
    works, replay = Works([DONE]), a_replay()

    first = await replay(an_order(n=1), works)
    second = await replay(an_order(n=1), works)

    assert first == replace(DONE, notes={"spend": {"reserved": 700}, "replay": "stored"})
    assert second == AGAIN
    assert works.calls == 1


async def test_who_comes_meanwhile_waits_for_the_same_outcome() -> None:
    slow, replay = Slow(), a_replay()
    outcomes: list[Outcome] = []

    async def call() -> None:
        outcomes.append(await replay(an_order(), slow))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(call)
        await slow.began.wait()
        await settle_down()
        assert (slow.calls, outcomes) == (1, [])
        slow.go_on.set()

    assert slow.calls == 1
    assert sorted(outcomes, key=lambda outcome: outcome.replayed) == [
        replace(DONE, notes={"spend": {"reserved": 700}, "replay": "stored"}),
        replace(AGAIN, notes={"replay": "waited"}),
        replace(AGAIN, notes={"replay": "waited"}),
    ]


async def test_the_same_key_with_other_arguments_is_refused_whether_the_first_has_ended_or_not() -> None:
    slow, replay = Slow(), a_replay()
    said = "this idempotency key came with another call of order before, with other arguments; send the same arguments, or another key"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(replay, an_order(n=1), slow)
        await slow.began.wait()
        with pytest.raises(KeyReused) as meanwhile:
            await replay(an_order(n=2), slow)
        slow.go_on.set()
    with pytest.raises(KeyReused) as later:
        await replay(an_order(n=2), slow)

    assert (str(meanwhile.value), str(later.value)) == (said, said)
    assert slow.calls == 1


@pytest.mark.parametrize(("one", "other"), [(2**64, str(2**64)), ("\ud800", "?"), ("\ud800", "\ud801")])
async def test_arguments_that_json_has_no_bytes_for_are_told_apart_too(one: Any, other: Any) -> None:
    works, replay = Works([DONE]), a_replay()
    await replay(an_order(n=one), works)

    with pytest.raises(KeyReused):
        await replay(an_order(n=other), works)
    again = await replay(an_order(n=one), works)

    assert again == AGAIN


@pytest.mark.parametrize(
    "other",
    [
        an_order("l"),
        an_order("k", user="bob"),
        replace(an_order(), tool=a_tool(name="cancel", reads=False)),
        replace(an_order(), principal=replace(a_principal(id="ada"), tenant="other")),
        replace(an_order(), principal=replace(a_principal(id="ada"), acting_for=("bob",))),
    ],
)
async def test_a_key_is_its_callers_and_its_tools(other: Call) -> None:
    works, replay = Works([DONE, DONE]), a_replay()
    await replay(an_order(), works)

    outcome = await replay(other, works)

    assert (outcome.replayed, works.calls) == (False, 2)


def test_names_of_what_is_to_happen_once_do_not_run_into_each_other() -> None:
    def name(tenant: str, id: str, *acting_for: str, key: str = "k") -> str:
        principal = replace(a_principal(id=id), tenant=tenant, acting_for=acting_for)
        return replace(an_order(), principal=principal, idempotency_key=key).once

    names = [name("a", "bc"), name("ab", "c"), name("a", "b", "c"), name("a", "b", "corder"), name("a", "b", key="ck"), name("a", "b")]

    assert len(set(names)) == len(names)
    assert an_order(None).once != an_order(None).once


@pytest.mark.parametrize("refusal", [OverBudget("too dear"), AuditUnavailable("the disk is full")])
async def test_a_refusal_is_not_remembered(refusal: ToolgateError) -> None:
    works, replay = Works([refusal, DONE]), a_replay()
    with pytest.raises(type(refusal)):
        await replay(an_order(), works)

    outcome = await replay(an_order(), works)

    assert (outcome.replayed, works.calls) == (False, 2)


@pytest.mark.parametrize(
    "ending", [Unreachable("nobody answers"), Outcome(problem=Problem("upstream_failed", "no such thing"), effect="none")]
)
async def test_a_failure_that_surely_did_nothing_may_be_tried_again(ending: Outcome | ToolgateError) -> None:
    works, replay = Works([ending, DONE]), a_replay()
    with suppress(Unreachable):
        await replay(an_order(), works)

    outcome = await replay(an_order(), works)

    assert (outcome.ok, outcome.replayed, works.calls) == (True, False, 2)


async def test_who_waited_for_a_failure_gets_it_too_but_not_a_refusal() -> None:
    endings: list[str] = []

    async def call(replay: Replay, slow: Slow) -> None:
        try:
            outcome = await replay(an_order(), slow)
            endings.append(outcome.problem.code if outcome.problem else "ok")
        except ToolgateError as error:
            endings.append(f"raised {error.code}")

    for error in (Unreachable("nobody answers"), OverBudget("too dear")):
        slow = Slow(error)
        replay = a_replay()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, replay, slow)
            await slow.began.wait()
            tasks.start_soon(call, replay, slow)
            await settle_down()
            slow.go_on.set()

    assert endings == ["raised unreachable", "unreachable", "raised over_budget", "raised over_budget"]


@pytest.mark.parametrize("error", [TimedOut("too late"), UpstreamFailed("cut off")])
async def test_an_unknown_outcome_stays_unknown(error: ToolgateError) -> None:
    works, replay = Works([error, DONE]), a_replay()
    with pytest.raises(type(error)):
        await replay(an_order(), works)

    outcome = await replay(an_order(), works)

    assert outcome == Outcome(problem=Problem(error.code, str(error)), effect="unknown", replayed=True, notes={"replay": "hit"})
    assert works.calls == 1


@pytest.mark.parametrize("annotations", [READS, PUTS])
async def test_what_may_be_done_twice_is_tried_again_after_an_unknown_outcome(annotations: Annotations) -> None:
    works, replay = Works([TimedOut("too late"), DONE]), a_replay()
    with pytest.raises(TimedOut):
        await replay(an_order("k", annotations), works)

    outcome = await replay(an_order("k", annotations), works)

    assert (outcome.ok, outcome.replayed) == (True, False)


@pytest.mark.parametrize(("annotations", "heard"), [(WRITES, Outcome(problem=Problem("unknown", UNKNOWN), effect="unknown")), (PUTS, DONE)])
async def test_when_the_first_is_cancelled_those_who_wait_hear_that_nobody_knows_or_do_it(annotations: Annotations, heard: Outcome) -> None:
    slow, replay = Slow(), a_replay()
    outcomes: list[Outcome] = []

    async def wait() -> None:
        outcomes.append(await replay(an_order("k", annotations), slow))

    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as caller:
            async with anyio.create_task_group() as firsts:
                firsts.start_soon(replay, an_order("k", annotations), slow)
                await slow.began.wait()
                tasks.start_soon(wait)
                await settle_down()
                caller.cancel()
        slow.go_on.set()
    later = await replay(an_order("k", annotations), slow)

    assert [(outcome.problem, outcome.effect, outcome.structured) for outcome in (*outcomes, later)] == [
        (heard.problem, heard.effect, heard.structured)
    ] * 2
    assert slow.calls == (1 if annotations is WRITES else 2)


class Unhurried(MemoryRecords):
    """Records that take their time to write."""

    async def put(self, *args: Any, **more: Any) -> bool:
        await checkpoint()
        return await super().put(*args, **more)


async def test_a_call_that_is_cancelled_still_says_so_to_other_processes() -> None:
    records, slow = Unhurried(FakeClock()), Slow()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(a_replay(records, Crowd("here", "there")), an_order(), slow)
        await slow.began.wait()
        tasks.cancel_scope.cancel()

    outcome = await a_replay(records, Crowd("there", "here"))(an_order(), slow)

    assert (outcome.problem, outcome.effect, slow.calls) == (Problem("unknown", UNKNOWN), "unknown", 1)


async def test_after_a_bug_nobody_knows() -> None:
    works, replay = Works([ZeroDivisionError(), DONE]), a_replay()
    with pytest.raises(ZeroDivisionError):
        await replay(an_order(), works)

    outcome = await replay(an_order(), works)

    assert (outcome.problem, outcome.effect) == (Problem("unknown", UNKNOWN), "unknown")


async def left_behind(records: Records, call: Call, instance: str) -> None:
    """A claim of another process, made by its own code."""
    slow = Slow()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(a_replay(Deaf(records), Crowd(instance)), call, slow)
            await slow.began.wait()
            scope.cancel()


class Deaf:
    """Records of a process that dies: after the claim nothing is written."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._claimed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    async def put(self, *args: Any, **more: Any) -> bool:
        if self._claimed:
            return False
        self._claimed = True
        return await self._records.put(*args, **more)

    async def delete(self, kind: str, id: str) -> bool:
        return False


async def test_what_a_dead_process_began_may_have_happened_and_is_not_made_again() -> None:
    records, works = MemoryRecords(FakeClock()), Works([DONE])
    await left_behind(records, an_order(), "gone")

    for _ in range(2):
        with pytest.raises(OutcomeUnknown) as unknown:
            await a_replay(records, Crowd("here"))(an_order(), works)
        assert str(unknown.value) == UNKNOWN

    assert works.calls == 0


async def test_what_a_dead_process_began_is_done_by_the_next_if_twice_is_once() -> None:
    records, works = MemoryRecords(FakeClock()), Works([DONE])
    await left_behind(records, an_order("k", PUTS), "gone")

    first = await a_replay(records, Crowd("here"))(an_order("k", PUTS), works)
    second = await a_replay(records, Crowd("there"))(an_order("k", PUTS), works)

    assert [first.notes["replay"], second.notes["replay"]] == ["stored", "hit"]
    assert works.calls == 1


async def test_the_other_arguments_are_refused_after_a_crash_too() -> None:
    records = MemoryRecords(FakeClock())
    await left_behind(records, an_order(n=1), "gone")

    with pytest.raises(KeyReused):
        await a_replay(records, Crowd("here"))(an_order(n=2), Works([DONE]))


async def test_in_another_process_who_comes_meanwhile_waits_for_the_record() -> None:
    records, slow = MemoryRecords(FakeClock()), Slow()
    here, there = a_replay(records, Crowd("here", "there")), a_replay(records, lives := Crowd("there", "here"))
    outcomes: list[Outcome] = []

    async def wait() -> None:
        outcomes.append(await there(an_order(), slow))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here, an_order(), slow)
        await slow.began.wait()
        tasks.start_soon(wait)
        await settle_down()
        assert outcomes == []
        slow.go_on.set()

    assert outcomes == [AGAIN]
    assert lives.joined
    assert slow.calls == 1


@pytest.mark.parametrize("elsewhere", [True, False])
async def test_nobody_waits_longer_than_the_call_may_take(elsewhere: bool) -> None:
    records, slow = MemoryRecords(FakeClock()), Slow()
    first = a_replay(records, Crowd("here", "there"))
    second = a_replay(records, Crowd("there", "here")) if elsewhere else first
    impatient = an_order()
    impatient = replace(impatient, tool=replace(impatient.tool, timeout=0.01))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first, an_order(), slow)
        await slow.began.wait()
        with pytest.raises(TimedOut) as late:
            await second(impatient, slow)
        slow.go_on.set()

    assert str(late.value) == "the first call of order with this idempotency key is still under way; send the same again to hear of it"


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Outcome((Text("x" * 2000),), {"a": "y" * 2000}, meta={"status": 201, "next": {}}), "is larger than the 1000 bytes that are kept"),
        (Outcome((Text("half a \ud800 pair"),), meta={"status": 201}), "cannot be kept"),
        (Outcome(structured=2**70, meta={"status": 201}), "cannot be kept"),
    ],
)
async def test_of_an_answer_that_cannot_be_kept_remains_that_it_was_done(outcome: Outcome, why: str) -> None:
    works, replay = Works([outcome]), a_replay(max_bytes=1000)
    await replay(an_order(), works)

    again = await replay(an_order(), works)

    said = f"order was done by an earlier call with this idempotency key. Its answer {why}: read anew what you need of it."
    assert again == Outcome((Text(said),), meta={"status": 201}, replayed=True, notes={"replay": "hit"})


async def test_files_and_texts_come_back_as_they_were() -> None:
    outcome = Outcome((Text("ü"), Binary(b"\x00\xff", "image/png", "x:y")), effect="done")
    works, replay = Works([outcome]), a_replay()
    await replay(an_order(), works)

    assert await replay(an_order(), works) == replace(outcome, replayed=True, notes={"replay": "hit"})


async def test_a_key_is_free_again_when_its_time_is_over() -> None:
    clock, works = FakeClock(), Works([DONE, DONE])
    replay = a_replay(clock=clock)
    await replay(an_order(n=1), works)
    clock.now = DAY - 1
    assert (await replay(an_order(n=1), works)).replayed

    clock.now = DAY
    outcome = await replay(an_order(n=2), works)

    assert (outcome.replayed, works.calls) == (False, 2)


class Failing(MemoryRecords):
    """Records that cannot be changed once `broken`."""

    broken = False

    async def put(self, *args: Any, **more: Any) -> bool:
        if self.broken:
            raise AuditUnavailable("the disk is full")
        return await super().put(*args, **more)


async def test_an_outcome_that_cannot_be_remembered_is_given_once_and_unknown_after() -> None:
    records = Failing(FakeClock())
    replay = a_replay(records)

    async def work(call: Call) -> Outcome:
        records.broken = True
        return DONE

    first = await replay(an_order(), work)
    records.broken = False

    assert first.notes["replay"] == "lost"
    with pytest.raises(OutcomeUnknown):
        await replay(an_order(), work)


async def test_nothing_happens_when_it_cannot_be_claimed() -> None:
    records, works = Failing(FakeClock()), Works([DONE])
    records.broken = True

    with pytest.raises(AuditUnavailable):
        await a_replay(records)(an_order(), works)

    assert works.calls == 0


async def test_what_becomes_of_keys_is_counted() -> None:
    metrics = Metrics()
    replay = Replay(MemoryRecords(), Alone(), ReplaySettings(), metrics)
    works = Works([DONE])

    for _ in range(3):
        await replay(an_order(), works)

    assert metrics.exposition().splitlines()[2:] == ['toolgate_replays_total{result="hit"} 2', 'toolgate_replays_total{result="stored"} 1']


# Calls that are made for a call


def test_a_nested_call_has_the_same_key_each_time_the_outer_one_is_made() -> None:
    tool = a_tool(name="create", reads=False)
    keys = []
    for _ in range(2):
        nested, parent = NestedKeys(), an_order("k")
        keys.append([nested.key(parent, tool, {"n": n}) for n in (1, 2, 1)])
        nested.forget(parent)
        assert nested.key(parent, tool, {"n": 1}) == keys[-1][0]

    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3
    assert NestedKeys().key(an_order("l"), tool, {"n": 1}) not in keys[0]
    assert NestedKeys().key(an_order("k"), a_tool(name="create", reads=True), {"n": 1}) is None
    assert NestedKeys().key(an_order(None), tool, {"n": 1}) is None


async def test_made_again_after_a_failure_a_task_does_not_repeat_the_parts_that_were_done() -> None:
    part, trouble = Echo(), [True]

    async def whole(call: Call) -> Outcome:
        for n in (1, 1, 2):
            await gateway.call("part", {"n": n}, call.principal, parent=call)
        if trouble.pop() if trouble else False:
            raise Unreachable("nobody answers")
        return Outcome((Text("all done"),))

    tools = [a_tool(part, name="part", reads=False), a_tool(whole, name="whole", reads=False, remote=False)]
    gateway = build_gateway(tools, ANYTHING, memory_stores(), Settings())

    first = await gateway.call("whole", {}, a_principal("any"), idempotency_key="k")
    second = await gateway.call("whole", {}, a_principal("any"), idempotency_key="k")

    assert (first.ok, second.ok, second.replayed) == (False, True, False)
    assert [call.arguments for call in part.seen] == [{"n": 1}, {"n": 1}, {"n": 2}]


# As a step of the gate

ANYTHING = Policy([Role(role="any", permissions=(Permission(id="all", tools="*"),))])


async def test_a_replayed_call_is_written_down_as_one_and_has_no_intent() -> None:
    journal, echo = MemoryJournal(), Echo()
    gateway = build_gateway([a_tool(echo, name="order", reads=False, price=Price(call=5000))], ANYTHING, memory_stores(journal), Settings())

    for _ in range(2):
        await gateway.call("order", {"n": 1}, a_principal("any"), idempotency_key="k")
    refused = await gateway.call("order", {"n": 2}, a_principal("any"), idempotency_key="k")

    events = [entry.body for entry in reversed(await journal.read("audit"))]
    assert len(echo.seen) == 1
    assert [event["type"] for event in events] == ["call.intent", "call.outcome", "call.outcome", "call.denied"]
    assert [(event["result"]["replayed"], event["notes"].get("replay")) for event in events[1:3]] == [(False, "stored"), (True, "hit")]
    assert [event["money"]["settled"] for event in events[1:3]] == [5000, 0]
    assert refused.problem is not None
    assert (refused.problem.code, refused.refused) == ("key_reused", True)


async def test_how_a_keyed_call_ended_can_be_asked_without_making_it() -> None:
    echo = Echo()
    everyone = Policy([Role(role="developer", permissions=(Permission(id="all", tools="*"),))])
    gateway = build_gateway([a_tool(echo, reads=False)], everyone, memory_stores(), Settings())

    async def ended(arguments: dict[str, int]) -> Outcome | None:
        return await gateway.ended("echo", arguments, a_principal(), idempotency_key="k")

    before = await ended({"n": 1})
    made = await gateway.call("echo", {"n": 1}, a_principal(), idempotency_key="k")
    after = await ended({"n": 1})

    assert before is None
    assert after is not None
    assert (after.content, after.replayed, len(echo.seen)) == (made.content, True, 1)
    with pytest.raises(KeyReused):
        await ended({"n": 2})


@pytest.mark.parametrize(("annotations", "code"), [(WRITES, "unknown"), (READS, None)])
async def test_of_a_call_whose_process_is_gone_nobody_knows_unless_twice_is_as_once(annotations: Annotations, code: str | None) -> None:
    clock = FakeClock()
    records, call = MemoryRecords(clock), an_order("k", annotations)
    await a_replay(records, Crowd("died"), clock)(call, Works([DONE]))
    there = await records.get("replay", call.once)
    assert there is not None
    # As it is until the call ends: a process that dies leaves it like this.
    await records.put("replay", call.once, {"arguments": there.body["arguments"], "instance": "died"}, replaces=there.version)

    ended = await a_replay(records, Crowd("alive"), clock).ended(call)

    assert (ended.problem.code if ended and ended.problem else None) == code
