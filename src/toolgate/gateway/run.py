"""The innermost: the tool's own `run`, under its deadline."""

from __future__ import annotations

import time
from dataclasses import replace

import anyio

from toolgate.calls import Call, Outcome
from toolgate.errors import TimedOut


async def run(call: Call) -> Outcome:
    own = time.monotonic() + call.tool.timeout
    call = replace(call, deadline=own if call.deadline is None else min(own, call.deadline))
    try:
        with anyio.fail_after(call.seconds_left()):
            outcome = await call.tool.run(call)
    except TimeoutError:
        raise TimedOut(f"{call.tool.name} did not answer within {call.tool.timeout:g} s") from None
    if outcome.ok and not outcome.cost and call.tool.price:
        return replace(outcome, cost=call.tool.price)
    return outcome
