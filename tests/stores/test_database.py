"""What only several processes, or a lock held by one, bring up; the rest is in the tests of what stands on it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from toolgate.errors import AuditUnavailable
from toolgate.stores.database import Database


async def test_who_opens_a_file_that_another_process_is_just_making_waits_for_it(tmp_path: Path) -> None:
    path, locked = tmp_path / "x.db", threading.Event()

    def make() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin exclusive")
            other.execute("create table theirs (n)")
            locked.set()
            asked.wait(0.2)  # longer than the first tries; nobody ever sets it
            other.execute("commit")

    asked = threading.Event()
    maker = threading.Thread(target=make)
    maker.start()
    locked.wait(5)
    async with Database.open(path, "create table if not exists ours (n)") as database:
        tables = await database.read(lambda connection: connection.execute("select name from sqlite_master order by name").fetchall())
    maker.join()

    assert tables == [("ours",), ("theirs",)]


async def test_what_the_log_holds_is_moved_into_the_file_in_small_pieces(tmp_path: Path) -> None:
    path, log = tmp_path / "x.db", tmp_path / "x.db-wal"
    async with Database.open(path, "create table if not exists ours (n integer primary key, text)") as database:

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany("insert into ours (text) values (?)", [("x" * 1000,)] * 50)

        sizes = []
        for _ in range(200):
            await database.write(write)
            sizes.append(log.stat().st_size)
        rows = await database.read(lambda connection: connection.execute("select count(*) from ours").fetchone())

        assert rows == (10_000,)
        assert path.stat().st_size > 9_000 * 1000  # nearly all of the rows have left the log
        assert max(sizes) < 900 * 1000  # which would be 4 MB long if it were moved by SQLite's own measure


async def test_a_log_that_cannot_be_moved_keeps_nobody_from_writing(tmp_path: Path) -> None:
    path, add = tmp_path / "x.db", "insert into ours (text) values ('more')"
    async with Database.open(path, "create table if not exists ours (n integer primary key, text)") as database:
        await database.write(lambda connection: connection.execute(add) and None)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:  # for whom the file has to stay as it is
            reader.execute("begin")
            assert reader.execute("select count(*) from ours").fetchone() == (1,)
            for _ in range(1500):
                database.send(lambda connection: connection.execute(add))
            await database.write(lambda connection: connection.execute(add) and None)

            assert database.fault is None
            assert reader.execute("select count(*) from ours").fetchone() == (1,)
        rows = await database.read(lambda connection: connection.execute("select count(*) from ours").fetchone())
        assert rows == (1502,)


async def test_what_is_written_later_takes_no_commit_of_its_own_and_keeps_its_place(tmp_path: Path) -> None:
    commits: list[int] = []
    async with Database.open(tmp_path / "x.db", "create table if not exists ours (n integer)") as database:
        database.committed = lambda: commits.append(1)

        def put(number: int) -> Callable[[sqlite3.Connection], int]:
            return lambda connection: connection.execute("insert into ours values (?)", (number,)).rowcount

        later = [database.write_later(put(1)), database.write_later(put(2))]
        await database.write(put(3))
        rows = await database.read(lambda connection: connection.execute("select n from ours order by rowid").fetchall())

        assert all(each.done() for each in later)
    assert (rows, len(commits)) == ([(1,), (2,), (3,)], 1)


async def test_what_is_written_later_is_written_when_the_database_closes(tmp_path: Path) -> None:
    async with Database.open(tmp_path / "x.db", "create table if not exists ours (n integer)") as database:
        written = database.write_later(lambda connection: connection.execute("insert into ours values (1)").rowcount)

    assert await written == 1


async def test_items_handed_in_at_once_are_written_by_one_call_between_two_other_jobs(tmp_path: Path) -> None:
    calls: list[Sequence[str]] = []

    def together(_connection: sqlite3.Connection, items: Sequence[str]) -> Sequence[str]:
        calls.append(tuple(items))
        return [each.upper() for each in items]

    async with Database.open(tmp_path / "x.db", "create table if not exists ours (n integer)") as database:
        database.send_together(together, "nobody waits for this")
        first = [database.write_together(together, each) for each in ("a", "b", "c")]
        first[1].cancel()
        written = database.write_later(lambda _connection: calls.append(("kept back",)))
        last = [database.write_together(together, each) for each in ("d", "e")]
        await database.write(lambda _connection: calls.append(("alone",)))
        told = [await each for each in (first[0], first[2], *last)]

        assert written.done()
    assert told == ["A", "C", "D", "E"]
    assert calls == [("a", "b", "c"), ("nobody waits for this",), ("kept back",), ("d", "e"), ("alone",)]


async def test_of_items_that_cannot_be_written_nothing_has_happened_and_all_hear_of_it(tmp_path: Path) -> None:
    def together(connection: sqlite3.Connection, items: Sequence[int]) -> Sequence[None]:
        connection.executemany("insert into ours values (?)", [(each,) for each in items])
        raise ValueError("a bug")

    async with Database.open(tmp_path / "x.db", "create table if not exists ours (n integer)") as database:
        waiting = [database.write_together(together, each) for each in (1, 0)]
        heard = await asyncio.gather(*waiting, database.write(lambda _connection: None), return_exceptions=True)
        rows = await database.read(lambda connection: connection.execute("select n from ours").fetchall())

    assert [type(each) for each in heard] == [AuditUnavailable] * 3
    assert rows == []
