"""One contract for every store of records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from toolgate.stores import Record, Records, every
from toolgate.stores.database import Database
from toolgate.stores.memory import MemoryRecords
from toolgate.stores.sqlite import SCHEMA, SqliteRecords
from toolgate.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=1000.0)


@pytest.fixture(params=["memory", "sqlite"])
async def records(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Records]:
    if request.param == "memory":
        yield MemoryRecords(clock)
    else:
        async with Database.open(tmp_path / "x.db", SCHEMA) as database:
            yield SqliteRecords(database, clock)


async def test_what_was_put_is_there_until_it_is_deleted(records: Records) -> None:
    assert await records.put("key", "a", {"x": [1, None]})

    assert await records.get("key", "a") == Record("a", 1, {"x": [1, None]})
    assert await records.get("other", "a") is None
    assert await records.delete("key", "a")
    assert not await records.delete("key", "a")
    assert await records.get("key", "a") is None


async def test_under_what_is_no_text_nothing_is_there(records: Records) -> None:
    assert await records.get("key", "a\udcff") is None


async def test_a_change_must_name_the_version_that_it_replaces(records: Records) -> None:
    assert await records.put("key", "a", {"n": 1})

    assert not await records.put("key", "a", {"n": 2})
    assert not await records.put("key", "a", {"n": 2}, replaces=7)
    assert await records.put("key", "a", {"n": 3}, replaces=1)
    assert not await records.put("key", "b", {"n": 3}, replaces=1)

    assert await records.get("key", "a") == Record("a", 2, {"n": 3})


async def test_of_many_that_put_at_once_one_wins(records: Records) -> None:
    won = await asyncio.gather(*(records.put("key", "a", {"n": n}) for n in range(50)))

    assert sum(won) == 1


async def test_an_expired_one_is_as_if_it_were_not_there(records: Records, clock: FakeClock) -> None:
    await records.put("key", "a", {"n": 1}, expires=1060.0)
    assert await records.get("key", "a") == Record("a", 1, {"n": 1}, 1060.0)

    clock.now = 1060.0

    assert await records.get("key", "a") is None
    assert await records.list("key") == []
    assert not await records.put("key", "a", {"n": 2}, replaces=1)
    assert await records.put("key", "a", {"n": 2})


async def test_expired_ones_do_not_pile_up(clock: FakeClock, tmp_path: Path) -> None:
    async with Database.open(tmp_path / "x.db", SCHEMA) as database:
        records = SqliteRecords(database, clock)
        for n in range(100):
            clock.now += 1
            await records.put("replay", str(n), {}, expires=clock.now + 10)

        rows = await database.read(lambda connection: connection.execute("select count(*) from record").fetchone())

    assert rows == (10,)


async def test_they_are_listed_by_id_in_pages(records: Records) -> None:
    for name in "cab":
        await records.put("key", name, {})

    first = await records.list("key", limit=2)
    rest = await records.list("key", after=first[-1].id)

    assert [record.id for record in (*first, *rest)] == ["a", "b", "c"]


async def test_what_is_put_soon_is_there_with_the_next_thing_that_is_waited_for(records: Records) -> None:
    first, again = records.put_soon("fact", "a", {"n": 1}), records.put_soon("fact", "a", {"n": 2})
    await records.put("other", "x", {})

    assert await records.get("fact", "a") == Record("a", 1, {"n": 1})
    assert (await first, await again) == (True, False)


async def test_what_is_put_soon_is_there_soon_when_nothing_else_happens(records: Records) -> None:
    assert await records.put_soon("fact", "a", {"n": 1}, expires=2000.0)

    assert await records.get("fact", "a") == Record("a", 1, {"n": 1}, 2000.0)


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_all_that_begin_alike_are_read_whatever_the_pages(records: Records, page: int) -> None:
    for name in ("a", "b-1", "b-2", "b-3", "c"):
        await records.put("key", name, {})

    assert [each.id async for each in every(records, "key", page=page)] == ["a", "b-1", "b-2", "b-3", "c"]
    assert [each.id async for each in every(records, "key", "b-", page=page)] == ["b-1", "b-2", "b-3"]
    assert [each.id async for each in every(records, "key", "b-", after="b-1", page=page)] == ["b-2", "b-3"]
    assert [each.id async for each in every(records, "other", page=page)] == []
