"""What an operator has switched off, by kind of thing.

It stays so over restarts, and other processes that share the store follow within some seconds.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import anyio

from toolgate.calls import Principal
from toolgate.gateway.audit import record
from toolgate.stores import Stores

EVERY = 3.0
"""Seconds after which a process looks what others have switched."""

log = logging.getLogger("toolgate")


class Switches:
    def __init__(
        self, stores: Stores, kind: str, changed: Callable[[], object] = lambda: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            kind: of the records, and what the audit calls the thing.
            changed: puts into force what `off` says by now; where it raises, that is as before.
        """
        self._stores = stores
        self._kind = kind
        self._changed = changed
        self._clock = clock
        self._switching = anyio.Lock()
        self._looked: float | None = None
        self._said = ""
        self.off: frozenset[str] = frozenset()
        """Names, as this process knows it."""

    async def recall(self) -> None:
        """Learn what was off before anything is in force."""
        self.off = await self._kept()

    async def heed(self) -> None:
        """Put into force what is off by now. Raises as `changed` does."""
        async with self._switching:  # what is just being switched here is not written down yet
            self._take(await self._kept())

    async def follow(self) -> None:
        """Heed what other processes switch, for as long as it runs."""
        while True:
            await anyio.sleep(EVERY)
            await self._heed_if_possible()

    async def fresh(self) -> None:
        """Know what was off some seconds ago at most, for those who ask now and then and do not `follow`.

        Raises:
            AuditUnavailable: it was never known, and the store does not tell.
        """
        now = self._clock()
        if self._looked is None:
            await self.heed()
            self._looked = now
        elif now - self._looked >= EVERY:
            self._looked = now  # others do not wait for this, nor for a store that is away
            await self._heed_if_possible()

    async def switch(self, name: str, on: bool, who: Principal) -> None:
        """Off or on, from now on and for everybody. Raises as `changed` does; nothing is switched then."""
        async with self._switching:
            self._take(self.off - {name} if on else self.off | {name})
            records = self._stores.records
            if on:
                await records.delete(self._kind, name)
            elif await records.get(self._kind, name) is None:
                await records.put(self._kind, name, {"off": True, "by": who.id})
            about = {self._kind: name, "what": "enabled" if on else "disabled"}
            await record(self._stores.journal, "config.changed", principal=who, **about)

    def _take(self, off: frozenset[str]) -> None:
        before = self.off
        if off == before:
            return
        self.off = off
        try:
            self._changed()
        except Exception:
            self.off = before
            raise

    async def _kept(self) -> frozenset[str]:
        return frozenset(each.id for each in await self._stores.records.list(self._kind))

    async def _heed_if_possible(self) -> None:
        try:
            await self.heed()
            self._said = ""
        except Exception as error:  # of the store, or of what puts it into force: everything goes on as it is
            if str(error) != self._said:
                log.warning("what other processes have switched is not heeded: %s", error)
            self._said = str(error)
