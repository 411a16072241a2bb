"""What was read lately, for a few seconds: so that a change elsewhere is seen soon, and not asked for with every call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

V = TypeVar("V")

SECONDS = 4.0
"""A change made by any process is seen everywhere within 5 s; the fifth is for reading and writing it."""
SIZE = 4096  # values; a caller's key or credential takes about 1 kB


class Recent(Generic[V]):
    """Values by key, each at most `seconds` old and never more than `size` of them. What is absent is remembered too."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[V]],
        *,
        seconds: float = SECONDS,
        size: int = SIZE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._kept: dict[str, tuple[V, float]] = {}

    def kept(self, key: str) -> V | None:
        """What is remembered and still good; None: nothing, or that it is absent."""
        kept = self._kept.get(key)
        return kept[0] if kept is not None and self._clock() < kept[1] else None

    async def get(self, key: str) -> V:
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now < kept[1]:
            return kept[0]
        value = await self._read(key)
        self._kept.pop(key, None)
        while len(self._kept) >= self._size:
            self._kept.pop(next(iter(self._kept)), None)
        self._kept[key] = value, now + self._seconds  # from before it was read
        return value

    def forget(self, key: str) -> None:
        """Read it anew next time."""
        self._kept.pop(key, None)
