"""Whether a model is asked again when an attempt at it failed, and after which pause. Pure.

A pause that the provider asks for is kept as long as it is bearable, and a little chance is added, so that requests which were sent
away together do not come back together (full jitter; M. Brooker, "Exponential Backoff and Jitter", AWS 2015).
"""

from __future__ import annotations

from collections.abc import Callable

from toolgate.errors import ModelFailed
from toolgate.thinking import Models

FIRST, MOST = 0.5, 8.0
"""Seconds of the first pause and of any, before chance; those of the openai and anthropic SDKs."""


def pause(failed: ModelFailed, attempt: int, settings: Models, *, left: float, chance: Callable[[], float]) -> float | None:
    """Seconds until the same model is asked once more, after an attempt that failed so; None: it is not.

    Args:
        attempt: of those made at this provider, from 1.
        left: seconds until the deadline.
        chance: a number from 0 to 1, anew each time.
    """
    asked = failed.retry_after or 0.0
    if failed.kind != "transient" or attempt >= settings.attempts or asked > settings.patience:
        return None
    seconds = asked + chance() * min(MOST, FIRST * (1 << (attempt - 1)))
    return seconds if seconds < left else None
