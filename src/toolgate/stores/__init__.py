"""What Toolgate remembers, behind small protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import SecretStr

from toolgate.audit.keys import Keys
from toolgate.errors import Misconfigured
from toolgate.money import Micros, shown
from toolgate.settings import Audit
from toolgate.stores.lease import Alone

DEFAULT = Audit()


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled line."""

    seq: int
    """1, 2, 3 … within the journal."""
    stream: str
    """Such as `audit`."""
    at: int
    """Nanoseconds since 1970, UTC."""
    body: Mapping[str, Any]


class Journal(Protocol):
    """Append and read. What was appended is durable once `append` returns."""

    instance: str
    """Names the process, from one opening to its closing."""

    @property
    def fault(self) -> str | None:
        """Why the last line could not be written; None while writing works."""

    async def append(self, stream: str, body: Mapping[str, Any], *, opens: str | None = None, closes: str | None = None) -> int:
        """Write a line down and return its `seq`.

        Args:
            opens: a call's id; something is under way from this line on, until a line `closes` it. Where that line cannot be
                written it is kept, and written once writing works again.

        Raises:
            AuditUnavailable: the line could not be written down.
        """

    async def recover(self) -> int:
        """Write a `call.unknown` for every line that opened something in a process that is gone since, and say how many."""

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        """The newest `limit` lines of `stream`, newest first, those with a `seq` below `before`."""

    async def since(self, stream: str, *, after: int, limit: int = 100) -> Sequence[Entry]:
        """The first `limit` lines of `stream` with a `seq` above `after`, oldest first."""

    async def lines(self, numbers: Sequence[int]) -> Sequence[Entry]:
        """Those of these lines that are there, by number."""


@dataclass(frozen=True, slots=True)
class Record:
    """One durable value."""

    id: str
    version: int
    """1, 2, 3 …, one more with each change."""
    body: Mapping[str, Any]
    expires: float | None = None
    """Seconds since 1970; None: never."""


class Records(Protocol):
    """Durable JSON by kind and id: keys, approvals, replays, credentials. Expired ones are as if they were not there.

    Every change names the version that it replaces, so that of two that happen at once, in one process or several, one wins.
    """

    async def get(self, kind: str, id: str) -> Record | None: ...

    async def put(self, kind: str, id: str, body: Mapping[str, Any], *, replaces: int = 0, expires: float | None = None) -> bool:
        """
        Args:
            replaces: the version that is there now; 0: nothing is.

        Returns:
            False when something else is there; nothing has changed then.
        """

    def put_soon(self, kind: str, id: str, body: Mapping[str, Any], *, expires: float | None = None) -> Awaitable[bool]:
        """As `put` of what is not there yet, but not waited for: durable, at the latest, together with the next thing that is waited
        for in the same stores. What it returns tells what `put` would have.
        """

    async def delete(self, kind: str, id: str) -> bool:
        """Whether there was one."""

    async def list(self, kind: str, *, limit: int = 1000, after: str = "") -> Sequence[Record]:
        """Those with an id above `after`, by id."""


async def every(records: Records, kind: str, prefix: str = "", *, after: str = "", page: int = 1000) -> AsyncIterator[Record]:
    """Records whose id begins with `prefix`, by id, from above `after` on, read `page` at a time."""
    after = max(after, prefix)
    while found := await records.list(kind, limit=page, after=after):
        for each in found:
            if not each.id.startswith(prefix):
                return
            yield each
        if len(found) < page:
            return
        after = found[-1].id


