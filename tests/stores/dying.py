"""A process that makes a call through `spend` and is killed at a named point of it; run by test_ledger_processes.

Usage: dying.py DATABASE POINT: the effect of the call is a line in DATABASE.effects.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from toolgate.calls import Call, Outcome
from toolgate.gateway.spend import Spend
from toolgate.money import Micros, Price
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Budgets, Tier
from toolgate.stores import Hold, Shortage
from toolgate.stores.database import Database
from toolgate.stores.ledger import SCHEMA, SqlLedger
from toolgate.testing import a_call, a_tool

COST, RESERVED, LIMIT = 600, 900, 1000
NOON = 1_795_176_000.0  # 2026-11-20, UTC


class Mortal(SqlLedger):
    """A ledger around which the process dies."""

    point = ""

    def die_at(self, point: str) -> None:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)

    async def reserve(self, hold: Hold) -> Shortage | None:
        short = await super().reserve(hold)
        self.die_at("after reserve")
        return short

    def settle(self, id: str, cost: Micros | None, *, estimated: bool = False) -> None:
        self.die_at("before settle")
        super().settle(id, cost, estimated=estimated)


async def run(path: Path, point: str) -> None:
    async with Database.open(path, SCHEMA) as database:
        ledger = Mortal(database, lambda: NOON)
        ledger.point = point

        async def act(call: Call) -> Outcome:
            ledger.die_at("before the effect")
            with Path(f"{path}.effects").open("a") as effects:
                effects.write("x")
            ledger.die_at("after the effect")
            return Outcome(metered=COST)

        policy = Policy([], {"pro": Tier(budgets=Budgets(day=LIMIT / 1_000_000))})  # type: ignore[arg-type]
        spend = Spend(ledger, Live(policy))
        await spend(a_call(a_tool(act, price=Price(RESERVED), timeout=20.0)), act)
        await ledger.reap()  # a line of the audit would make it durable as well
        ledger.die_at("after settle")


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
