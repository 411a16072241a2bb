"""Several processes, and dying ones: nothing is overspent, nothing is lost (cases F2 and F10 of the fault table)."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stores.spending import opened
from toolgate.stores import Account, Balance, Usage
from toolgate.stores.database import Database
from toolgate.stores.ledger import SCHEMA, SqlLedger

HERE = Path(__file__).parent
PROCESSES, CALLS, AT_ONCE = 4, 2_000, 50
LIMIT, RESERVED, COST = 3_000_000, 900, 600  # room for 5,000 calls: no process can use it up alone
NOON = 1_795_176_000.0  # 2026-11-20, UTC; for every process
ADA = Account("user", "default", "local:ada")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
async def test_four_processes_never_spend_more_than_their_one_budget_and_lose_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, store: str
) -> None:
    place = request.getfixturevalue("new_database")() if store == "postgres" else str(tmp_path / "x.db")
    arguments = [str(number) for number in (CALLS, LIMIT, RESERVED, COST)]
    command = [sys.executable, str(HERE / "spending.py"), place]
    spenders = [subprocess.Popen([*command, str(number), *arguments], stdout=subprocess.PIPE) for number in range(PROCESSES)]

    passed = [int(spender.communicate(timeout=120)[0]) for spender in spenders]

    assert [spender.returncode for spender in spenders] == [0] * PROCESSES
    async with opened(place) as ledger:
        found = {(one.account.scope, one.every): one for one in await ledger.balances()}
        [used] = await ledger.usage([])
    day = found["user", "day"]
    assert (day.spent, day.held) == (sum(passed) * COST, 0)
    assert LIMIT - PROCESSES * AT_ONCE * RESERVED <= day.spent <= LIMIT  # near the end, others' holds may be in the way
    assert {(one.spent, one.held) for one in found.values()} == {(day.spent, 0)}
    assert used == Usage({}, calls=sum(passed), cost=day.spent)


@pytest.mark.parametrize(
    ("point", "effects", "held_after_death", "spent_at_last"),
    [
        ("after reserve", 0, 900, 900),
        ("before the effect", 0, 900, 900),
        ("after the effect", 1, 900, 900),
        ("before settle", 1, 900, 900),
        ("after settle", 1, 0, 600),
    ],
)
async def test_a_process_that_dies_leaves_a_hold_that_counts_as_spent_once_it_expires(
    tmp_path: Path, point: str, effects: int, held_after_death: int, spent_at_last: int
) -> None:
    path = tmp_path / "x.db"

    died = subprocess.run([sys.executable, HERE / "dying.py", path, point], timeout=60)

    assert died.returncode == -signal.SIGKILL
    record = Path(f"{path}.effects")
    assert (len(record.read_text()) if record.exists() else 0) == effects
    async with Database.open(path, SCHEMA) as database:
        at_death = await spent_and_held(SqlLedger(database, lambda: NOON))
        assert at_death == (0 if held_after_death else spent_at_last, held_after_death)
        later = SqlLedger(database, lambda: NOON + 20 + 60)  # a minute after the deadline
        assert await spent_and_held(later) == (spent_at_last, 0)
        assert await later.reap() == 0
        [used] = await later.usage([])
        assert (used.calls, used.unknown, used.cost) == (1, 1 if held_after_death else 0, spent_at_last)


async def spent_and_held(ledger: SqlLedger) -> tuple[int, int]:
    [found] = [one for one in await ledger.balances() if (one.account, one.every) == (ADA, "day")]
    assert isinstance(found, Balance)
    return found.spent, found.held
