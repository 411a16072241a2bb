"""The embedded journal, over SQLite."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from toolgate.stores import Entry
from toolgate.stores.database import Database

SCHEMA = """
create table if not exists journal (seq integer primary key autoincrement, stream text not null, at integer not null, body text not null);
create index if not exists journal_stream on journal (stream, seq);
"""
INSERT = "insert into journal (stream, at, body) values (?, ?, ?)"
SELECT = "select seq, stream, at, body from journal where stream = ? and seq < ? order by seq desc limit ?"


class SqliteJournal:
    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator[SqliteJournal]:
        """The journal in the file `path`, made if absent. Raises AuditUnavailable when it cannot be opened."""
        async with Database.open(path, SCHEMA) as database:
            yield cls(database)

    @property
    def fault(self) -> str | None:
        return self._database.fault

    async def append(self, stream: str, body: Mapping[str, Any]) -> None:
        line = (stream, time.time_ns(), orjson.dumps(body).decode())
        await self._database.write(lambda connection: connection.execute(INSERT, line) and None)

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        def select(connection: sqlite3.Connection) -> list[Entry]:
            rows = connection.execute(SELECT, (stream, before if before is not None else 2**63 - 1, limit))
            return [Entry(seq, stream, at, orjson.loads(body)) for seq, stream, at, body in rows]

        return await self._database.read(select)
