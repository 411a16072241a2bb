"""A loop of equal calls is broken; polling, different calls and time are not in its way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from toolgate.calls import UNSET, Binary, Call, Outcome, Problem, Session, Text
from toolgate.chain import Handler
from toolgate.errors import Repeating, Unreachable
from toolgate.gateway.repeat import KEPT, Repeat
from toolgate.settings import Repeats
from toolgate.testing import Echo, FakeClock, a_call, a_principal, a_tool

ADA = a_principal(id="ada")


def a_repeat(clock: FakeClock | None = None, calls: int | None = 3) -> Repeat:
    return Repeat(Repeats(calls=calls), clock or FakeClock())


async def times(repeat: Repeat, call: Call, number: int, run: Handler | None = None) -> int:
    """How many of `number` equal calls are let through."""
    passed = 0
    for _ in range(number):
        try:
            await repeat(replace(call, id=f"{call.id}{passed}"), run or Echo())
            passed += 1
        except Repeating:
            pass
    return passed


async def test_the_same_call_with_the_same_answer_is_broken_off_with_a_sentence_that_helps() -> None:
    clock = FakeClock()
    repeat = a_repeat(clock)
    call = a_call(a_tool(name="github_list_issues"), {"owner": "a", "page": 1})
    assert await times(repeat, call, 3) == 3
    clock.now += 10

    with pytest.raises(Repeating) as refused:
        await repeat(replace(call, arguments={"page": 1, "owner": "a"}), Echo())

    assert str(refused.value) == (
        "github_list_issues was called 3 times in a row with the same arguments and brought the same each time. Calling it again will "
        "not help: use what you have, change the arguments or do something else. This very call is possible again in 50 s"
    )
    assert refused.value.retry_after == 50


async def test_time_ends_the_row() -> None:
    clock = FakeClock()
    repeat = a_repeat(clock)
    assert await times(repeat, a_call(), 5) == 3
    clock.now += 60

    assert await times(repeat, a_call(), 5) == 3


@pytest.mark.parametrize(
    "other",
    [a_call(a_tool(name="other"), {"n": 1}), a_call(arguments={"n": 2}), a_call(arguments={"n": "1"}), a_call(arguments={"n": 10**30})],
)
async def test_a_different_call_ends_the_row(other: Call) -> None:
    repeat, call = a_repeat(), a_call(arguments={"n": 1})
    assert await times(repeat, call, 5) == 3

    assert await times(repeat, other, 1) == 1

    assert await times(repeat, call, 5) == 3


async def test_another_callers_call_and_those_made_within_calls_do_not() -> None:
    repeat, call = a_repeat(), a_call()
    for other in (a_call(principal=a_principal(id="bob")), a_call(principal=replace(ADA, tenant="acme")), a_call(depth=1, parent_id="p")):
        await times(repeat, call, 1)
        await times(repeat, other, 1)

    assert await times(repeat, call, 1) == 0


async def test_what_a_face_does_in_a_form_of_its_own_is_no_loop() -> None:
    repeat = a_repeat()

    assert await times(repeat, a_call(work=Echo()), 5) == 5
    assert await times(repeat, a_call(), 5) == 3


ANSWERS = {
    "text": [Outcome((Text(f"state {n}"),)) for n in range(9)],
    "value": [Outcome(structured={"state": n}) for n in range(9)],
    "bytes": [Outcome((Binary(bytes([n])),)) for n in range(9)],
    "problem": [Outcome(problem=Problem("upstream_failed", f"state {n}")) for n in range(9)],
}


@pytest.mark.parametrize("answers", ANSWERS.values(), ids=ANSWERS)
async def test_a_read_whose_answer_changes_may_go_on(answers: list[Outcome]) -> None:
    coming: Iterator[Outcome] = iter(answers)

    async def poll(call: Call) -> Outcome:
        return next(coming)

    assert await times(a_repeat(), a_call(), 9, poll) == 9


async def test_a_write_is_broken_off_whatever_comes_of_it() -> None:
    coming = iter(ANSWERS["value"])

    async def create(call: Call) -> Outcome:
        return next(coming)

    assert await times(a_repeat(), a_call(a_tool(reads=False)), 9, create) == 3


@pytest.mark.parametrize("outcome", [Outcome(), Outcome(structured=None), Outcome(structured=UNSET, problem=Problem("x", "y"))])
async def test_answers_without_content_are_told_apart_from_nothing_by_what_they_say(outcome: Outcome) -> None:
    async def run(call: Call) -> Outcome:
        return outcome

    assert await times(a_repeat(), a_call(), 9, run) == 3


async def test_a_call_that_keeps_failing_is_broken_off() -> None:
    repeat, tried = a_repeat(), 0

    async def fail(call: Call) -> Outcome:
        nonlocal tried
        tried += 1
        raise Unreachable(f"nobody there, {tried} times now")

    for expected in (Unreachable, Unreachable, Unreachable, Repeating):
        with pytest.raises(expected):
            await repeat(a_call(), fail)


async def test_it_can_be_switched_off() -> None:
    assert await times(a_repeat(calls=None), a_call(), 50) == 50


async def test_the_callers_that_were_silent_longest_are_forgotten() -> None:
    repeat: Any = a_repeat()
    for n in range(KEPT + 5):
        await repeat(a_call(principal=a_principal(id=f"user {n}")), Echo())

    assert len(repeat._rows) == KEPT
    assert ("default", "user 4", None) not in repeat._rows


@dataclass
class Rounds:
    """A client whose call brings the person's answers to what it was asked the round before."""

    answers: Mapping[str, Any]
    key = "c"
    in_rounds = True
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None
    session: Session | None = None

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        raise AssertionError

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AssertionError


async def test_a_call_that_brings_other_answers_is_not_the_one_before_it_made_again() -> None:
    repeat, call = a_repeat(), a_call(a_tool(reads=False))

    for number in range(6):
        await repeat(replace(call, client=Rounds({"requestState": f"s{number}"})), Echo())

    assert await times(repeat, replace(call, client=Rounds({"requestState": "s5"})), 5) == 2
