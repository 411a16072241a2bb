"""The credentials that callers linked: each its own, for one integration, sealed in the store.

A link belongs to a tenant, a user and an integration, and is sealed for exactly these three: who copies one record's
content into another's finds that it does not open there.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256

import anyio
import orjson

from toolgate.calls import Principal, new_id
from toolgate.stores import Records, every
from toolgate.stores.recent import Recent
from toolgate.stores.sealed import Sealer

KIND = "credential"
"""Of the records."""
SOON, LATE = 0.02, 0.5
"""Seconds between two looks at whether it is one's turn, at first and at most."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose credential, for what."""

    tenant: str
    user: str
    integration: str

    @classmethod
    def of(cls, principal: Principal, integration: str) -> Holder:
        """An agent uses what belongs to whom it acts for."""
        return cls(principal.tenant, principal.user, integration)

    @property
    def purpose(self) -> bytes:
        """The three in a form in which no two holders are alike."""
        return orjson.dumps([self.tenant, self.user, self.integration])

    @property
    def id(self) -> str:
        return sha256(self.purpose).hexdigest()


@dataclass(frozen=True, slots=True)
class Link:
    """That somebody has linked a credential; not which."""

    holder: Holder
    at: float
    """Seconds since 1970."""


class Links:
    """The links in a store. What another process changes is seen within 5 s."""

    def __init__(
        self,
        records: Records,
        sealer: Sealer,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
        kind: str = KIND,
    ) -> None:
        self._kind = kind
        self._records = records
        self._sealer = sealer
        self._clock = clock
        self._recent = Recent(lambda holder: records.get(kind, holder), clock=ticks)

    async def secret(self, holder: Holder, *, fresh: bool = False) -> str | None:
        """What `holder` linked; None: nothing.

        Args:
            fresh: as it is now, and not as it was up to 5 s ago.

        Raises:
            Misconfigured: it cannot be opened.
        """
        if fresh:
            self._recent.forget(holder.id)
        record = await self._recent.get(holder.id)
        return None if record is None else self._sealer.open(record.body["sealed"], holder.purpose)

    async def set(self, holder: Holder, secret: str) -> None:
        """Link `secret`, instead of what was linked before."""
        body = {
            "tenant": holder.tenant,
            "user": holder.user,
            "integration": holder.integration,
            "at": self._clock(),
            "sealed": self._sealer.seal(secret, holder.purpose),
        }
        changed = False
        while not changed:
            there = await self._records.get(self._kind, holder.id)
            changed = await self._records.put(self._kind, holder.id, body, replaces=there.version if there else 0)
        self._recent.forget(holder.id)

    async def replace(self, holder: Holder, old: str, new: str) -> bool:
        """Link `new` where `old` is linked still. False: it is not, somebody has linked something else or nothing; then it stays."""
        there = await self._records.get(self._kind, holder.id)
        if there is None or self._sealer.open(there.body["sealed"], holder.purpose) != old:
            return False
        body = {**there.body, "at": self._clock(), "sealed": self._sealer.seal(new, holder.purpose)}
        done = await self._records.put(self._kind, holder.id, body, replaces=there.version)
        self._recent.forget(holder.id)
        return done

    @asynccontextmanager
    async def turn(self, holder: Holder, seconds: float) -> AsyncIterator[None]:
        """Be the only one, in all processes on the store, to do something with what `holder` linked; waits until nobody else is.

        Args:
            seconds: after which another gets a turn, should this process die within its own. What is done takes less.
        """
        kind, wait, mine = f"{self._kind}.turn", SOON, {"whose": new_id()}
        while not await self._records.put(kind, holder.id, mine, expires=self._clock() + seconds):
            await anyio.sleep(wait)
            wait = min(LATE, 2 * wait)
        try:
            yield
        finally:
            with anyio.move_on_after(seconds, shield=True):
                there = await self._records.get(kind, holder.id)
                if there is not None and there.body == mine:  # it may have run out meanwhile
                    await self._records.delete(kind, holder.id)

    async def remove(self, holder: Holder) -> bool:
        """Whether there was one."""
        removed = await self._records.delete(self._kind, holder.id)
        self._recent.forget(holder.id)
        return removed

    async def list(self) -> Sequence[Link]:
        """All links, by tenant, user and integration."""
        links = [
            Link(Holder(*(record.body[name] for name in ("tenant", "user", "integration"))), record.body["at"])
            async for record in every(self._records, self._kind)
        ]
        return sorted(links, key=lambda link: (link.holder.tenant, link.holder.user, link.holder.integration))
