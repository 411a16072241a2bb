"""How many calls there were lately, counted in this process, and how that goes on when a shared store is away.

A window slides: what counts are the calls of the last `seconds`, whenever one asks. To remember the time of each would be
exact and take 320 kB for a user with 10,000 calls an hour; to weigh two fixed windows, as the library `limits` does, takes
two numbers and lets nearly twice as many through (194 of 100 in one second, measured, when they come at the end of one
window and the beginning of the next). Here calls that are closer together than a sixtieth of the window are remembered as
one group with the time of its last. A group leaves when its last call does: never too early, at most a sixtieth too late,
and exactly then for calls that come one by one.
"""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from opentelemetry import metrics

from toolgate import telemetry
from toolgate.errors import Misconfigured
from toolgate.stores import Allowance, Counters, UsedUp

GROUPS = 60
"""Of a window, at most one more: the precision of what is remembered."""
REST = 1.0  # a guess: seconds between two looks whether the shared store is back; one look costs a call its timeout

Clock = Callable[[], float]
"""Seconds that never go back."""

log = logging.getLogger("toolgate.stores")

_local = metrics.get_meter("toolgate").create_counter(telemetry.LIMITS_LOCAL, description="Calls limited without the shared counters")


@asynccontextmanager
async def open_counters(shared: str | None, workers: int) -> AsyncIterator[Counters]:
    """Counts in the Redis at the URL `shared`, or in this process where there is none.

    Raises:
        Misconfigured: the URL cannot be meant, or the extra `redis` is not installed.
    """
    if shared is None:
        yield MemoryCounters()
        return
    try:
        from toolgate.stores.redis import open_redis
    except ImportError:
        raise Misconfigured("shared names a Redis, and its client is not installed: pip install 'toolgate[redis]'") from None
    async with open_redis(shared) as remote:
        yield SharedCounters(remote, workers)


class Window:
    """The calls of one key within the last `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._width = seconds / GROUPS
        self._groups: deque[list[float]] = deque()
        """Each the times of its first and last call and their number, the oldest first."""
        self._last = [-math.inf, -math.inf, 0]
        """The last of them."""
        self._total: float = 0
        self.owed = 0
        """Calls taken here that the shared store has not heard of."""

    def wait(self, calls: int, now: float) -> float | None:
        """Seconds until there is room for one more besides those of the last window; None: there is room."""
        groups = self._groups
        while groups and now - groups[0][1] >= self._seconds:
            self._total -= groups.popleft()[2]
        if self._total < calls:
            return None
        excess = self._total - calls
        for _first, last, number in groups:
            excess -= number
            if excess < 0:
                return self._seconds - (now - last)
        raise AssertionError("unreachable: an allowance has at least one call")

    def add(self, now: float) -> None:
        self._total += 1
        last = self._last
        if now - last[0] < self._width:
            last[1] = now
            last[2] += 1
        else:
            self._last = [now, now, 1]
            self._groups.append(self._last)

    def idle(self, now: float) -> bool:
        return now - self._last[1] >= self._seconds


class MemoryCounters:
    """Counts of this process alone."""

    degraded = False

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[float, dict[str, Window]] = {}
        """By length, then by key, the longest unused first."""
        self._grown = False
        """Whether there are more of them since some were forgotten."""

    async def take(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        return self.take_now(allowances)

    def take_now(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        """`take`, without others in between."""
        now = self._clock()
        if self._grown:
            self._forget(now)
        longest: UsedUp | None = None
        windows = []
        for allowance in allowances:
            window = self._window(allowance)
            windows.append(window)
            wait = window.wait(allowance.calls, now)
            if wait is not None and (longest is None or wait > longest.wait):
                longest = UsedUp(allowance, wait)
        if longest is None:
            for window in windows:
                window.add(now)
        return longest

    def note(self, allowances: Sequence[Allowance]) -> None:
        """Count a call that was let through elsewhere, room or not."""
        now = self._clock()
        if self._grown:
            self._forget(now)
        for allowance in allowances:
            self._window(allowance).add(now)

    def owe(self, allowances: Sequence[Allowance], numbers: Sequence[int]) -> None:
        """Remember calls that the shared store has yet to hear of."""
        for allowance, number in zip(allowances, numbers, strict=True):
            self._window(allowance).owed += number

    def pay(self, allowances: Sequence[Allowance]) -> Sequence[int]:
        """What is owed to each, and forget it: a call that asks at the same time must not pay it again."""
        windows = [self._window(allowance) for allowance in allowances]
        owed = [window.owed for window in windows]
        for window in windows:
            window.owed = 0
        return owed

    def _window(self, allowance: Allowance) -> Window:
        """The window of `allowance`, which is now the last used."""
        windows = self._windows.get(allowance.seconds)
        if windows is None:
            windows = self._windows[allowance.seconds] = {}
        window = windows.pop(allowance.key, None)
        if window is None:
            window, self._grown = Window(allowance.seconds), True
        windows[allowance.key] = window
        return window

    def _forget(self, now: float) -> None:
        """Up to two windows of each length that are empty: more than one call can add. What stays was used within its window."""
        self._grown = False
        for windows in self._windows.values():
            for _ in range(2):
                key = next(iter(windows), None)
                if key is None or not windows[key].idle(now):
                    break  # those behind it were used later
                del windows[key]


class Away(Exception):
    """The shared store does not answer, or not as it should."""


class Remote(Protocol):
    """A store that processes share."""

    async def take(self, allowances: Sequence[Allowance], owed: Sequence[int]) -> UsedUp | None:
        """As `Counters.take`, once `owed` calls more have been counted against each allowance, room or not.

        Raises:
            Away: it did not answer in time. Nothing is known of what it counted.
        """


class SharedCounters:
    """Counts in a shared store; while that is away, each process lets its share through.

    What this process lets through it counts itself all the while, so that a store that goes away in the middle of a window
    does not open a new one; and it tells the store what it let through alone once it is back.
    """

    def __init__(self, remote: Remote, workers: int, clock: Clock = time.monotonic) -> None:
        """
        Args:
            workers: processes that share the store; each lets 1/workers through alone, and at least 1 call.
        """
        self._remote = remote
        self._workers = workers
        self._clock = clock
        self._local = MemoryCounters(clock)
        self._look_again = -1.0
        self.degraded = False

    async def take(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        if self.degraded:
            if self._clock() < self._look_again:
                return self._alone(allowances)
            self._look_again = self._clock() + REST  # this call looks; those that come meanwhile do not wait for it
        owed = self._local.pay(allowances)
        try:
            used_up = await self._remote.take(allowances, owed)
        except Away as error:
            self._local.owe(allowances, owed)
            if not self.degraded:
                log.warning("calls are counted in each process alone: the shared store is away (%s)", error)
            self.degraded, self._look_again = True, self._clock() + REST
            return self._alone(allowances)
        except BaseException:  # cancelled: whether it was heard is not known, so it is said again
            self._local.owe(allowances, owed)
            raise
        if self.degraded:
            log.warning("calls are counted in the shared store again")
        self.degraded = False
        if used_up is None:
            self._local.note(allowances)
        return used_up

    def _alone(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        _local.add(1)
        shares = [replace(one, calls=max(1, one.calls // self._workers)) for one in allowances]
        used_up = self._local.take_now(shares)
        if used_up is not None:
            return UsedUp(allowances[shares.index(used_up.allowance)], used_up.wait)
        self._local.owe(allowances, [1] * len(allowances))
        return None
