"""Places that requests take while they are under way, in the order in which they asked.

As `asyncio.Semaphore`, but where there is a place, as nearly always, to take it and to give it back costs next to nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress


class Room:
    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take(self) -> bool:
        """Take a place if there is one and nobody waits for it."""
        if self._free and not self._waiting:
            self._free -= 1
            return True
        return False

    async def wait(self) -> None:
        """Take a place once there is one."""
        if self.take():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.give()  # it was handed over to somebody who no longer wants it
            with suppress(ValueError):
                self._waiting.remove(waiter)
            raise

    def give(self) -> None:
        """Give a place back: to whoever has waited longest, else to all."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1


__all__ = ["Room"]
