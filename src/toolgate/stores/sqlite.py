"""The embedded stores, over one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from toolgate.audit.line import line
from toolgate.calls import new_id
from toolgate.stores import Entry, Record, Stores
from toolgate.stores.database import Database

SCHEMA = """
create table if not exists journal (seq integer primary key autoincrement, stream text not null, at integer not null, body text not null);
create index if not exists journal_stream on journal (stream, seq);
create table if not exists record (
    kind text not null, id text not null, version integer not null, body text not null, expires real, primary key (kind, id)
) without rowid;
"""
INSERT = "insert into journal (stream, at, body) values (?, ?, ?)"
SELECT = "select seq, stream, at, body from journal where stream = ? and seq < ? order by seq desc limit ?"


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Stores]:
    """The stores in the file `path`, made if absent. Raises AuditUnavailable when it cannot be opened."""
    async with Database.open(path, SCHEMA) as database:
        yield Stores(SqliteJournal(database), SqliteRecords(database))


class SqliteJournal:
    def __init__(self, database: Database) -> None:
        self.instance = new_id()
        self._database = database

    @property
    def fault(self) -> str | None:
        return self._database.fault

    async def append(self, stream: str, body: Mapping[str, Any], *, opens: str | None = None, closes: str | None = None) -> int:
        row = (stream, time.time_ns(), line(body))
        return await self._database.write(lambda connection: connection.execute(INSERT, row).lastrowid or 0)

    async def recover(self) -> int:
        return 0

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        def select(connection: sqlite3.Connection) -> list[Entry]:
            rows = connection.execute(SELECT, (stream, before if before is not None else 2**63 - 1, limit))
            return [Entry(seq, stream, at, orjson.loads(body)) for seq, stream, at, body in rows]

        return await self._database.read(select)


LIVE = "kind = ? and (expires is null or expires > ?)"


class SqliteRecords:
    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def get(self, kind: str, id: str) -> Record | None:
        found = await self._database.read(
            lambda connection: connection.execute(
                f"select id, version, body, expires from record where {LIVE} and id = ?",  # noqa: S608
                (kind, self._clock(), id),
            ).fetchone()
        )
        return _record(found) if found else None

    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, replaces: int = 0, expires: float | None = None) -> bool:
        text, now = orjson.dumps(body).decode(), self._clock()

        def change(connection: sqlite3.Connection) -> bool:
            connection.execute("delete from record where kind = ? and id = ? and expires <= ?", (kind, id, now))
            if replaces:
                command = "update record set version = version + 1, body = ?, expires = ? where kind = ? and id = ? and version = ?"
                return connection.execute(command, (text, expires, kind, id, replaces)).rowcount == 1
            command = "insert into record (kind, id, version, body, expires) values (?, ?, 1, ?, ?) on conflict do nothing"
            return connection.execute(command, (kind, id, text, expires)).rowcount == 1

        return await self._database.write(change)

    async def delete(self, kind: str, id: str) -> bool:
        now = self._clock()

        def remove(connection: sqlite3.Connection) -> bool:
            live = connection.execute(f"select 1 from record where {LIVE} and id = ?", (kind, now, id)).fetchone()  # noqa: S608
            connection.execute("delete from record where kind = ? and id = ?", (kind, id))
            return live is not None

        return await self._database.write(remove)

    async def list(self, kind: str, *, limit: int = 1000, after: str = "") -> Sequence[Record]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                f"select id, version, body, expires from record where {LIVE} and id > ? order by id limit ?",  # noqa: S608
                (kind, self._clock(), after, limit),
            ).fetchall()
        )
        return [_record(row) for row in rows]


def _record(row: tuple[str, int, str, float | None]) -> Record:
    return Record(row[0], row[1], orjson.loads(row[2]), row[3])
