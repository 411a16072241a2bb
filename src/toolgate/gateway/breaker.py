"""Leave alone what keeps failing, and see now and then whether it answers again.

closed ──failures in a row──▶ open ──rest over──▶ half open: one call tries ──succeeds──▶ closed
                               ▲                                   │
                               └──────────────fails────────────────┘
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Literal

from toolgate.errors import Suspended
from toolgate.settings import Upstreams

State = Literal["closed", "open", "half open"]


class Breaker:
    """One integration's."""

    def __init__(self, name: str, settings: Upstreams, clock: Callable[[], float]) -> None:
        self._name = name
        self._settings = settings
        self._clock = clock
        self._failures = 0
        self._first = 0.0
        self._open_until: float | None = None
        self._trying = False

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "open" if self._clock() < self._open_until else "half open"

    @property
    def left(self) -> float:
        """Seconds until a call is let through; 0: one is."""
        if self._open_until is None:
            return 0.0
        left = self._open_until - self._clock()
        # Whoever tries is not known to be soon done: come back then.
        return left if left > 0 else 1.0 if self._trying else 0.0

    def enter(self) -> None:
        """Before an attempt, which `ended` has to follow.

        Raises:
            Suspended: it is left alone, or another attempt is just finding out.
        """
        if (left := self.left) > 0:
            raise Suspended(
                f"{self._name} failed {self._settings.failures} times in a row and is left alone for a while; "
                f"try again in {math.ceil(left)} s",
                left,
            )
        self._trying = self._open_until is not None

    def ended(self, ill: bool | None) -> None:
        """
        Args:
            ill: whether the other side failed; False: it answered, be it with a complaint about the request; None: the attempt was
                cancelled or never left, so that it says nothing.
        """
        if ill:
            now = self._clock()
            if self._failures == 0 or now - self._first > self._settings.within:
                self._failures, self._first = 0, now
            self._failures += 1
            if self._trying or self._failures >= self._settings.failures:
                self._open_until = now + self._settings.rest
        elif ill is not None:
            self._failures, self._open_until = 0, None
        self._trying = False


class Breakers:
    """By integration."""

    def __init__(self, settings: Upstreams, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def of(self, integration: str) -> Breaker:
        breaker = self._breakers.get(integration)
        if breaker is None:
            breaker = self._breakers[integration] = Breaker(integration, self._settings, self._clock)
        return breaker

    def suspended(self) -> Mapping[str, float]:
        """The integrations that are left alone at present, with the seconds until a call is let through."""
        return {name: breaker.left for name, breaker in self._breakers.items() if breaker.left > 0}
