"""Which models are left alone for a while: those that keep failing, and those that ask for it.

closed ──half of the last calls failed, or three in a row──▶ open ──rest over──▶ half open: one attempt tries ──succeeds──▶ closed
                                                              ▲                                     │
                                                              └──────────fails: twice the rest──────┘

Beside that stands a pause: a provider that says 429 is not ill, only busy, and is left alone for exactly as long as it asks. One whose
key is not taken, or that has no such model, is paused too: no attempt of the next minute will end otherwise.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from toolgate.errors import ModelFailed
from toolgate.llm.model import Model

WINDOW = 30.0
"""Seconds that are looked back."""
CALLS = 5
"""In the window, below which a share says nothing."""
IN_A_ROW = 3
REST, LONGEST = 15.0, 120.0
"""Seconds of the first rest and of any, each twice as long as the one before; a quarter of it is chance."""
BUSY = 5.0  # seconds after a 429 that does not say how long; a guess
HOPELESS = 60.0
"""Seconds until a refused key or an unknown model is tried again, in case an operator has set it right."""
MOST = 600.0
"""Seconds of any pause: whoever asks for more is seen after again."""
ABOUT_THE_PROMPT = frozenset({"context_exceeded", "refused"})
"""Reasons that say nothing of the model's health."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One that was let through."""

    model: str
    """Its id."""
    trying: bool
    """It finds out whether the model answers again. Others that are under way began before the rest and find out nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What an attempt failed for."""

    at: float
    """Seconds since 1970."""
    reason: str
    message: str


@dataclass(slots=True)
class Breaker:
    """Of one model."""

    lately: deque[tuple[float, bool]] = field(default_factory=deque)
    """When an attempt ended, and whether well."""
    failures: int = 0
    """In a row."""
    open_until: float | None = None
    rest: float = 0.0
    """Seconds of the present or last one; 0: it was well since."""
    trying: bool = False
    paused_until: float = 0.0
    paused_by: Attempt | None = None
    why: str = ""
    """Of the pause."""
    last: Failure | None = None
    """The last that was not about the prompt."""


@dataclass(eq=False)
class Breakers:
    """By model. They are a router's `Health`."""

    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    chance: Callable[[], float] = random.random
    """A number from 0 to 1, anew each time."""
    _breakers: dict[str, Breaker] = field(default_factory=dict, init=False)
    _troubled: set[str] = field(default_factory=set, init=False)
    """Models that are left alone, or were until nobody asked them since."""

    def troubled(self) -> Container[str]:
        return self._troubled

    def available(self, model: Model) -> str | None:
        """Why it cannot be asked just now; None: it can."""
        left = self.left(model.id)
        if left <= 0:
            return None
        breaker, now = self._breakers[model.id], self.clock()
        if now < (breaker.open_until or 0.0):
            why = "it kept failing"
        elif now < breaker.paused_until:
            why = breaker.why
        else:
            return "it failed lately, and another request is just finding out whether it answers again"
        return f"{why}, and is left alone for {math.ceil(left)} s"

    def left(self, id: str) -> float:
        """Seconds until an attempt is let through; 0: one is."""
        breaker, now = self._breakers.get(id), self.clock()
        if breaker is None:
            return 0.0
        until = max(breaker.paused_until, breaker.open_until or 0.0)
        # Whoever tries is not known to be soon done: come back then.
        return until - now if until > now else 1.0 if breaker.trying else 0.0

    def soonest(self, ids: Iterable[str]) -> float | None:
        """Seconds until the first of those that are left alone can be asked; None: none of them is."""
        return min((left for each in ids if (left := self.left(each)) > 0), default=None)

    def enter(self, model: Model, before: Attempt | None = None) -> Attempt | None:
        """Let an attempt through, for which `ended` or `gave_up` has to follow; None: it is not let through.

        Args:
            before: what the same request tried last. The pause that this brought about is for others: it has waited already.
        """
        if before is not None and (known := self._breakers.get(model.id)) is not None and known.paused_by is before:
            known.paused_until, known.paused_by = 0.0, None
        if self.left(model.id) > 0:
            return None
        breaker = self._breakers.setdefault(model.id, Breaker())
        breaker.trying = breaker.open_until is not None
        return Attempt(model.id, breaker.trying)

    def ended(self, attempt: Attempt, failed: ModelFailed | None) -> None:
        """How it ended; None: well."""
        breaker, now = self._breakers[attempt.model], self.clock()
        if attempt.trying:
            breaker.trying = False
        if failed is None or failed.kind == "request" or failed.reason in ABOUT_THE_PROMPT:
            self._well(breaker, now)
            failed = None
        elif failed.reason == "rate_limited":
            if attempt.trying:
                self._well(breaker, now)  # it answers, if only to say so
            _pause(breaker, attempt, now, failed.retry_after or BUSY, "it takes no more requests for a moment")
        elif failed.kind == "provider":
            _pause(breaker, attempt, now, HOPELESS, HOPELESS_WHY.get(failed.reason, "it does not take our requests"))
        else:
            self._ill(breaker, now, attempt.trying)
            if failed.retry_after:
                _pause(breaker, attempt, now, failed.retry_after, "it asks for that")
        if failed is not None:
            breaker.last = Failure(time.time(), failed.reason, str(failed))
        if breaker.open_until is None and breaker.paused_until <= now:
            self._troubled.discard(attempt.model)
        else:
            self._troubled.add(attempt.model)

    def gave_up(self, attempt: Attempt) -> None:
        """It was cancelled, which says nothing."""
        if attempt.trying:
            self._breakers[attempt.model].trying = False

    def failure(self, id: str) -> Failure | None:
        """What a model failed for last in this process."""
        breaker = self._breakers.get(id)
        return breaker.last if breaker else None

    def _well(self, breaker: Breaker, now: float) -> None:
        if breaker.open_until is not None:
            breaker.lately.clear()
        breaker.failures, breaker.open_until, breaker.rest = 0, None, 0.0
        _note(breaker, now, well=True)

    def _ill(self, breaker: Breaker, now: float, tried: bool) -> None:
        breaker.failures += 1
        _note(breaker, now, well=False)
        if breaker.open_until is not None and not tried:
            return
        bad = sum(not well for _, well in breaker.lately)
        if tried or breaker.failures >= IN_A_ROW or (len(breaker.lately) >= CALLS and 2 * bad >= len(breaker.lately)):
            breaker.rest = min(LONGEST, 2 * breaker.rest or REST)
            breaker.open_until = now + breaker.rest * (1 - self.chance() / 4)


HOPELESS_WHY = {
    "authentication": "its provider does not accept the key",
    "permission": "its provider does not permit it with this key",
    "quota": "its provider has no credit or quota left for this key",
    "model_unknown": "its provider has no such model",
    "not_found": "its provider is not at this address",
    "blocked": "the guarded way out does not go there",
}


def _note(breaker: Breaker, now: float, *, well: bool) -> None:
    breaker.lately.append((now, well))
    while breaker.lately[0][0] <= now - WINDOW:
        breaker.lately.popleft()


def _pause(breaker: Breaker, attempt: Attempt, now: float, seconds: float, why: str) -> None:
    until = now + min(seconds, MOST)
    if until > breaker.paused_until:
        breaker.paused_until, breaker.paused_by, breaker.why = until, attempt, why
