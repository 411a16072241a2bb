"""One validated, permitted, audited call of a tool that does nothing; the number of callers is the argument."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.common import cpu, tell
from toolgate.calls import Call, Outcome, Text
from toolgate.gateway import build_gateway
from toolgate.policy.load import load_policy
from toolgate.settings import Settings, bundled
from toolgate.stores import open_stores
from toolgate.testing import a_principal, a_tool

CALLS = 5000
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
ANSWER = Outcome(content=(Text("done"),))


async def nothing(call: Call) -> Outcome:
    return ANSWER


async def main(callers: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with open_stores("sqlite", Path(folder)) as stores:
            gateway = build_gateway([a_tool(nothing, schema=SCHEMA, price=0)], load_policy(bundled("policies")), stores, Settings())
            caller = a_principal("admin")
            waits: list[float] = []

            async def call(times: int) -> None:
                for n in range(times):
                    began = time.perf_counter()
                    outcome = await gateway.call("echo", {"n": n}, caller)
                    waits.append(time.perf_counter() - began)
                    assert outcome.ok, outcome

            await call(100)
            waits.clear()
            used, began = cpu(), time.perf_counter()
            await asyncio.gather(*(call(CALLS // callers) for _ in range(callers)))
            seconds, used = time.perf_counter() - began, cpu() - used
            waits.sort()
            tell(
                {
                    "CPU µs": used / len(waits) * 1e6,
                    "calls/s": len(waits) / seconds,
                    "p50 ms": waits[len(waits) // 2] * 1e3,
                    "p99 ms": waits[len(waits) * 99 // 100] * 1e3,
                }
            )


asyncio.run(main(int(sys.argv[1])))
