"""A process that spends from a budget that others spend from too; run by test_ledger_processes.

Usage: spending.py FILE-OR-URL NAME CALLS LIMIT RESERVE COST: says how many of CALLS were let through.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from toolgate.stores import Account, Hold, Limit, Use
from toolgate.stores.database import Database
from toolgate.stores.ledger import SCHEMA, SqlLedger

AT_ONCE = 50
NOON = 1_795_176_000.0  # 2026-11-20, UTC


@asynccontextmanager
async def opened(place: str) -> AsyncIterator[SqlLedger]:
    """The ledger in a file or in a PostgreSQL, at a standing clock."""
    if "://" in place:
        from toolgate.stores.postgres import open_postgres

        async with open_postgres(place, lambda: NOON) as ledger:
            yield ledger
    else:
        async with Database.open(Path(place), SCHEMA) as database:
            yield SqlLedger(database, lambda: NOON)


async def spend(place: str, name: str, calls: int, limit: int, amount: int, cost: int) -> int:
    """How many of `calls` were let through."""
    left, passed = list(range(calls)), 0
    limits = (Limit(Account("user", "acme", "ada"), day=limit), Limit(Account("tenant", "acme"), month=2 * limit))

    async def work(ledger: SqlLedger) -> None:
        nonlocal passed
        while left:
            call = f"{name}-{left.pop()}"
            if await ledger.reserve(Hold(call, amount, 60.0, limits, Use("acme", "ada", "echo", "tests"))) is None:
                passed += 1
                await asyncio.sleep(0)  # the call itself
                ledger.settle(call, cost)

    async with opened(place) as ledger, asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(work(ledger))
    return passed


if __name__ == "__main__":
    file, own, *numbers = sys.argv[1:]
    how_many, budget, reserve, charge = map(int, numbers)
    print(asyncio.run(spend(file, own, how_many, budget, reserve, charge)))
