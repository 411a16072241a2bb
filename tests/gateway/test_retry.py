"""What is tried again and what never is, and what is left alone for a while."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Annotations, Call, Outcome, Problem, Text, Tool
from toolgate.errors import (
    AnswerTooLarge,
    EgressBlocked,
    InvalidArguments,
    ProtocolError,
    Suspended,
    TimedOut,
    ToolgateError,
    Unreachable,
    UpstreamFailed,
)
from toolgate.gateway.breaker import Breaker, Breakers
from toolgate.gateway.retry import MOST, Trouble, pause, trouble
from toolgate.gateway.run import Run
from toolgate.settings import Upstreams
from toolgate.testing import READS, WRITES, FakeClock, a_call, a_tool

IDEMPOTENT = Annotations(idempotent=True)
GOOD = Outcome((Text("done"),))


def answered(status: int, effect: Any = "none", retry_after: float | None = None) -> Outcome:
    """What an OpenAPI tool makes of such an answer."""
    return Outcome(problem=Problem("upstream_failed", f"answered with {status}", retry_after, {"status": status}), effect=effect)


@dataclass
class Upstream:
    """Ends each call in turn as scripted, the last way for ever."""

    endings: Sequence[Outcome | ToolgateError]
    calls: int = 0

    async def __call__(self, call: Call) -> Outcome:
        self.calls += 1
        ending = self.endings[min(self.calls, len(self.endings)) - 1]
        if isinstance(ending, ToolgateError):
            raise ending
        return ending


@dataclass
class World:
    clock: FakeClock = field(default_factory=FakeClock)
    slept: list[float] = field(default_factory=list)
    settings: Upstreams = field(default_factory=Upstreams)

    def __post_init__(self) -> None:
        self.breakers = Breakers(self.settings, self.clock)
        self.run = Run(self.breakers, self.settings.attempts, chance=lambda: 1.0, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def a_remote(upstream: Upstream, annotations: Annotations = READS, **more: Any) -> Tool:
    return replace(a_tool(upstream, name="t", integration="acme", **more), annotations=annotations)


LOST = UpstreamFailed("closed the connection without an answer")


@pytest.mark.parametrize(
    ("annotations", "ending", "attempts"),
    [
        # nothing was sent, or the other side says that it did nothing: always
        (WRITES, Unreachable("nobody there"), 3),
        (WRITES, answered(429), 3),
        # something may have happened: only where twice is the same as once
        (READS, LOST, 3),
        (IDEMPOTENT, LOST, 3),
        (WRITES, LOST, 1),
        (READS, answered(503), 3),
        (READS, UpstreamFailed("502", 502), 3),
        (IDEMPOTENT, answered(504, "unknown"), 3),
        (WRITES, answered(502, "unknown"), 1),
        (WRITES, answered(503, "unknown"), 1),
        (WRITES, UpstreamFailed("503", 503), 1),
        # trouble that does not pass, or nobody knows
        (READS, answered(500), 1),
        (READS, answered(501), 1),
        (READS, answered(404), 1),
        (READS, UpstreamFailed("403", 403), 1),
        (READS, TimedOut("too late"), 1),
        (READS, AnswerTooLarge("cut"), 1),
        (READS, InvalidArguments("no"), 1),
        (READS, EgressBlocked("not there"), 1),
        (READS, Outcome(problem=Problem("mentions_nobody", "of our own")), 1),
    ],
)
async def test_only_what_is_safe_is_tried_again(annotations: Annotations, ending: Outcome | ToolgateError, attempts: int) -> None:
    upstream = Upstream([ending, ending, ending, GOOD])

    ended = await endings(World(), a_remote(upstream, annotations), 1)

    assert ended == [ending.problem.code if isinstance(ending, Outcome) and ending.problem else getattr(ending, "code", "")]
    assert upstream.calls == attempts


async def test_an_attempt_that_succeeds_ends_it_and_the_audit_hears_how_many_there_were() -> None:
    world, upstream = World(), Upstream([answered(503), Unreachable("nobody there"), GOOD])

    outcome = await world.run(a_call(a_remote(upstream)))

    assert outcome == replace(GOOD, notes={"run": {"attempts": 3}})
    assert world.slept == [0.25, 0.5]


async def test_what_the_other_side_asks_for_is_waited_and_no_longer_than_the_deadline() -> None:
    world = World()

    await world.run(a_call(a_remote(Upstream([answered(429, retry_after=2), GOOD]))))
    impatient = await world.run(a_call(a_remote(Upstream([answered(429, retry_after=2), GOOD]), timeout=2)))
    long = await world.run(a_call(a_remote(Upstream([answered(429, retry_after=11), GOOD]))))

    assert world.slept == [2.25]
    assert [outcome.problem.retry_after for outcome in (impatient, long) if outcome.problem] == [2, 11]


async def test_an_effect_that_may_have_happened_is_not_forgotten_over_a_later_failure() -> None:
    lost_first = Upstream([LOST, Unreachable("nobody there")])
    told_first = Upstream([answered(504, "unknown"), answered(429)])

    with pytest.raises(UpstreamFailed) as failed:
        await World().run(a_call(a_remote(lost_first, IDEMPOTENT)))
    outcome = await World().run(a_call(a_remote(told_first, IDEMPOTENT)))

    assert failed.value is LOST
    assert failed.value.notes == {"run": {"attempts": 3}}
    assert (outcome.effect, outcome.problem) == ("unknown", answered(504, "unknown").problem)


async def test_tools_that_are_answered_in_this_process_are_not_tried_again() -> None:
    upstream = Upstream([Unreachable("nobody there")])
    world = World()

    with pytest.raises(Unreachable):
        await world.run(a_call(a_remote(upstream, remote=False)))

    assert upstream.calls == 1


async def test_what_a_face_does_in_place_of_a_remote_tool_is_tried_again_as_that_is() -> None:
    tools, faces = Upstream([GOOD]), Upstream([Unreachable("nobody there"), GOOD])

    outcome = await World().run(a_call(a_remote(tools), work=faces))

    assert (outcome.content, tools.calls, faces.calls) == (GOOD.content, 0, 2)


async def test_a_tool_that_does_not_end_in_time_is_timed_out() -> None:
    async def hang(call: Call) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.fail_after(20), pytest.raises(TimedOut, match=r"^echo did not answer within 0.05 s$"):
        await World().run(a_call(a_tool(hang, timeout=0.05)))


@given(
    effect_unknown=st.booleans(),
    passing=st.booleans(),
    retry_after=st.none() | st.floats(0, 100),
    attempt=st.integers(1, 20),
    chance=st.floats(0, 1),
)
def test_a_write_of_unknown_effect_is_never_repeated_and_pauses_are_bounded(
    effect_unknown: bool, passing: bool, retry_after: float | None, attempt: int, chance: float
) -> None:
    found = Trouble(effect_unknown, passing, True, retry_after)

    for effects in (READS, IDEMPOTENT, WRITES):
        wait = pause(found, effects, attempt, lambda: chance)
        if wait is not None:
            assert passing
            assert not (effect_unknown and effects == WRITES)
            assert (retry_after or 0) <= wait <= (retry_after or 0) + MOST


@pytest.mark.parametrize(("status", "ill"), [(None, True), (500, True), (502, True), (501, False), (429, False), (404, False)])
def test_only_failures_of_the_other_side_speak_against_it(status: int | None, ill: bool) -> None:
    found = trouble(UpstreamFailed("x", status), READS)

    assert found is not None
    assert found.ill is ill


async def endings(world: World, tool: Tool, calls: int) -> list[str]:
    """`ok`, the code of the problem, or of the error, of each call."""
    codes = []
    for _ in range(calls):
        try:
            outcome = await world.run(a_call(tool))
            codes.append(outcome.problem.code if outcome.problem else "ok")
        except ToolgateError as error:
            codes.append(error.code)
    return codes


ONCE = Upstreams(attempts=1, failures=3)


@pytest.mark.parametrize("failure", [Unreachable("nobody there"), LOST, answered(500), TimedOut("too late")])
async def test_what_keeps_failing_is_left_alone_until_one_call_finds_it_answering(failure: Outcome | ToolgateError) -> None:
    world, upstream = World(settings=ONCE), Upstream([failure] * 4 + [GOOD])
    tool = a_remote(upstream)
    code = failure.code if isinstance(failure, ToolgateError) else "upstream_failed"

    assert await endings(world, tool, 5) == [code, code, code, "suspended", "suspended"]
    with pytest.raises(Suspended, match=r"^acme failed 3 times in a row and is left alone for a while; try again in 30 s$"):
        await world.run(a_call(tool))
    assert world.breakers.suspended() == {"acme": 30}

    world.clock.now += 30
    assert world.breakers.suspended() == {}
    assert await endings(world, tool, 2) == [code, "suspended"]

    world.clock.now += 30
    assert await endings(world, tool, 3) == ["ok", "ok", "ok"]
    assert upstream.calls == 7


async def test_other_integrations_go_on() -> None:
    world = World(settings=ONCE)
    await endings(world, a_remote(Upstream([LOST])), 3)

    assert await endings(world, replace(a_remote(Upstream([GOOD])), integration="other"), 1) == ["ok"]


@pytest.mark.parametrize(
    "between", [GOOD, answered(404), answered(429), answered(501), AnswerTooLarge("cut"), ProtocolError("a bug", -32603)]
)
async def test_an_answer_of_any_kind_shows_that_it_is_there(between: Outcome | ToolgateError) -> None:
    world = World(settings=ONCE)
    tool = a_remote(Upstream([LOST, LOST, between, LOST, LOST, GOOD]), WRITES)

    assert (await endings(world, tool, 6))[-1] == "ok"


@pytest.mark.parametrize("unsent", [InvalidArguments("no"), Suspended("acme is being begun again", 1.0)])
async def test_what_never_left_says_nothing(unsent: ToolgateError) -> None:
    world = World(settings=ONCE)
    tool = a_remote(Upstream([LOST, LOST, unsent, LOST, GOOD]), WRITES)

    assert (await endings(world, tool, 5))[-1] == "suspended"


async def test_failures_that_are_far_apart_do_not_add_up() -> None:
    world = World(settings=ONCE)
    tool = a_remote(Upstream([LOST]), WRITES)
    await endings(world, tool, 2)
    world.clock.now += 61

    assert await endings(world, tool, 3) == ["upstream_failed", "upstream_failed", "upstream_failed"]
    assert await endings(world, tool, 1) == ["suspended"]


async def test_a_call_in_the_middle_of_its_attempts_tells_its_own_failure_when_the_rest_begins() -> None:
    world = World(settings=Upstreams(attempts=3, failures=2))
    upstream = Upstream([answered(503)])

    outcome = await world.run(a_call(a_remote(upstream)))

    assert (outcome.problem, outcome.notes, upstream.calls) == (answered(503).problem, {"run": {"attempts": 2}}, 2)


@pytest.mark.parametrize(("ill", "state"), [(False, "closed"), (True, "open"), (None, "half open")])
def test_one_attempt_at_a_time_finds_out(ill: bool | None, state: str) -> None:
    clock = FakeClock()
    breaker = Breaker("acme", Upstreams(failures=1), clock)
    breaker.enter()
    breaker.ended(ill=True)
    clock.now += 30
    assert breaker.state == "half open"

    breaker.enter()
    with pytest.raises(Suspended):
        breaker.enter()
    breaker.ended(ill)

    assert breaker.state == state


async def test_a_call_that_is_taken_back_lets_the_next_one_find_out() -> None:
    world = World(settings=Upstreams(attempts=1, failures=1))
    await endings(world, a_remote(Upstream([LOST])), 1)
    world.clock.now += 30

    async def hang(call: Call) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    with anyio.move_on_after(0.01):
        await world.run(a_call(replace(a_remote(Upstream([])), run=hang)))

    assert await endings(world, a_remote(Upstream([GOOD])), 1) == ["ok"]
