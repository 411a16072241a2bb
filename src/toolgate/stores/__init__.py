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

    @property
    def fault(self) -> str | None:
        """Why the last line could not be written; None while writing works."""

    async def append(self, stream: str, body: Mapping[str, Any]) -> None:
        """
        Raises:
            AuditUnavailable: the line could not be written down.
        """

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        """The newest `limit` lines of `stream`, newest first, those with a `seq` below `before`."""


@asynccontextmanager
async def open_journal(store: str, folder: Path) -> AsyncIterator[Journal]:
    """The journal that `settings.store` names.

    Raises:
        Misconfigured: no such store.
        AuditUnavailable: it cannot be opened or is damaged.
    """
    if store == "memory":
        from toolgate.stores.memory import MemoryJournal

        yield MemoryJournal()
    elif store == "sqlite":
        from toolgate.stores.sqlite import SqliteJournal

        async with SqliteJournal.open(folder / "journal.db") as journal:
            yield journal
    else:
        raise Misconfigured(f"there is no store called {store}; sqlite and memory are known")
