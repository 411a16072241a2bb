"""The journal on SQLite: records in a chain, and which of them opened something that is not closed yet.

The chain is continued by the writer thread within the transaction, from the last record that is there then. So it holds
for several processes on one file, and nothing about it is remembered that a rollback could make wrong.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from toolgate.audit.chain import START, chained
from toolgate.audit.event import told, unknown
from toolgate.audit.line import line
from toolgate.errors import AuditUnavailable
from toolgate.stores import Entry, Hold, Shortage
from toolgate.stores.database import Database
from toolgate.stores.lease import Lease, alive
from toolgate.stores.ledger import insert, remove

SCHEMA = """
create table if not exists journal (seq integer primary key, stream text not null, at integer not null, body text not null, hash blob);
create table if not exists underway (id text primary key, seq integer not null, instance text not null) without rowid;
create table if not exists checkpoint (size integer primary key, at integer not null, note text not null, frontier blob not null);
create table if not exists sealed (size integer primary key, hash blob not null, frontier blob not null, file text not null);
"""
NEWEST = "select seq, stream, at, body from journal where stream = ? and seq < ? order by seq desc limit ?"
NEXT = "select seq, stream, at, body from journal where stream = ? and seq > ? order by seq limit ?"
SOME = "select seq, stream, at, body from journal where seq in (select value from json_each(?)) order by seq"
RAW = "select seq, at, cast(stream as blob), cast(body as blob), hash from journal where seq > ? order by seq"
AUDIT = "audit"
TAIL = 100  # records whose chain is looked at when the journal is opened
RECOVERED = 5000  # lines a transaction, 0.1 s of writing
Reserve = Callable[[sqlite3.Connection, Sequence[Hold]], Sequence[Shortage | None]]
OWED = 10_000  # lines kept while nothing can be written; 10 MB


class _Line(NamedTuple):
    stream: str
    at: int
    body: str
    opens: str | None = None
    closes: str | None = None
    hold: Hold | None = None
    """Written only if this could be reserved."""


class SqliteJournal:
    def __init__(self, database: Database, lease: Lease, appended: Callable[[int], object], reserve: Reserve) -> None:
        """
        Args:
            appended: hears, in the writer's thread, how many lines became durable just now.
            reserve: `Ledger.reserve` of many, in the same database.
        """
        self._reserve = reserve
        self.instance = lease.instance
        self._lease = lease
        self._appended = appended
        self._database = database
        self._owed: deque[_Line] = deque(maxlen=OWED)
        self._written = 0
        database.restored = self._restored
        database.committed = self._committed

    @property
    def fault(self) -> str | None:
        return self._database.fault

    async def append(self, stream: str, body: Mapping[str, Any], *, opens: str | None = None, closes: str | None = None) -> int:
        item = _Line(stream, time.time_ns(), line(body), opens, closes)
        try:
            number: int = await self._database.write_together(self._append, item)
            return number
        except AuditUnavailable:
            if closes is not None:
                self._owed.append(item)
            raise

    def begin(self, stream: str, body: Mapping[str, Any], opens: str, hold: Hold) -> Awaitable[Shortage | None]:
        """As `Begin` says, in one commit."""
        return self._database.write_together(self._append, _Line(stream, time.time_ns(), line(body), opens, None, hold))

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        newest_first = (stream, before if before is not None else 2**63 - 1, limit)
        return await self._database.read(lambda connection: _entries(connection.execute(NEWEST, newest_first)))

    async def since(self, stream: str, *, after: int, limit: int = 100) -> Sequence[Entry]:
        return await self._database.read(lambda connection: _entries(connection.execute(NEXT, (stream, after, limit))))

    async def lines(self, numbers: Sequence[int]) -> Sequence[Entry]:
        wanted = orjson.dumps(list(numbers)).decode()
        return await self._database.read(lambda connection: _entries(connection.execute(SOME, (wanted,))))

    async def recover(self) -> int:
        found = 0
        while some := await self._database.write(self._recover):
            found += some
        return found

    def _append(self, connection: sqlite3.Connection, lines: Sequence[_Line]) -> Sequence[Any]:
        """Number of each line; of those with a hold None, or what kept them from being written."""
        holds = [hold for *_, hold in lines if hold is not None]
        reserved = iter(self._reserve(connection, holds) if holds else ())
        seq, digest = last(connection)
        done: list[int | Shortage | None] = []
        rows: list[tuple[Any, ...]] = []
        opened: list[tuple[Any, ...]] = []
        closed: list[str] = []
        for stream, at, body, opens, closes, hold in lines:
            if hold is not None and (short := next(reserved)) is not None:
                done.append(short)
                continue
            seq += 1
            digest = chained(digest, seq, at, stream.encode(), body.encode())
            # Of bytes, unlike a bytearray, `sqlite3` asks first whether they would be something else.
            rows.append((seq, stream, at, body, bytearray(digest)))
            done.append(seq if hold is None else None)
            if opens is not None:
                opened.append((opens, seq, self.instance))
            if closes is not None:
                closed.append(closes)
        if opened:
            self._lease.hold()
        insert(connection, "insert into journal (seq, stream, at, body, hash)", rows)
        insert(connection, "insert or replace into underway", opened)
        if closed:
            remove(connection, "underway", closed)
        self._written += len(rows)
        return done

    def _recover(self, connection: sqlite3.Connection) -> int:
        """Some of the lines whose process is gone; within one transaction, so that of two processes one finds them."""
        instances = {str(row[0]) for row in connection.execute("select distinct instance from underway")} - {self.instance}
        gone = orjson.dumps([instance for instance in instances if not alive(self._lease.folder, instance)]).decode()
        lines = [
            _Line(stream, time.time_ns(), line(unknown(orjson.loads(body), seq, self.instance)), closes=call)
            for call, seq, stream, body in connection.execute(
                "select underway.id, underway.seq, stream, body from underway join journal on journal.seq = underway.seq "
                "where instance in (select value from json_each(?)) limit ?",
                (gone, RECOVERED),
            )
        ]
        self._append(connection, lines)
        return len(lines)

    def _committed(self) -> None:
        written, self._written = self._written, 0
        if written:
            self._appended(written)

    def _restored(self, connection: sqlite3.Connection, reason: str, since: float) -> Callable[[], None]:
        """The first line after some that could not be written says so; those that closed something follow it."""
        owed = list(self._owed)
        event = told("audit.restored", self.instance, {"reason": reason, "since": since, "kept": len(owed)}, None, None)
        self._append(connection, [_Line(AUDIT, time.time_ns(), line(event)), *owed])

        def committed() -> None:
            for _ in owed:
                self._owed.popleft()

        return committed


def last(connection: sqlite3.Connection) -> tuple[int, bytes]:
    """Number and hash of the last record."""
    found = connection.execute("select seq, hash from journal order by seq desc limit 1").fetchone()
    return found or (0, START)


def prepare(connection: sqlite3.Connection) -> None:
    """Put records that were written before there was a chain into it.

    Raises:
        AuditUnavailable: the last records are not those that were written.
    """
    if "hash" not in {column[1] for column in connection.execute("pragma table_info(journal)")}:
        connection.execute("alter table journal add column hash blob")
    if connection.execute("select 1 from journal where hash is null limit 1").fetchone():
        _chain_old(connection)


def _chain_old(connection: sqlite3.Connection) -> None:
    digest = START
    for seq, at, stream, body, _ in connection.execute(RAW, (0,)).fetchall():
        digest = chained(digest, seq, at, stream, body)
        connection.execute("update journal set hash = ? where seq = ?", (digest, seq))


def check_tail(connection: sqlite3.Connection) -> None:
    """
    Raises:
        AuditUnavailable: the last records are not those that were written.
    """
    size, _ = last(connection)
    rows = connection.execute(RAW, (size - TAIL,)).fetchall()
    for (_, _, _, _, previous), (seq, at, stream, body, digest) in pairwise(rows):
        if chained(previous, seq, at, stream, body) != digest:
            raise AuditUnavailable(
                f"record {seq} of the audit is not what was written; `toolgate audit verify` says more. "
                "To go on without a past, move the database to another place"
            )


def _entries(rows: sqlite3.Cursor) -> list[Entry]:
    return [Entry(seq, stream, at, orjson.loads(body)) for seq, stream, at, body in rows]
