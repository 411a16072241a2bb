"""A journal that forgets at the end: for tests and demonstrations."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from toolgate.stores import Entry


class MemoryJournal:
    fault: str | None = None

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    async def append(self, stream: str, body: Mapping[str, Any]) -> None:
        self._entries.append(Entry(len(self._entries) + 1, stream, time.time_ns(), body))

    async def read(self, stream: str, *, limit: int = 100, before: int | None = None) -> Sequence[Entry]:
        newest_first = (entry for entry in reversed(self._entries) if entry.stream == stream and (before is None or entry.seq < before))
        return [entry for entry, _ in zip(newest_first, range(limit), strict=False)]
