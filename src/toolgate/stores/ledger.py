"""The ledger in SQL, as SQLite and PostgreSQL both understand it.

Several processes may spend from one budget, so "check, then add" is one transaction here, and its `Writer` lets one
writer in at a time, and what was checked is still so when it is added. What a call may cost is added to `held` before it
is made and moves to `spent` after; a process that dies in between leaves a hold, which counts as spent once it expires.
A row in `hold` names the balances that it counts in, so that settling never asks what day it is.

Free calls take no part in that. Only their number is kept, added up in this process until the writer comes to it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeVar

import orjson

from toolgate.money import Micros
from toolgate.stores import DIMENSIONS, Account, Balance, Dimension, Every, Hold, Limit, Shortage, Usage, Use
from toolgate.stores.budget import Line, account_key, account_of, day_of, forgotten, left, lines, period, roomy, shortage

T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
REAP_SECONDS = 5.0
SCHEMA = """
create table if not exists balance (
    key text primary key, period text not null, spent bigint not null, held bigint not null, allowed bigint
) without rowid;
create index if not exists balance_period on balance (period);
create table if not exists budget (key text primary key, amount bigint) without rowid;
create table if not exists hold (
    id text primary key, amount bigint not null, keys text not null, day text not null, use text not null,
    expires double precision not null
) without rowid;
create table if not exists lost_hold (
    id text primary key, amount bigint not null, keys text not null, day text not null, use text not null
) without rowid;
create table if not exists usage (
    "day" text not null, "tenant" text not null, "user" text not null, "tool" text not null, "integration" text not null,
    "provider" text not null, "phase" text not null,
    calls bigint not null, refused bigint not null, unknown bigint not null, cost bigint not null, estimated bigint not null,
    primary key ("day", "tenant", "user", "tool", "integration", "provider", "phase")
) without rowid;
create table if not exists ledger_day (one integer primary key check (one = 1), day text not null);
"""
ADD_USAGE = """
insert into usage values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
on conflict ("day", "tenant", "user", "tool", "integration", "provider", "phase") do update set
    calls = usage.calls + excluded.calls, refused = usage.refused + excluded.refused, unknown = usage.unknown + excluded.unknown,
    cost = usage.cost + excluded.cost, estimated = usage.estimated + excluded.estimated
"""
ADD_LOST_HOLD = "insert into lost_hold values (?, ?, ?, ?, ?) on conflict (id) do nothing"
ADD_BUDGET = "insert into budget values (?, ?) on conflict (key) do update set amount = excluded.amount"
TAKE_LOST = "delete from lost_hold where id = ? returning amount, keys, day, use"
EXPIRED = "delete from hold where expires <= ? returning id, amount, keys, day, use"
SEEN_DAY = "insert into ledger_day values (1, ?) on conflict (one) do update set day = excluded.day"


Held = tuple[Micros, tuple[str, str, str]]
"""What a row in `hold` says: the amount, and of what: keys, day, use."""


class Rows(Protocol):
    """What a command found."""

    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What a transaction is made of: `sqlite3.Connection` has it."""

    def execute(self, command: str, values: Sequence[Any] = (), /) -> Rows: ...


class Writer(Protocol):
    """What the ledger needs of a `Database`. While some work is done for one, no other writer works, in any process."""

    async def write(self, work: Callable[[Connection], T]) -> T: ...
    def send(self, work: Callable[[Connection], object]) -> None: ...
    def send_together(self, together: Callable[[Connection, Sequence[I]], Sequence[object]], item: I) -> None: ...
    async def read(self, work: Callable[[Connection], T]) -> T: ...


class Ending(NamedTuple):
    """What becomes of a hold."""

    id: str
    cost: Micros | None
    """None: nobody knows."""
    estimated: bool = False
    released: bool = False
    """Nothing was spent and no call is counted; the rest does not matter."""


