"""What Toolgate remembers, behind small protocols."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from toolgate.errors import Misconfigured


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

    async def delete(self, kind: str, id: str) -> bool:
        """Whether there was one."""

    async def list(self, kind: str, *, limit: int = 1000, after: str = "") -> Sequence[Record]:
        """Those with an id above `after`, by id."""


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
        """Count one call against every allowance if all have room, else against none.

        Never are more than `calls` of a key taken in a window of `seconds`.

        Returns:
            None when taken, else the allowance that will be used up longest.
        """


@dataclass(frozen=True, slots=True)
class Stores:
    """All that is remembered beyond this process."""

    journal: Journal
    records: Records


@asynccontextmanager
async def open_stores(store: str, folder: Path) -> AsyncIterator[Stores]:
    """The stores that `settings.store` names.

    Raises:
        Misconfigured: no such store.
        AuditUnavailable: it cannot be opened or is damaged.
    """
    if store == "memory":
        from toolgate.stores.memory import memory_stores

        yield memory_stores()
    elif store == "sqlite":
        from toolgate.stores.sqlite import open_sqlite

        async with open_sqlite(folder / "toolgate.db") as stores:
            yield stores
    else:
        raise Misconfigured(f"there is no store called {store}; sqlite and memory are known")
