from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import ModelFailed
from toolgate.llm.breaker import LONGEST, Breakers
from toolgate.llm.model import Model
from toolgate.testing import FakeClock

A, B = Model("acme", "a"), Model("acme", "b")
ILL = ModelFailed("", "transient", reason="server_error", status=503)
BUSY = ModelFailed("", "transient", reason="rate_limited", status=429, retry_after=7)


def world(chance: float = 0.0) -> tuple[FakeClock, Breakers]:
    clock = FakeClock(1000.0)
    return clock, Breakers(clock, lambda: chance)


def attempt(breakers: Breakers, failed: ModelFailed | None = None, model: Model = A) -> None:
    passed = breakers.enter(model)
    assert passed
    breakers.ended(passed, failed)


def test_three_failures_in_a_row_open_it_for_this_model_alone() -> None:
    _, breakers = world()
    attempt(breakers, ILL)
    attempt(breakers, ILL)
    assert breakers.available(A) is None

    attempt(breakers, ILL)

    assert breakers.available(A) == "it kept failing, and is left alone for 15 s"
    assert not breakers.enter(A)
    assert breakers.available(B) is None


def test_half_of_five_calls_within_thirty_seconds_open_it() -> None:
    clock, breakers = world()
    for failed in (ILL, None, ILL, None):
        attempt(breakers, failed)
    assert breakers.available(A) is None

    attempt(breakers, ILL)

    assert breakers.available(A) == "it kept failing, and is left alone for 15 s"
    clock.now += 30


def test_what_is_long_ago_no_longer_counts() -> None:
    clock, breakers = world()
    for failed in (ILL, None, ILL, None):
        attempt(breakers, failed)

    clock.now += 30
    attempt(breakers, ILL)

    assert breakers.available(A) is None


def test_after_the_rest_one_attempt_tries_and_the_others_wait_for_it() -> None:
    clock, breakers = world()
    for _ in range(3):
        attempt(breakers, ILL)

    clock.now += 15

    first = breakers.enter(A)
    assert first
    assert first.trying
    assert not breakers.enter(A)
    assert breakers.available(A) == "it failed lately, and another request is just finding out whether it answers again"
    breakers.ended(first, None)
    assert breakers.available(A) is None
    assert breakers.enter(A)


def test_each_failed_try_doubles_the_rest_up_to_two_minutes() -> None:
    clock, breakers = world()
    for _ in range(3):
        attempt(breakers, ILL)
    rests = []
    for _ in range(5):
        rests.append(breakers.left(A.id))
        clock.now += breakers.left(A.id)
        attempt(breakers, ILL)

    assert rests == [15, 30, 60, 120, 120]


def test_a_try_that_was_cancelled_says_nothing() -> None:
    clock, breakers = world()
    for _ in range(3):
        attempt(breakers, ILL)
    clock.now += 15
    first = breakers.enter(A)
    assert first

    breakers.gave_up(first)

    second = breakers.enter(A)
    assert second
    assert second.trying


def test_an_attempt_that_began_before_the_rest_does_not_end_it() -> None:
    clock, breakers = world()
    old = breakers.enter(A)
    for _ in range(3):
        attempt(breakers, ILL)
    clock.now += 15
    assert old
    assert breakers.enter(A)

    breakers.ended(old, ILL)

    assert not breakers.enter(A)
    assert breakers.available(A) == "it failed lately, and another request is just finding out whether it answers again"


def test_who_asks_for_a_pause_gets_it_and_is_not_held_for_ill() -> None:
    clock, breakers = world()
    for _ in range(6):
        attempt(breakers, BUSY)
        assert breakers.available(A) == "it takes no more requests for a moment, and is left alone for 7 s"
        clock.now += 7

    assert breakers.available(A) is None
    assert breakers.enter(A)


@pytest.mark.parametrize("reason", ["authentication", "permission", "quota", "model_unknown"])
def test_what_no_attempt_can_mend_is_tried_again_after_a_minute(reason: str) -> None:
    _, breakers = world()

    attempt(breakers, ModelFailed("", "provider", reason=reason))

    assert breakers.left(A.id) == 60
    assert "its provider" in (breakers.available(A) or "")


@pytest.mark.parametrize(
    "failed",
    [ModelFailed("", "request", reason="invalid"), *(ModelFailed("", "provider", reason=r) for r in ("context_exceeded", "refused"))],
)
def test_a_prompt_that_is_wrong_says_nothing_against_the_model(failed: ModelFailed) -> None:
    _, breakers = world()
    for _ in range(10):
        attempt(breakers, failed)

    assert breakers.available(A) is None


def test_the_soonest_is_known_of_several() -> None:
    _, breakers = world()
    attempt(breakers, BUSY)
    attempt(breakers, ModelFailed("", "provider", reason="quota"), B)

    assert breakers.soonest([A.id, B.id, "acme/c"]) == 7
    assert breakers.soonest(["acme/c"]) is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["well", "ill", "busy", "wrong", "gave up"]), st.floats(0, 40), st.floats(0, 1)), min_size=1, max_size=60
)


@given(STEPS)
def test_never_more_than_one_tries_and_every_model_is_tried_again_some_time(steps: list[tuple[str, float, float]]) -> None:
    clock = FakeClock(1000.0)
    chances = iter([chance for _, _, chance in steps] * 2)
    breakers = Breakers(clock, lambda: next(chances))
    endings = {"well": None, "ill": ILL, "busy": BUSY, "wrong": ModelFailed("", "request")}
    for ending, seconds, _ in steps:
        clock.now += seconds
        why = breakers.available(A)
        if passed := breakers.enter(A):
            assert why is None
            assert bool(breakers.enter(A)) == (not passed.trying)
            breakers.gave_up(passed) if ending == "gave up" else breakers.ended(passed, endings[ending])
        assert breakers.left(A.id) <= LONGEST
    clock.now += LONGEST

    assert breakers.enter(A)