class SqlLedger:
    def __init__(self, database: Writer, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            clock: seconds since 1970. The later of it and the last day that any process has seen is the present.
        """
        self._database = database
        self._clock = clock
        self._reaped = float("-inf")
        self._held: dict[str, Held] = {}
        """Written by this process, by id: to read a row gives the interpreter's lock away seven times, to count rows once for all."""
        self._counted: dict[Use, tuple[int, int]] = {}
        self._lock = threading.Lock()

    async def reserve(self, hold: Hold) -> Shortage | None:
        return await self._database.write(lambda connection: self.reserve_all(connection, [hold])[0])

    def settle(self, id: str, cost: Micros | None, *, estimated: bool = False) -> None:
        self._database.send_together(self._end, Ending(id, cost, estimated))

    def release(self, id: str) -> None:
        self._database.send_together(self._end, Ending(id, None, released=True))

    def count(self, use: Use, *, refused: bool = False) -> None:
        with self._lock:
            waiting = bool(self._counted)
            calls, refusals = self._counted.get(use, (0, 0))
            self._counted[use] = (calls, refusals + 1) if refused else (calls + 1, refusals)
        if not waiting:
            self._database.send(self._write_counted)

    async def left(self, limits: Sequence[Limit]) -> Micros | None:
        def found(connection: Connection) -> Micros | None:
            counted = lines(tuple(limits), max(_seen(connection), day_of(self._clock())))
            return left(counted, *_looked_up(connection, {line.key: line for line in counted}))

        return await self._database.read(found)

    async def reap(self) -> int:
        return await self._database.write(self._reap)

    async def budget(self, account: Account, every: Every, limit: Micros | None) -> None:
        row = (account_key(account, every), limit)
        await self._database.write(lambda connection: connection.execute(ADD_BUDGET, row) and None)

    async def unset(self, account: Account, every: Every) -> bool:
        key = account_key(account, every)
        return await self._database.write(lambda connection: connection.execute("delete from budget where key = ?", (key,)).rowcount == 1)

    async def reset(self, account: Account, every: Every) -> Micros:
        def start_anew(connection: Connection) -> Micros:
            key = account_key(account, period(every, self._today(connection)))
            row = connection.execute("select spent from balance where key = ?", (key,)).fetchone()
            connection.execute("update balance set spent = 0 where key = ?", (key,))
            return int(row[0]) if row else 0

        return await self._database.write(start_anew)

    async def balances(self) -> Sequence[Balance]:
        await self.reap()
        return await self._database.read(lambda connection: _balances(connection, max(_seen(connection), day_of(self._clock()))))

    async def usage(
        self, by: Sequence[Dimension], *, since: str = "", until: str = "9999", tenant: str = "", user: str = ""
    ) -> Sequence[Usage]:
        await self.reap()
        return await self._database.read(partial(_usage, tuple(by), (since, until, tenant, user)))

    def reserve_all(self, connection: Connection, holds: Sequence[Hold]) -> Sequence[Shortage | None]:
        """`reserve` of each, one after the other, within one transaction."""
        now = self._clock()
        if now - self._reaped >= REAP_SECONDS or now < self._reaped:
            self._reap(connection)
        day = self._today(connection)
        # By identity, since calls of one kind have the very same: to hash all that they are made of takes longer than all the rest.
        kinds = {id(limits): _counted(limits, day) for limits in {id(hold.limits): hold.limits for hold in holds}.values()}
        counted = {limits: each for limits, (each, _) in kinds.items()}
        uses = {id(use): _to_text(use) for use in {id(hold.use): hold.use for hold in holds}.values()}
        balances, budgets = _looked_up(connection, {line.key: line for each in counted.values() for line in each})
        limited = {limits: [line for line in each if line.key in balances] for limits, each in counted.items()}
        asked = dict.fromkeys(counted, 0)
        for hold in holds:
            asked[id(hold.limits)] += hold.amount
        if roomy([(limited[limits], amount) for limits, amount in asked.items()], balances, budgets):
            limited = {limits: [] for limits in limited}  # none has to be looked at by itself
        there = _there(connection, [hold.id for hold in holds])
        found: list[Shortage | None] = []
        rows: list[tuple[Any, ...]] = []
        sums: dict[int, Micros] = {}
        for hold in holds:
            limits = id(hold.limits)
            short = shortage(limited[limits], hold.amount, balances, budgets, day) if limited[limits] else None
            found.append(short)
            if short is None and hold.id not in there:
                there.add(hold.id)
                of = kinds[limits][1], day, uses[id(hold.use)]
                self._held[hold.id] = hold.amount, of
                rows.append((hold.id, hold.amount, *of, now + hold.seconds))
                sums[limits] = sums.get(limits, 0) + hold.amount
                for line in limited[limits]:
                    spent, before = balances[line.key]
                    balances[line.key] = spent, before + hold.amount
        insert(connection, "insert into hold", rows)
        held_in: dict[str, list[Any]] = {}
        for limits, amount in sums.items():
            for line in counted[limits]:
                row = held_in.setdefault(line.key, [line.key, period(line.every, day), 0, None])
                row[2:] = row[2] + amount, line.limit
        if held_in:
            connection.execute(_hold_in(len(held_in)), [value for row in held_in.values() for value in row])
        return found

    def _end(self, connection: Connection, endings: Sequence[Ending]) -> Sequence[None]:
        """End holds; of one that is ended twice the first counts."""
        by_id = {ending.id: ending for ending in reversed(endings)}
        changes: dict[tuple[str, str, str], list[tuple[int, ...]]] = {}
        for some in _by_hundreds(list(by_id)):
            for call, (amount, of) in self._taken(connection, some):
                _, cost, guessed, released = by_id.pop(call)
                if released:
                    change = amount, 0, 0, 0, 0
                elif cost is None:
                    change = amount, amount, 1, 1, amount
                else:
                    change = amount, cost, 1, 0, cost if guessed else 0
                changes.setdefault(of, []).append(change)
        for (keys, day, use), some_of in changes.items():
            held, spent, calls, unknown, estimated = map(sum, zip(*some_of, strict=True))
            _book(connection, keys, spent=spent, held=-held)
            if calls:
                _use(connection, day, use, calls=calls, unknown=unknown, cost=spent, estimated=estimated)
        for ending in by_id.values():
            if ending.released or ending.cost is not None:
                _set_right(connection, ending)
        return [None] * len(endings)

    def _taken(self, connection: Connection, ids: list[str]) -> Iterable[tuple[str, Held]]:
        """Take holds away, and say what those that were there held."""
        known = [(call, held) for call in ids if (held := self._held.pop(call, None)) is not None]
        if len(known) == len(ids) == _look_up(connection, "count(*)", "hold", "id", ids).fetchone()[0]:
            remove(connection, "hold", ids)
            return known
        rows = remove(connection, "hold", ids, " returning id, amount, keys, day, use").fetchall()
        return [(call, (amount, (keys, day, use))) for call, amount, keys, day, use in rows]

    def _reap(self, connection: Connection) -> int:
        self._reaped = self._clock()
        expired = connection.execute(EXPIRED, (self._reaped,)).fetchall()
        for call, amount, keys, day, use in expired:
            self._held.pop(call, None)
            _book(connection, keys, spent=amount, held=-amount)
            _use(connection, day, use, calls=1, unknown=1, cost=amount, estimated=amount)
            connection.execute(ADD_LOST_HOLD, (call, amount, keys, day, use))
        return len(expired)

    def _today(self, connection: Connection) -> str:
        """The present day. It is written down when it begins, so that a clock that is set back does not begin the day before again."""
        today, seen = day_of(self._clock()), _seen(connection)
        if today <= seen:
            return seen
        connection.execute(SEEN_DAY, (today,))
        connection.execute("delete from balance where period < ?", (forgotten(today),))
        connection.execute("delete from lost_hold where day < ?", (forgotten(today),))
        return today

    def _write_counted(self, connection: Connection) -> None:
        with self._lock:
            counted, self._counted = self._counted, {}
        day = self._today(connection)
        for use, (calls, refused) in counted.items():
            _use(connection, day, _to_text(use), calls=calls, refused=refused)


def insert(connection: Connection, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert `rows`, up to 16 by one command, or 32, 48 or 64: SQLite keeps the last 128 commands compiled, so few should serve all."""
    at = 0
    while (left := len(rows) - at) > 0:
        some = rows[at : at + (left if left < 16 else min(left // 16 * 16, 64))]
        connection.execute(f"{into} values {_marks(len(some), len(some[0]))}", list(chain.from_iterable(some)))
        at += len(some)


def remove(connection: Connection, table: str, ids: list[str], then: str = "") -> Rows:
    """Delete the rows with these `ids`, at least one."""
    padded = _padded(ids, ids[-1])
    return connection.execute(f"delete from {table} where id in {_marks(1, len(padded))}{then}", padded)  # noqa: S608


def _look_up(connection: Connection, what: str, table: str, column: str, values: list[str]) -> Rows:
    """`what` of the rows whose `column` is one of `values`, of which none is empty."""
    padded = _padded(values, "")
    # Joined to, since of a list SQLite makes a table first.
    wanted = f"(values {_marks(len(padded), 1)}) as wanted"
    return connection.execute(f"select {what} from {wanted} cross join {table} where {column} = column1", padded)  # noqa: S608


def _padded(values: list[str], more: str) -> list[str]:
    """`values`, and `more` to a power of two of them: for commands of few lengths."""
    return values + [more] * ((1 << (len(values) - 1).bit_length()) - len(values))


@lru_cache(maxsize=256)
def _marks(rows: int, columns: int) -> str:
    return ", ".join([f"({', '.join('?' * columns)})"] * rows)


def _seen(connection: Connection) -> str:
    """The last day that any process has seen."""
    row = connection.execute("select day from ledger_day").fetchone()
    return str(row[0]) if row else ""


def _looked_up(connection: Connection, counted: Mapping[str, Line]) -> tuple[dict[str, tuple[Micros, Micros]], dict[str, Micros | None]]:
    """What is spent and held by key, of all that have a limit, and what the operator has set."""
    budgets: dict[str, Micros | None] = {}
    for some in _by_hundreds([line.budget for line in counted.values()]):
        budgets.update(_look_up(connection, "key, amount", "budget", "key", some).fetchall())
    balances = {line.key: (0, 0) for line in counted.values() if budgets.get(line.budget, line.limit) is not None}
    for some in _by_hundreds(list(balances)):
        for key, spent, held in _look_up(connection, "key, spent, held", "balance", "key", some).fetchall():
            balances[key] = spent, held
    return balances, budgets


def _there(connection: Connection, ids: list[str]) -> set[str]:
    """Those of `ids` that are held."""
    return {row[0] for some in _by_hundreds(ids) for row in _look_up(connection, "id", "hold", "id", some).fetchall()}


def _set_right(connection: Connection, ending: Ending) -> None:
    """A hold that had expired counted as spent, and as a call."""
    cost, calls = (0, -1) if ending.released or ending.cost is None else (ending.cost, 0)
    for amount, keys, day, use in connection.execute(TAKE_LOST, (ending.id,)).fetchall():
        _book(connection, keys, spent=cost - amount, held=0)
        named = orjson.loads(keys)
        # What counted there was forgotten meanwhile by a reset, and is not to be given back a second time.
        connection.execute(f"update balance set spent = 0 where spent < 0 and key in {_marks(1, len(named))}", named)  # noqa: S608
        estimated = (cost if ending.estimated else 0) - amount
        _use(connection, day, use, calls=calls, unknown=-1, cost=cost - amount, estimated=estimated)


def _by_hundreds(items: list[T]) -> Iterator[list[T]]:
    """A command has room for so many."""
    return (items[at : at + 100] for at in range(0, len(items), 100))


def _book(connection: Connection, keys: str, *, spent: Micros, held: Micros) -> None:
    named: list[str] = orjson.loads(keys)
    connection.execute(_book_in(len(named)), (spent, held, *named))


def _use(
    connection: Connection,
    day: str,
    use: str,
    *,
    calls: int = 0,
    refused: int = 0,
    unknown: int = 0,
    cost: Micros = 0,
    estimated: Micros = 0,
) -> None:
    connection.execute(ADD_USAGE, (day, *orjson.loads(use), calls, refused, unknown, cost, estimated))


@lru_cache(maxsize=4096)
def _to_text(use: Use) -> str:
    return orjson.dumps([use.tenant, use.user, use.tool, use.integration, use.provider, use.phase]).decode()


@lru_cache(maxsize=8192)
def _counted(limits: tuple[Limit, ...], day: str) -> tuple[Sequence[Line], str]:
    """What an amount counts against, and the keys of that as a hold has them."""
    counted = lines(limits, day)
    return counted, orjson.dumps([line.key for line in counted]).decode()


@lru_cache
def _hold_in(lines: int) -> str:
    rows = ", ".join(["(?, ?, 0, ?, ?)"] * lines)
    change = "held = balance.held + excluded.held, allowed = excluded.allowed"
    return f"insert into balance (key, period, spent, held, allowed) values {rows} on conflict (key) do update set {change}"  # noqa: S608


@lru_cache
def _book_in(lines: int) -> str:
    return f"update balance set spent = spent + ?, held = held + ? where key in {_marks(1, lines)}"  # noqa: S608


def _balances(connection: Connection, day: str) -> list[Balance]:
    budgets: dict[str, Micros | None] = dict(connection.execute("select key, amount from budget").fetchall())
    found: dict[str, Balance] = {}
    rows = connection.execute("select key, spent, held, allowed from balance where period in (?, ?)", (day, period("month", day)))
    for key, spent, held, allowed in rows:
        account, when = account_of(key)
        every: Every = "day" if when == day else "month"
        budget = account_key(account, every)
        found[budget] = Balance(account, every, when, budgets.get(budget, allowed), spent, held, budget in budgets)
    for budget, limit in budgets.items():
        if budget not in found:
            account, every = _account_and_every(budget)
            found[budget] = Balance(account, every, period(every, day), limit, 0, 0, True)
    return [found[key] for key in sorted(found)]


def _account_and_every(budget: str) -> tuple[Account, Every]:
    account, every = account_of(budget)
    return account, "day" if every == "day" else "month"


SUMS = ", ".join(f"cast(coalesce(sum({name}), 0) as bigint)" for name in ("calls", "refused", "unknown", "cost", "estimated"))


def _usage(by: tuple[Dimension, ...], bounds: tuple[str, ...], connection: Connection) -> list[Usage]:
    if not set(by) <= set(DIMENSIONS):  # they become part of the command
        raise ValueError("usage is told apart by its dimensions")
    names = [f'"{name}"' for name in by]
    bounded = """"day" between ? and ? and ? in ('', "tenant") and ? in ('', "user")"""
    command = f"select {', '.join((*names, SUMS))} from usage where {bounded}"  # noqa: S608
    if names:
        command += f" group by {', '.join(names)} order by {', '.join(names)}"
    rows = connection.execute(command, bounds)
    return [Usage(dict(zip(by, row, strict=False)), *row[len(names) :]) for row in rows]
