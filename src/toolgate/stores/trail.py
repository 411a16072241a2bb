"""The audit as people ask it: by person, tool, ending, time, call; and how many calls, how fast, for how much.

The journal is made for writing: whoever appends pays for no index. So what is asked of it is kept beside it, in a file of
its own that is made from the journal and may be deleted at any time. It follows when somebody asks, some lines at a time, so
that a question over a long journal is answered soon, and says how many lines it does not know yet.

    line   one row a line: names as numbers, ids of calls as bytes, 60 bytes, an index for each question
    slot   calls that ended in one minute, by who, tool, ending and how long they took, added up: for charts and percentiles

How long calls take is kept in classes that grow by a tenth, so that a percentile is right within five per cent, whatever
is added up (as HdrHistogram and DDSketch do).
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import anyio

from toolgate.money import Micros
from toolgate.stores import Entry, Journal

STREAM = "audit"
SHAPE = 2
"""Of the tables below: what was made in another is made again."""
SCHEMA = """
create table if not exists name (id integer primary key, text text not null unique);
create table if not exists line (
    seq integer primary key, at integer not null, type integer, tenant integer, who integer, tool integer, ending integer, call, parent
);
create table if not exists last (one integer primary key check (one = 1), id text);
create index if not exists line_at on line (at);
create index if not exists line_type on line (type, seq);
create index if not exists line_who on line (who, seq);
create index if not exists line_tool on line (tool, seq);
create index if not exists line_ending on line (ending, seq) where ending is not null;
create index if not exists line_call on line (call) where call is not null;
create index if not exists line_parent on line (parent) where parent is not null;
create table if not exists slot (
    minute integer, tenant integer, who integer, tool integer, integration integer, ending integer, class integer,
    calls integer not null, micros integer not null, primary key (minute, tenant, who, tool, integration, ending, class)
) without rowid;
"""
ADD = (
    "insert into slot values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do update "
    "set calls = calls + excluded.calls, micros = micros + excluded.micros"
)
LAST = "insert into last values (1, ?) on conflict do update set id = excluded.id"
TREE = (
    "with recursive tree (call) as (select ? union select line.call from line join tree on line.parent = tree.call) select call from tree"
)
BATCH = 2000  # lines at a time, about 20 ms
PATIENCE = 0.5
"""Seconds that a question waits for the lines that are not known yet."""
KEPT = 400 * 24 * 60  # minutes
HEX = re.compile(r"[0-9a-f]{32}")
MINUTE = 60_000_000_000  # nanoseconds
GROWTH = math.log(1.1)
ENDINGS = frozenset({"call.outcome", "call.denied", "call.limited", "call.unknown"})
"""Types of lines that end a call."""

By = Literal["tool", "user", "integration"]
COLUMNS: Mapping[By, str] = {"tool": "tool", "user": "who", "integration": "integration"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lines; what is None does not matter."""

    who: str | None = None
    tool: str | None = None
    """With `*` and `?` for anything."""
    ending: str | None = None
    type: str | None = None
    """With `*` and `?` too."""
    call: str | None = None
    """This call and those made on its behalf, however deep."""
    since: int | None = None
    """Nanoseconds since 1970."""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """Calls that ended, added up."""

    calls: int = 0
    ok: int = 0
    refused: int = 0
    failed: int = 0
    """By an error, a bug or a cancellation, or nobody knows how."""
    cost: Micros = 0
    p50: float | None = None
    """Milliseconds, of those that were let through; None: none was."""
    p95: float | None = None
    p99: float | None = None


