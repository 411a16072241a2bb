from __future__ import annotations

from dataclasses import replace

from toolgate.calls import Call, Outcome, Text
from toolgate.chain import Handler, Middleware, chain
from toolgate.testing import Echo, a_call


def marking(mark: str) -> Middleware:
    async def step(call: Call, call_next: Handler) -> Outcome:
        outcome = await call_next(replace(call, arguments={**call.arguments, mark: len(call.arguments)}))
        return replace(outcome, content=(*outcome.content, Text(mark)))

    return step


async def test_the_first_step_sees_the_call_first_and_the_outcome_last() -> None:
    echo = Echo()

    outcome = await chain([marking("a"), marking("b")], echo)(a_call())

    assert echo.seen[0].arguments == {"a": 0, "b": 1}
    assert outcome.content == (Text("echo was called"), Text("b"), Text("a"))


async def test_a_step_that_answers_itself_keeps_the_call_from_going_on() -> None:
    echo = Echo()

    async def answer(call: Call, call_next: Handler) -> Outcome:
        return Outcome(content=(Text("no"),))

    outcome = await chain([answer], echo)(a_call())

    assert outcome == Outcome(content=(Text("no"),))
    assert echo.seen == []
