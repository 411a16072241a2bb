"""Consents that have begun and wait for their end: sealed in the store, so that any process on it can go on with them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter

from toolgate.oauth.flow import Started
from toolgate.openapi.links import Holder
from toolgate.stores import Record, Records
from toolgate.stores.sealed import Sealer

KIND = "consent"
"""Of the records."""
SECONDS = 600.0
"""That an authorization waits for its end."""
MOST, MOST_OF_ONE = 1000, 5
"""Authorizations that wait, in all and of one caller; the oldest give way."""
TRIES = 5
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words


@dataclass(frozen=True, slots=True)
class Begun:
    """One of them, whose end has not come."""

    holder: Holder
    started: Started
    code: str = field(repr=False)
    """What the browser is told, and its caller has to say."""
    query: str | None = field(default=None, repr=False)
    """What the browser came back with; None: it has not."""
    tries: int = 0
    """Codes that were said in vain, and the one that is being looked at."""
    version: int = 0
    """Of its record."""

    @property
    def id(self) -> str:
        return _id(self.started.state)


class Waiting:
    """All that wait. A record's content opens for the state that it is of and for no other."""

    def __init__(self, records: Records, sealer: Sealer, clock: Callable[[], float] = time.time) -> None:
        self._records = records
        self._sealer = sealer
        self._clock = clock

    async def add(self, holder: Holder, started: Started) -> None:
        """Have `started` wait; where there are too many of its holder's, or in all, the oldest wait no longer."""
        there = sorted(await self._records.list(KIND, limit=MOST), key=lambda record: record.expires or 0.0)
        mine = [record for record in there if record.body["holder"] == holder.id]
        too_many = [*mine[: max(0, len(mine) + 1 - MOST_OF_ONE)], *there[: max(0, len(there) + 1 - MOST)]]
        for waiting in {record.id for record in too_many}:
            await self._records.delete(KIND, waiting)
        begun = Begun(holder, started, "".join(secrets.choice(LETTERS) for _ in range(8)))
        await self._put(begun, self._clock() + SECONDS)

    async def of(self, state: str) -> Begun | None:
        """The one that a browser comes back to."""
        record = await self._records.get(KIND, _id(state))
        return None if record is None else self._opened(record)

    async def of_holder(self, holder: Holder) -> Sequence[Begun]:
        """Those of `holder` to which a browser has come back."""
        there = await self._records.list(KIND, limit=MOST)
        begun = [self._opened(record) for record in there if record.body["holder"] == holder.id]
        return [each for each in begun if each.holder == holder and each.query is not None]

    async def change(self, begun: Begun, **changes: Any) -> Begun | None:
        """`begun` with changes; None: it is not as it was any more, and nothing has changed."""
        there = await self._records.get(KIND, begun.id)
        if there is None or there.version != begun.version:
            return None
        changed = replace(begun, **changes)
        return replace(changed, version=begun.version + 1) if await self._put(changed, there.expires) else None

    async def take(self, begun: Begun) -> bool:
        """Let it wait no longer. False: somebody else did that already."""
        return await self._records.delete(KIND, begun.id)

    async def _put(self, begun: Begun, expires: float | None) -> bool:
        sealed = self._sealer.seal(self._form.dump_json(replace(begun, version=0)).decode(), begun.id.encode())
        body = {"holder": begun.holder.id, "sealed": sealed}
        return await self._records.put(KIND, begun.id, body, replaces=begun.version, expires=expires)

    def _opened(self, record: Record) -> Begun:
        read = self._form.validate_json(self._sealer.open(record.body["sealed"], record.id.encode()))
        return replace(read, version=record.version)

    @cached_property
    def _form(self) -> TypeAdapter[Begun]:
        return TypeAdapter(Begun)


def _id(state: str) -> str:
    """Not the state itself: who reads the store could come back as the browser."""
    return sha256(state.encode()).hexdigest()
