"""What this process remembers for a while, and may forget at any time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

OVERHEAD = 300
"""Bytes that an entry takes besides its key and value; 230 were measured, and the mapping grows in steps."""


class LocalMemory:
    """Of this process: at most `size` bytes, those not asked for longest forgotten first. No value that takes an eighth of it."""

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.used = 0
        """Bytes."""

    async def get(self, key: str) -> bytes | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if self._clock() >= until:
            self._forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    async def put(self, key: str, value: bytes, seconds: float) -> None:
        self._forget(key)
        taken = _weight(key, value)
        if taken > self._size / 8:
            return
        self._entries[key] = value, self._clock() + seconds
        self.used += taken
        while self.used > self._size:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.used -= _weight(key, entry[0])


def _weight(key: str, value: bytes) -> int:
    return len(key) + len(value) + OVERHEAD
