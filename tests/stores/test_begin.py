"""A call's intent and what it may cost, in one commit: both or neither."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import AuditUnavailable
from toolgate.stores import Account, Hold, Limit, Shortage, Stores, Use, open_stores
from toolgate.stores.ledger import SCHEMA, SqlLedger
from toolgate.stores.memory import memory_ledger
from toolgate.testing import FakeClock

T = TypeVar("T")
ADA = Account("user", "default", "ada")
USE = Use("default", "ada", "echo", "test")


def hold(id: str, amount: int = 10, limit: int | None = 100) -> Hold:
    return Hold(id, amount, 60.0, (Limit(ADA, limit, None),), USE)


async def begin(stores: Stores, held: Hold) -> Shortage | None:
    assert stores.begin is not None
    return await stores.begin("audit", {"call": held.id}, held.id, held)


async def held(stores: Stores) -> int:
    return sum(one.held for one in await stores.ledger.balances() if one.every == "day")


async def calls(stores: Stores) -> Sequence[str]:
    return [entry.body["call"] for entry in reversed(await stores.journal.read("audit")) if "call" in entry.body]


async def test_what_is_reserved_is_written_down_with_it(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        assert await begin(stores, hold("a")) is None
        assert (await held(stores), await calls(stores)) == (10, ["a"])


async def test_a_call_without_room_in_its_budget_leaves_no_line(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        found = await asyncio.gather(*(begin(stores, hold(str(n), 40)) for n in range(4)))

        assert [short is None for short in found] == [True, True, False, False]
        assert (found[2] and found[2].left, found[3] and found[3].held) == (20, 80)
        assert (await held(stores), await calls(stores)) == (80, ["0", "1"])


async def test_when_the_line_cannot_be_written_nothing_is_reserved(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        await begin(stores, hold("a"))
        with sqlite3.connect(tmp_path / "toolgate.db") as database:
            database.execute("create trigger full before insert on journal begin select raise(abort, 'disk is full'); end")
        with pytest.raises(AuditUnavailable, match="disk is full"):
            await begin(stores, hold("b"))
        with sqlite3.connect(tmp_path / "toolgate.db") as database:
            database.execute("drop trigger full")
        await begin(stores, hold("c"))

        assert (await held(stores), await calls(stores)) == (20, ["a", "c"])


async def test_who_gives_up_while_it_begins_holds_nothing(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        for n in range(20):
            stores.ledger.settle("another", 1)  # the first of the commit that is not waited for
            task = asyncio.create_task(begin(stores, hold(str(n))))
            await asyncio.sleep(0)
            task.cancel()
            stores.ledger.release(str(n))
        await stores.journal.append("audit", {})

        assert await held(stores) == 0


async def test_a_call_that_began_and_never_ended_is_found_by_the_next_process(tmp_path: Path) -> None:
    async with open_stores("sqlite", tmp_path) as stores:
        await begin(stores, hold("lost"))
    async with open_stores("sqlite", tmp_path) as stores:
        assert await stores.journal.recover() == 1


class Later:
    """A database in memory where what nobody waits for is done when it is told to, all at once."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.executescript(SCHEMA)
        self._together: Callable[[sqlite3.Connection, Sequence[Any]], object] | None = None
        self._items: list[Any] = []

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self.connection)

    read = write

    def send(self, work: Callable[[sqlite3.Connection], object]) -> None:
        work(self.connection)

    def send_together(self, together: Callable[[sqlite3.Connection, Sequence[Any]], object], item: object) -> None:
        self._together = together
        self._items.append(item)

    def now(self) -> None:
        if self._together:
            self._together(self.connection, self._items)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 60)), max_size=6, unique_by=lambda held: held[0]),
    st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, 0, 7, 70]), st.booleans(), st.booleans()), max_size=8),
)
async def test_many_at_once_come_to_the_same_as_one_after_the_other(
    holds: list[tuple[str, int]], endings: list[tuple[str, int | None, bool, bool]]
) -> None:
    clock = FakeClock(now=1_795_176_000.0)
    later = Later()
    together, apart = SqlLedger(later, clock), memory_ledger(clock)
    wanted = [hold(*each) for each in holds]

    assert together.reserve_all(later.connection, wanted) == [await apart.reserve(each) for each in wanted]
    for ledger in (together, apart):
        for call, cost, estimated, released in endings:
            ledger.release(call) if released else ledger.settle(call, cost, estimated=estimated)
    later.now()

    assert await together.balances() == await apart.balances()
    assert await together.usage(["day", "tool"]) == await apart.usage(["day", "tool"])


async def test_a_hold_that_is_there_already_is_left_as_it_is_among_many_too() -> None:
    later = Later()
    ledger = SqlLedger(later, FakeClock(now=1_795_176_000.0))
    ledger.reserve_all(later.connection, [hold("a", 10), hold("a", 50), hold("b", 20)])
    ledger.reserve_all(later.connection, [hold("b", 30)])

    assert {one.held for one in await ledger.balances()} == {30}
