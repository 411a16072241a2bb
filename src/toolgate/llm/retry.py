"""What to do when an attempt at a model failed: the same again after a pause, the next provider, or nothing at all. Pure.

A pause that the provider asks for is kept as long as it is bearable, and a little chance is added, so that requests which were sent
away together do not come back together (full jitter; M. Brooker, "Exponential Backoff and Jitter", AWS 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolgate.errors import ModelFailed

FIRST, MOST = 0.5, 8.0
"""Seconds of the first pause and of any, before chance; those of the openai and anthropic SDKs."""


@dataclass(frozen=True, slots=True)
class Again:
    """Ask the same model once more."""

    seconds: float
    """Until then."""


@dataclass(frozen=True, slots=True)
class Next:
    """Ask the next of the chain, at once."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Nobody will answer this."""


Verdict = Again | Next | Stop


def verdict(failed: ModelFailed, attempt: int, *, attempts: int, patience: float, left: float, chance: Callable[[], float]) -> Verdict:
    """What follows an attempt that failed so.

    Args:
        attempt: of those made at this provider, from 1.
        attempts: that may be made at one provider.
        patience: seconds that are waited at most because a provider asks for them.
        left: seconds until the deadline.
        chance: a number from 0 to 1, anew each time.
    """
    if failed.kind == "request":
        return Stop()
    if failed.kind == "provider" or attempt >= attempts:
        return Next()
    asked = failed.retry_after or 0.0
    if asked > patience:
        return Next()
    seconds = asked + chance() * min(MOST, FIRST * (1 << (attempt - 1)))
    return Again(seconds) if seconds < left else Next()