class Lives(Protocol):
    """Which of the processes that share the records are there."""

    instance: str
    """Names this one; the journal's too."""

    async def join(self) -> None:
        """Count as there from now on, to the end of this process."""

    async def alive(self, instance: str) -> bool:
        """Whether the process of that name is there."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """So many calls in any window of so many seconds."""

    key: str
    """Whose calls: equal keys are counted together."""
    calls: int
    """At least 1."""
    seconds: float


@dataclass(frozen=True, slots=True)
class UsedUp:
    """The allowance that a call found used up."""

    allowance: Allowance
    wait: float
    """Seconds until it has room for one more, if nobody else takes that."""


class Counters(Protocol):
    """How many calls there were lately."""

    @property
    def degraded(self) -> bool:
        """Whether the calls of other processes are not counted at present, though they should be."""

    async def take(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        """Count one call against every allowance if all have room, else against none. No two have the same key.

        Never are more than `calls` of a key taken in a window of `seconds`.

        Returns:
            None when taken, else the allowance that will be used up longest.
        """


Scope = Literal["user", "tenant", "tool", "session"]
Every = Literal["day", "month"]
EVERY: tuple[Every, ...] = ("day", "month")
"""UTC days, and calendar months in UTC."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose money is spent."""

    scope: Scope
    tenant: str = ""
    """Empty for a tool: its budget is for all tenants together."""
    user: str = ""
    """Of a user and of a session."""
    name: str = ""
    """Of a tool and of a session."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What an account may spend where the operator has set nothing for it in the ledger; None: anything."""

    account: Account
    day: Micros | None = None
    month: Micros | None = None

    def of(self, every: Every) -> Micros | None:
        return self.day if every == "day" else self.month


@dataclass(frozen=True, slots=True)
class Use:
    """What usage is told apart by, besides the day."""

    tenant: str
    user: str
    tool: str
    integration: str
    provider: str = ""
    """Of a language model; empty: none was asked."""
    phase: str = ""
    """Of an agent's run; empty: no agent."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for a call."""

    id: str
    """The call's."""
    amount: Micros
    """At least 1."""
    seconds: float
    """After them, unless settled or released, nobody knows what became of the call, and the amount counts as spent."""
    limits: tuple[Limit, ...]
    use: Use


@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget that has no room for an amount."""

    account: Account
    every: Every
    limit: Micros
    spent: Micros
    held: Micros
    """By calls under way."""
    amount: Micros
    renews: float
    """Seconds since 1970."""

    @property
    def left(self) -> Micros:
        return max(0, self.limit - self.spent - self.held)


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account has spent in a period."""

    account: Account
    every: Every
    period: str
    """`2026-11-20` or `2026-11`."""
    limit: Micros | None
    """None: no limit. What a tier allows is known once something was reserved in the period."""
    spent: Micros
    held: Micros
    set_by_operator: bool
    """In the ledger; otherwise the limit is the tier's."""


