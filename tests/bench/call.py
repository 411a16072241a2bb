"""One call of a priced tool that does nothing, through every step of the gate: validated, permitted, limited, paid for, audited.

The number of callers is the argument; a second one, `free`, leaves the ledger out, and `reads` the intent as well, by its setting.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.common import cpu, tell
from toolgate.calls import Call, Outcome, Text
from toolgate.gateway import build_gateway
from toolgate.money import Price
from toolgate.policy.load import load_policy
from toolgate.server.start import settle_down
from toolgate.settings import Audit, Limits, Repeats, Settings, bundled
from toolgate.stores import open_stores
from toolgate.testing import a_principal, a_tool

CALLS = 5000
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TIERS = "tiers: {pro: {limits: {per_minute: 100000000, per_hour: 100000000, concurrency: 1000}, budgets: {day: 100000, month: 1000000}}}"
ANSWER = Outcome(content=(Text("done"),))


async def nothing(call: Call) -> Outcome:
    return ANSWER


async def main(callers: int, kind: str) -> None:
    price = Price(call=1000) if kind == "priced" else Price()
    settings = Settings(audit=Audit(intent="writes" if kind == "reads" else "all"), limits=Limits(repeats=Repeats(calls=None)))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(bundled("policies"), Path(folder) / "policies")
        (Path(folder) / "policies" / "tiers.yaml").write_text(TIERS)
        policy = load_policy(Path(folder) / "policies")
        async with open_stores("sqlite", Path(folder)) as stores:
            gateway = build_gateway([a_tool(nothing, schema=SCHEMA, price=price)], policy, stores, settings)
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
            settle_down()  # as `toolgate serve` does once it is ready
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


asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "priced"))
