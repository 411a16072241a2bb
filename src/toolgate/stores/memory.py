"""Stores that forget at the end: for tests and demonstrations."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from toolgate.audit.line import line
from toolgate.calls import new_id
from toolgate.stores import Entry, Stores, ledger
from toolgate.stores.lease import Alone
from toolgate.stores.ledger import SqlLedger
from toolgate.stores.sqlite import SCHEMA, SqliteRecords

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741


def memory_stores(journal: MemoryJournal | None = None) -> Stores:
    journal = journal or MemoryJournal()
    return Stores(journal, MemoryRecords(), memory_ledger(), lives=Alone(journal.instance))


class MemoryJournal:
    fault: str | None = None

    def __init__(self) -> None:
        self.instance = new_id()
        self._entries: list[Entry] = []

    async def append(self, stream: str, body: Mapping[str, Any], *, opens: str | None = None, closes: str | None = None) -> int:
        seq = len(self._entries) + 1
        self._entries.append(Entry(seq, stream, time.time_ns(), orjson.loads(line(body))))
        return seq

    async def recover(self) -> int:
        return 0  # what was under way in another process was never here

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        newest_first = (entry for entry in reversed(self._entries) if entry.stream == stream and (before is None or entry.seq < before))
        return [entry for entry, _ in zip(newest_first, range(limit), strict=False)]

    async def since(self, stream: str, *, after: int, limit: int = 100) -> Sequence[Entry]:
        oldest_first = (entry for entry in self._entries[max(0, after) :] if entry.stream == stream)
        return [entry for entry, _ in zip(oldest_first, range(limit), strict=False)]

    async def lines(self, numbers: Sequence[int]) -> Sequence[Entry]:
        return [self._entries[number - 1] for number in sorted(set(numbers)) if 0 < number <= len(self._entries)]


class MemoryRecords(SqliteRecords):
    """The same records, in a database that is nowhere."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__(Here(), clock)


def memory_ledger(clock: Callable[[], float] = time.time) -> SqlLedger:
    """The same ledger, in a database that is nowhere: sums that have to be right to the last one are programmed once."""
    return SqlLedger(Here(), clock)


class Here:
    """A database of this process, written in place."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._connection.executescript(SCHEMA + ledger.SCHEMA)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self._connection)

    def write_later(self, work: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        done.set_result(work(self._connection))
        return done

    def send(self, work: Callable[[sqlite3.Connection], object]) -> None:
        work(self._connection)

    def send_together(self, together: Callable[[sqlite3.Connection, Sequence[I]], object], item: I) -> None:
        together(self._connection, [item])

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return work(self._connection)