Dimension = Literal["day", "tenant", "user", "tool", "integration", "provider", "phase"]
DIMENSIONS: tuple[Dimension, ...] = ("day", "tenant", "user", "tool", "integration", "provider", "phase")


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used, added up over everything that `of` does not tell apart."""

    of: Mapping[Dimension, str]
    calls: int = 0
    """Let through to the tool."""
    refused: int = 0
    """For want of money."""
    unknown: int = 0
    """Calls of which nobody knows whether they cost anything; counted as if they did."""
    cost: Micros = 0
    estimated: Micros = 0
    """The part of `cost` that is a default or a reserve, for want of a known price or ending."""

    def to_json(self) -> dict[str, Any]:
        """As reports show it."""
        said: dict[str, Any] = dict(self.of.items())
        said |= {"calls": self.calls, "refused": self.refused, "unknown": self.unknown}
        return said | {"cost": shown(self.cost), "estimated": shown(self.estimated)}


class Ledger(Protocol):
    """Who may still spend how much, and what was used.

    Money is reserved before a call, and settled or released after. The period that it counts in is chosen when it is
    reserved, by the ledger's clock, and a clock that is set back never opens a period again that has ended.
    """

    async def reserve(self, hold: Hold) -> Shortage | None:
        """Set money aside if every budget has room for it, else nothing. One that is already there is left as it is.

        Returns:
            None when reserved, else the budget that has no room; of several the one that renews last.

        Raises:
            AuditUnavailable: it could not be written down.
        """

    def settle(self, id: str, cost: Micros | None, *, estimated: bool = False) -> None:
        """Put what was spent in place of what was held, above the limit too, and count the call. Not waited for: it is
        durable with the next line that the journal of the same store takes. What is not held (any more) is left alone, so
        that settling twice is settling once; a hold that had expired is set right.

        Args:
            cost: None: nobody knows; what was held counts then.
            estimated: the cost is a default, for want of a known price.
        """

    def release(self, id: str) -> None:
        """Give back what was held for a call that was not let through after all, and count none, expired or not. Not waited for."""

    def count(self, use: Use, *, refused: bool = False) -> None:
        """Count a call that costs nothing, or one that was refused for want of money. Not waited for."""

    async def left(self, limits: Sequence[Limit]) -> Micros | None:
        """What may still be reserved against all of `limits` together, as far as it is written; None: anything."""

    async def reap(self) -> int:
        """Count expired holds as spent, and say how many there were. `reserve` does so by itself every few seconds."""

    async def budget(self, account: Account, every: Every, limit: Micros | None) -> None:
        """Set an account's limit over what its tier says; None: no limit."""

    async def unset(self, account: Account, every: Every) -> bool:
        """Let the tier decide again. Whether something was set."""

    async def reset(self, account: Account, every: Every) -> Micros:
        """Let an account start the present period anew, and say what it had spent. Usage, and what is held, stay."""

    async def balances(self) -> Sequence[Balance]:
        """Of the present day and month: accounts that have spent or hold something, and those with a limit set."""

    async def usage(
        self, by: Sequence[Dimension], *, since: str = "", until: str = "9999", tenant: str = "", user: str = ""
    ) -> Sequence[Usage]:
        """What was used, told apart by `by` and in its order.

        Args:
            since: the first day, such as `2026-11-01`.
            until: the last day.
            tenant: only this one's; empty: everybody's.
            user: only this one's; empty: everybody's.
        """


Begin = Callable[[str, Mapping[str, Any], str, Hold], Awaitable[Shortage | None]]
"""`Ledger.reserve` a hold, and if that succeeds `Journal.append` a line (stream, body) that opens a call."""


@dataclass(frozen=True, slots=True)
class Stores:
    """All that is remembered beyond this process."""

    journal: Journal
    records: Records
    ledger: Ledger
    keys: Keys = field(default_factory=Keys.random)
    """What the audit's digests and checkpoints are made with."""
    lives: Lives = field(default_factory=Alone)
    begin: Begin | None = None
    """In one commit, where journal and ledger are one database. None: one after the other."""


@asynccontextmanager
async def open_stores(
    store: Literal["sqlite", "memory"], folder: Path, audit: Audit = DEFAULT, ledger: SecretStr | None = None
) -> AsyncIterator[Stores]:
    """The stores that `settings.store` names, with the ledger at `settings.ledger` where that names one.

    Raises:
        Misconfigured: the ledger cannot be used.
        AuditUnavailable: it cannot be opened or is damaged.
    """
    async with _opened(store, folder, audit) as stores:
        if ledger is None:
            yield stores
            return
        try:
            from toolgate.stores.postgres import open_postgres
        except ImportError:
            raise Misconfigured("ledger names a PostgreSQL, and its client is not installed: pip install 'toolgate[postgres]'") from None
        async with open_postgres(ledger.get_secret_value()) as shared:
            yield replace(stores, ledger=shared, begin=None)


@asynccontextmanager
async def _opened(store: Literal["sqlite", "memory"], folder: Path, audit: Audit) -> AsyncIterator[Stores]:
    if store == "memory":
        from toolgate.stores.memory import memory_stores

        yield memory_stores()
    else:
        from toolgate.stores.sqlite import open_sqlite

        async with open_sqlite(folder / "toolgate.db", audit) as stores:
            yield stores
