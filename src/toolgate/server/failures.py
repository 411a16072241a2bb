"""Credentials that were refused: counted, answered ever more briefly, and written down without drowning the audit.

Whoever shows the right credential is let in, however often others failed: a key has 256 random bits, so nobody guesses it,
and a lock would only be a way to shut others out (behind one proxy everybody has one address). What is limited is what
failing costs us: after some failures a minute the answer is 429, and the audit gets one line for many.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

import anyio

from toolgate.errors import AuditUnavailable

WINDOW = 60.0
"""Seconds over which failures are counted."""
KEPT = 4096  # pairs of address and credential that are counted; the oldest give way
GAP = 10.0
"""Seconds between two reports."""
LINES = 16  # of one report; the rest is summed up in one more
SEVERAL = ("several", "several")
"""What stands for the rest."""
LAST_SECONDS = 2.0  # for the report at the end; one append takes 1-22 ms

log = logging.getLogger("toolgate.server")

Tell = Callable[[Mapping[str, Any]], Awaitable[object]]
"""Writes one line of a report: `address`, `shown`, `why`, `count`."""


@asynccontextmanager
async def counting(tell: Tell, most: int) -> AsyncIterator[Failures]:
    """Failures that are reported while the block runs, and once more at its end.

    Args:
        most: failures of one address and credential in a minute until the answer is 429.
    """
    failures = Failures(tell, most)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(failures.report_forever)
        try:
            yield failures
        finally:
            tasks.cancel_scope.cancel()
            with anyio.move_on_after(LAST_SECONDS, shield=True):
                await failures.report()


class Failures:
    def __init__(self, tell: Tell, most: int, ticks: Callable[[], float] = time.monotonic) -> None:
        self._tell = tell
        self._most = most
        self._ticks = ticks
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}
        self._untold: dict[tuple[str, str], tuple[str, int]] = {}
        self._something = anyio.Event()

    def add(self, peer: str | None, shown: str, why: str) -> float | None:
        """One more.

        Args:
            peer: the address it came from.
            shown: names the credential: a key's id, or its kind.
            why: it was refused.

        Returns:
            Seconds until there may be another; None while there are not too many.
        """
        who = (network(peer), shown)
        now = self._ticks()
        until, count = self._counts.pop(who, (0.0, 0))
        if until <= now:
            until, count = now + WINDOW, 0
        while len(self._counts) >= KEPT:
            self._counts.pop(next(iter(self._counts)))
        self._counts[who] = until, count + 1
        self._note(who, why)
        return until - now if count >= self._most else None

    async def report_forever(self) -> None:
        while True:
            await self._something.wait()
            await self.report()
            await anyio.sleep(GAP)

    async def report(self) -> None:
        """Write down what has not been, at most `LINES` and one."""
        untold, self._untold, self._something = self._untold, {}, anyio.Event()
        lines = [_line(peer, shown, why, count) for (peer, shown), (why, count) in untold.items()]
        if len(lines) > LINES:
            rest = sum(count for _, count in list(untold.values())[LINES:])
            lines = [*lines[:LINES], _line(*SEVERAL, SEVERAL[0], rest)]
        for line in lines:
            try:
                await self._tell(line)
            except AuditUnavailable:  # who failed was kept out; calls are refused for the same reason
                log.warning("a refused credential could not be written down")

    def _note(self, who: tuple[str, str], why: str) -> None:
        if who not in self._untold and len(self._untold) >= KEPT:
            who, why = SEVERAL, SEVERAL[0]
        first, count = self._untold.get(who, (why, 0))
        self._untold[who] = first, count + 1
        self._something.set()


def _line(address: str, shown: str, why: str, count: int) -> Mapping[str, Any]:
    return {"address": address, "shown": shown, "why": why, "count": count}


def network(peer: str | None) -> str:
    """The address whose failures count together: of IPv6 the /64 that one household has."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return "unknown"
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
