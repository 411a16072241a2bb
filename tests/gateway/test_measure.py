from __future__ import annotations

import anyio
import pytest

from toolgate.calls import Call, Outcome, Problem
from toolgate.gateway.measure import Measure
from toolgate.telemetry import Metrics
from toolgate.testing import Echo, a_call, a_tool


async def test_every_ending_is_counted_with_its_time() -> None:
    metrics = Metrics()
    measure, call = Measure(metrics), a_call(a_tool(integration="shop"))

    async def fail(call: Call) -> Outcome:
        return Outcome(problem=Problem("timed_out", "too late"))

    async def break_down(call: Call) -> Outcome:
        raise ZeroDivisionError

    async def wait(call: Call) -> Outcome:
        await anyio.sleep_forever()
        raise AssertionError

    await measure(call, Echo())
    await measure(call, Echo())
    await measure(call, fail)
    with pytest.raises(ZeroDivisionError):
        await measure(call, break_down)
    with anyio.move_on_after(0):
        await measure(call, wait)

    lines = metrics.exposition().splitlines()
    assert [line for line in lines if line.startswith("toolgate_calls_total")] == [
        'toolgate_calls_total{integration="shop",ending="bug"} 1',
        'toolgate_calls_total{integration="shop",ending="cancelled"} 1',
        'toolgate_calls_total{integration="shop",ending="ok"} 2',
        'toolgate_calls_total{integration="shop",ending="timed_out"} 1',
    ]
    assert 'toolgate_call_seconds_count{integration="shop"} 5' in lines
