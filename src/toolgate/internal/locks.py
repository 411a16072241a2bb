"""One at a time: calls about the same thing wait for each other within this process, and not beyond it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import anyio


class Locks:
    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def hold(self, subject: str, *, seconds: float) -> AsyncIterator[bool]:
        """Have `subject` for oneself; False when others held it for `seconds`."""
        lock = self._locks.get(subject)
        if lock is None:
            lock = self._locks[subject] = anyio.Lock()
        with anyio.move_on_after(seconds) as waiting:
            await lock.acquire()
        if waiting.cancelled_caught:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()
