"""Count every call and its time, by integration and ending, for whoever watches from outside."""

from __future__ import annotations

import time

import anyio

from toolgate.calls import Call, Outcome
from toolgate.chain import Handler
from toolgate.telemetry import Metrics


class Measure:
    def __init__(self, metrics: Metrics) -> None:
        self._calls = metrics.counter("toolgate_calls_total", "Calls that ended, by how: ok, or a problem's code.", "integration", "ending")
        self._seconds = metrics.histogram("toolgate_call_seconds", "Seconds from a call's arrival to its outcome.", "integration")

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        began = time.perf_counter()
        ending = "bug"
        try:
            outcome = await call_next(call)
            ending = outcome.problem.code if outcome.problem is not None else "ok"
            return outcome
        except anyio.get_cancelled_exc_class():
            ending = "cancelled"
            raise
        finally:
            self._calls.add(call.tool.integration, ending)
            self._seconds.add(time.perf_counter() - began, call.tool.integration)
