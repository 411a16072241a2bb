"""What models did, in the store: by the minute for seven days, by the hour after that, of all processes together.

A minute is one record that every process adds its part to. Of two that write at once one is refused, reads what the other wrote, and adds
to that. Hours are made of minutes by whoever comes first; an hour names the minutes that it holds, so that one that was counted and not
yet deleted when a process died is not counted twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from math import inf
from typing import Any

from toolgate.llm.series import Batch
from toolgate.stores import Records, every

MINUTE, HOUR = "llm.minute", "llm.hour"
KEPT_MINUTES = 7 * 24 * 60
KEPT_HOURS = 400 * 24
MOST_LINES = 1000
"""Of costs in a record."""
PAGE = 500
ATTEMPTS = 50
"""To write one record, against as many others."""


class Minutes:
    def __init__(self, records: Records) -> None:
        self._records = records

    async def add(self, minute: int, batch: Batch) -> None:
        """Add to what there is of `minute` since 1970.

        Raises:
            AuditUnavailable: it could not be written.
            RuntimeError: others wrote whenever this did.
        """
        await self._merge(MINUTE, minute, batch)

    async def between(self, since: float, until: float) -> Batch:
        """What there is of the minutes that end after `since` and begin before `until`, both in seconds since 1970. Of times more than
        seven days ago whole hours."""
        total = Batch()
        for kind, seconds in ((HOUR, 3600), (MINUTE, 60)):
            async for _, batch in self._each(kind, seconds, since, until):
                total.merge(batch)
        return total

    async def lately(self, since: float) -> Mapping[int, Batch]:
        """What there is of the minutes that end after `since`, by minute; at most seven days ago."""
        return {minute: batch async for minute, batch in self._each(MINUTE, 60, since, inf)}

    async def _each(self, kind: str, seconds: int, since: float, until: float) -> AsyncIterator[tuple[int, Batch]]:
        async for record in every(self._records, kind, after=_id(int(since // seconds) - 1), page=PAGE):
            if int(record.id) * seconds >= until:
                return
            yield int(record.id), Batch.from_json(record.body)

    async def roll(self, now: float) -> int:
        """Make hours of minutes that are seven days old, and forget hours after 400 days. How many minutes there were."""
        rolled, oldest = 0, int(now // 60) - KEPT_MINUTES
        while page := await self._records.list(MINUTE, limit=PAGE):
            for record in page:
                minute = int(record.id)
                if minute >= oldest:
                    return rolled
                await self._merge(HOUR, minute // 60, Batch.from_json(record.body), minute)
                await self._records.delete(MINUTE, record.id)
                rolled += 1
        return rolled

    async def _merge(self, kind: str, number: int, batch: Batch, minute: int | None = None) -> None:
        for _ in range(ATTEMPTS):
            there = await self._records.get(kind, _id(number))
            whole = Batch.from_json(there.body) if there else Batch()
            held: list[int] = list(there.body.get("minutes", ())) if there else []
            if minute is not None and minute in held:
                return
            whole.merge(batch, MOST_LINES)
            body: Mapping[str, Any] = whole.to_json()
            expires = None
            if minute is not None:
                body = {**body, "minutes": [*held, minute]}
                expires = (number + KEPT_HOURS) * 3600.0
            if await self._records.put(kind, _id(number), body, replaces=there.version if there else 0, expires=expires):
                return
        raise RuntimeError(f"{kind} {number} could not be written: others wrote it {ATTEMPTS} times at once")


def _id(number: int) -> str:
    return f"{max(0, number):010d}"