class Trail:
    """Opened when it is first asked: most servers are never."""

    def __init__(self, journal: Journal, file: Path | None = None) -> None:
        """
        Args:
            file: None: in memory.
        """
        self._journal = journal
        self._file = file
        self._one = anyio.Lock()
        self._names: dict[str, int] = {}

    async def follow(self) -> int:
        """Learn what was written since, as far as patience goes; how many lines are not known yet."""
        async with self._one:
            await anyio.to_thread.run_sync(lambda: self._connection)
            until = time.monotonic() + PATIENCE
            known = await self._checked()
            newest = await self._journal.read(STREAM, limit=1)
            last = newest[0].seq if newest else 0
            while known < last and time.monotonic() < until:
                batch = await self._journal.since(STREAM, after=known, limit=BATCH)
                if not batch:
                    break
                await anyio.to_thread.run_sync(self._learn, batch)
                known = batch[-1].seq
            return max(0, last - known)

    async def find(self, asked: Asked, *, limit: int, before: int | None = None) -> Sequence[int]:
        """The numbers of the newest `limit` lines, newest first, those below `before`."""
        async with self._one:
            return await anyio.to_thread.run_sync(self._find, asked, limit, before)

    async def newest(self, asked: Asked) -> Entry | None:
        """The newest line; None: there is none."""
        return next(iter(await self._journal.lines(await self.find(asked, limit=1))), None)

    async def sums(self, *, since: int, minutes: int, tenant: str | None = None, who: str | None = None) -> Mapping[int, Sum]:
        """Calls by the time that they ended.

        Args:
            since: the first minute since 1970.
            minutes: how many are added up to one; keys are the first of each.
            tenant, who: only these.
        """
        async with self._one:
            key = f"(minute - {since:d}) / {minutes:d} * {minutes:d} + {since:d}"
            return await anyio.to_thread.run_sync(self._sums, key, since, tenant, who)

    async def sums_by(self, by: By, *, since: int, tenant: str | None = None, who: str | None = None) -> Mapping[str, Sum]:
        """Calls since that minute, told apart; the one with the most calls first."""
        async with self._one:
            found = await anyio.to_thread.run_sync(self._sums, COLUMNS[by], since, tenant, who)
            named = {self._text(number): each for number, each in found.items()}
        return dict(sorted(named.items(), key=lambda pair: -pair[1].calls))

    async def _checked(self) -> int:
        """The last line that is known; 0 where what is known is of another journal, and is forgotten."""
        row = self._connection.execute("select seq, last.id from line, last order by seq desc limit 1").fetchone()
        if row is None:
            return 0
        same = await self._journal.since(STREAM, after=row[0] - 1, limit=1)
        if not same or (same[0].seq == row[0] and same[0].body.get("id") != row[1]):
            self._connection.executescript("delete from line; delete from slot; delete from last")
            return 0
        first = await self._journal.since(STREAM, after=0, limit=1)
        self._connection.execute("delete from line where seq < ?", (first[0].seq,))  # those were sealed and moved away
        return int(row[0])

    def close(self) -> None:
        if "_connection" in self.__dict__:
            self._connection.close()

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file or ":memory:", isolation_level=None, check_same_thread=False, timeout=5.0)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")  # it can be made again
        if connection.execute("pragma user_version").fetchone()[0] != SHAPE:
            connection.executescript(f"drop table if exists line; drop table if exists slot; pragma user_version = {SHAPE:d}")
        connection.executescript(SCHEMA)
        return connection

    def _learn(self, entries: Sequence[Entry]) -> None:
        with self._connection:
            self._connection.execute("begin immediate")
            known = int(self._connection.execute("select coalesce(max(seq), 0) from line").fetchone()[0])
            lines = []
            calls: dict[tuple[int, ...], list[int]] = {}
            for entry in entries:
                if entry.seq <= known:  # another process was faster
                    continue
                body = entry.body
                tool, who, result = _part(body, "tool"), _part(body, "principal"), _part(body, "result")
                numbers = [self._name(each) for each in (body.get("tenant"), who.get("id"), tool.get("name"), result.get("ending"))]
                tenant, person, name, ending = numbers
                ids = _id(body.get("call")), _id(body.get("parent"))
                lines.append((entry.seq, entry.at, self._name(body.get("type")), *numbers, *ids))
                if body.get("type") in ENDINGS:
                    cost = int(_part(body, "money").get("settled") or 0)
                    integration = self._name(tool.get("integration"))
                    slot = entry.at // MINUTE, tenant, person, name, integration, ending, class_of(body.get("ms"))
                    sum_ = calls.setdefault(slot, [0, 0])
                    sum_[0] += 1
                    sum_[1] += cost
            self._connection.executemany("insert into line values (?, ?, ?, ?, ?, ?, ?, ?, ?)", lines)
            # In the order of their table, which is then written from one end to the other.
            self._connection.executemany(ADD, [(*slot, *calls[slot]) for slot in sorted(calls)])
            if lines:
                self._connection.execute(LAST, (entries[-1].body.get("id"),))
            self._connection.execute("delete from slot where minute < ?", (entries[-1].at // MINUTE - KEPT,))

    def _name(self, text: Any) -> int:
        """The number of a name; that of the empty one for what is absent."""
        key = text[:200] if isinstance(text, str) else ""
        number = self._names.get(key)
        if number is None:
            self._connection.execute("insert or ignore into name (text) values (?)", (key,))
            number = int(self._connection.execute("select id from name where text = ?", (key,)).fetchone()[0])
            if len(self._names) > 100_000:
                self._names.clear()
            self._names[key] = number
        return number

    def _find(self, asked: Asked, limit: int, before: int | None) -> Sequence[int]:
        where, values = ["seq < ?"], [before if before is not None else 2**63 - 1]
        more: list[Any] = []
        for column, text in (("who", asked.who), ("ending", asked.ending)):
            if text is not None:
                where.append(f"{column} = (select id from name where text = ?)")  # noqa: S608
                more.append(text)
        for column, pattern in (("tool", asked.tool), ("type", asked.type)):
            if pattern is not None:
                ids = [row[0] for row in self._connection.execute("select id from name where text glob ?", (_glob(pattern),))]
                where.append(f"{column} in ({', '.join(map(str, ids)) or 'null'})")
        if asked.call is not None:
            calls = [row[0] for row in self._connection.execute(TREE, (_id(asked.call),))]
            where.append(f"call in ({', '.join('?' * len(calls))})")
            more += calls
        for comparison, at in ((">=", asked.since), ("<", asked.until)):
            if at is not None:  # the clock may have been set back, but not far: numbers are what pages go by
                found = self._connection.execute("select seq from line where at >= ? order by at limit 1", (at,)).fetchone()
                where.append(f"seq {comparison} ?")
                more.append(found[0] if found else 2**63 - 1)
        query = f"select seq from line where {' and '.join(where)} order by seq desc limit ?"  # noqa: S608
        return [row[0] for row in self._connection.execute(query, (*values, *more, limit))]

    def _sums(self, key: str, since: int, tenant: str | None, who: str | None) -> Mapping[int, Sum]:
        """By the number that `key` is; names are looked up once they are few."""
        where, values = "minute >= ?", [since, *(each for each in (tenant, who) if each is not None)]
        where += " and tenant = (select id from name where text = ?)" if tenant is not None else ""
        where += " and who = (select id from name where text = ?)" if who is not None else ""
        query = f"select {key}, ending, class, sum(calls), sum(micros) from slot where {where} group by 1, 2, 3"  # noqa: S608
        rows: dict[int, list[tuple[str, int, int, int]]] = {}
        endings: dict[int, str] = {}
        for of, ending, kind, calls, micros in self._connection.execute(query, values):
            if ending not in endings:
                endings[ending] = self._text(ending)
            rows.setdefault(of, []).append((endings[ending], kind, calls, micros))
        return {of: added(some) for of, some in rows.items()}

    def _text(self, number: int) -> str:
        return str(self._connection.execute("select text from name where id = ?", (number,)).fetchone()[0])


def class_of(ms: Any) -> int:
    """The class of a duration in milliseconds, from 0.01 on; -1 for none."""
    if not isinstance(ms, int | float) or isinstance(ms, bool):
        return -1
    return round(math.log(max(float(ms), 0.01) / 0.01) / GROWTH)


def middle(of: int) -> float:
    """The milliseconds that stand for a class."""
    return 0.01 * math.exp(of * GROWTH)


def added(rows: Iterable[tuple[str, int, int, int]]) -> Sum:
    """
    Args:
        rows: how the calls ended, their class of duration, how many, what they cost.
    """
    rows = list(rows)
    counts = {"ok": 0, "refused": 0}
    for ending, _, calls, _ in rows:
        counts[ending] = counts.get(ending, 0) + calls
    calls = sum(counts.values())
    through = sorted((of, count) for ending, of, count, _ in rows if ending != "refused" and of >= 0)
    p50, p95, p99 = (percentile(through, share) for share in (0.5, 0.95, 0.99))
    failed = calls - counts["ok"] - counts["refused"]
    return Sum(calls, counts["ok"], counts["refused"], failed, sum(row[3] for row in rows), p50, p95, p99)


def percentile(classes: Sequence[tuple[int, int]], share: float) -> float | None:
    """The milliseconds below which `share` of the calls ended.

    Args:
        classes: class and calls, ascending.
    """
    rank = math.ceil(share * sum(calls for _, calls in classes))
    for of, calls in classes:
        rank -= calls
        if rank <= 0:
            return middle(of)
    return None


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    return part if isinstance(part, Mapping) else {}


def _id(text: Any) -> Any:
    """The id of a call in half its size, where it is one of ours."""
    if not isinstance(text, str) or not HEX.fullmatch(text):
        return text
    return bytes.fromhex(text)


def _glob(pattern: str) -> str:
    """Only `*` and `?` mean something."""
    return pattern.replace("[", "[[]")
