"""The embedded stores, over one SQLite file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from toolgate.settings import Audit
from toolgate.stores import Record, Stores, journal, ledger
from toolgate.stores.database import Database
from toolgate.stores.lease import Lease
from toolgate.stores.ledger import SqlLedger
from toolgate.stores.notary import Notary
from toolgate.stores.secret import keys_in

if TYPE_CHECKING:
    from toolgate.stores.memory import Here

SCHEMA = """
create table if not exists record (
    kind text not null, id text not null, version integer not null, body text not null, expires real, primary key (kind, id)
) without rowid;
create index if not exists record_expires on record (expires) where expires is not null;
"""
FORGOTTEN = 16
"""Expired records that every change takes away: more than it can add, so that they never pile up."""


@asynccontextmanager
async def open_sqlite(path: Path, audit: Audit) -> AsyncIterator[Stores]:
    """The stores in the file `path`, made if absent.

    Raises:
        AuditUnavailable: it cannot be opened, or its last records were changed.
    """
    keys = keys_in(path.parent)
    with closing(Lease(path.with_name(f"{path.name}.instances"))) as lease:  # given up after the last line is written
        async with Database.open(path, journal.SCHEMA + SCHEMA + ledger.SCHEMA) as database:
            await database.write(journal.prepare)
            await database.read(journal.check_tail)
            with Notary(database, keys, audit) as notary:
                money = SqlLedger(database)
                lines = journal.SqliteJournal(database, lease, notary.heard, money.reserve_all)
                yield Stores(lines, SqliteRecords(database), money, keys=keys, lives=lease, begin=lines.begin)


FORGET = "delete from record where (kind, id) in (select kind, id from record where expires <= ? order by expires limit ?)"
LIVE = "kind = ? and (expires is null or expires > ?)"


class SqliteRecords:
    def __init__(self, database: Database | Here, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock

    async def get(self, kind: str, id: str) -> Record | None:
        try:
            id.encode()
        except UnicodeEncodeError:  # bytes of a command line that are no text: nothing can be kept under them
            return None
        found = await self._database.read(
            lambda connection: connection.execute(
                f"select id, version, body, expires from record where {LIVE} and id = ?",  # noqa: S608
                (kind, self._clock(), id),
            ).fetchone()
        )
        return _record(found) if found else None

    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, replaces: int = 0, expires: float | None = None) -> bool:
        return await self._database.write(self._change(kind, id, body, replaces, expires))

    def put_soon(self, kind: str, id: str, body: Mapping[str, Any], *, expires: float | None = None) -> Awaitable[bool]:
        return self._database.write_later(self._change(kind, id, body, 0, expires))

    def _change(
        self, kind: str, id: str, body: Mapping[str, Any], replaces: int, expires: float | None
    ) -> Callable[[sqlite3.Connection], bool]:
        text, now = orjson.dumps(body).decode(), self._clock()

        def change(connection: sqlite3.Connection) -> bool:
            connection.execute("delete from record where kind = ? and id = ? and expires <= ?", (kind, id, now))
            connection.execute(FORGET, (now, FORGOTTEN))
            if replaces:
                command = "update record set version = version + 1, body = ?, expires = ? where kind = ? and id = ? and version = ?"
                return connection.execute(command, (text, expires, kind, id, replaces)).rowcount == 1
            command = "insert into record (kind, id, version, body, expires) values (?, ?, 1, ?, ?) on conflict do nothing"
            return connection.execute(command, (kind, id, text, expires)).rowcount == 1

        return change

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
