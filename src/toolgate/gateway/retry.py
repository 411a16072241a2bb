"""What may be tried again, and when.

A request that surely did nothing may always be sent again. One that may have done something, only if doing it twice is the
same as doing it once: the tool reads, or says that it is idempotent. Nothing else: to repeat a write whose answer was lost
is how one order becomes two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolgate.calls import Annotations, Outcome
from toolgate.errors import ProtocolError, ToolgateError, Unreachable, UpstreamFailed

PASSING = frozenset({429, 502, 503, 504})
"""Statuses of trouble that passes (RFC 6585, 4; RFC 9110, 15.6.3-5)."""
FIRST, MOST = 0.25, 4.0
"""Seconds of the first pause and of any, before chance. A guess: most restarts and spikes are over after seconds."""
PATIENCE = 10.0
"""Seconds that are waited because the other side asks for them; after more, a caller has better to do. A guess."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """An attempt that did not succeed."""

    effect_unknown: bool
    """Whether it may have done something."""
    passing: bool
    """Whether another attempt may end better."""
    ill: bool
    """Whether it speaks against the health of the other side, rather than against the request."""
    retry_after: float | None = None
    """Seconds that the other side asks for."""


def trouble(ending: Outcome | ToolgateError, annotations: Annotations) -> Trouble | None:
    """What is wrong with an attempt that ended so; None: nothing that concerns the other side."""
    if isinstance(ending, Outcome) and ending.problem is None:
        return None
    if isinstance(ending, Unreachable):
        return Trouble(effect_unknown=False, passing=True, ill=True, retry_after=ending.retry_after)
    if isinstance(ending, UpstreamFailed):  # whether it was raised or told, a status decides
        unknown = not annotations.read_only and not _refused(ending.status)
        # Who answers in the words of the protocol is there, whatever one of its tools has done.
        ill = _ill(ending.status) and not isinstance(ending, ProtocolError)
        return Trouble(unknown, ending.status is None or ending.status in PASSING, ill, ending.retry_after)
    if isinstance(ending, ToolgateError) or ending.problem is None or ending.problem.code != UpstreamFailed.code:
        return None
    status = ending.problem.details.get("status")
    return Trouble(ending.effect == "unknown", status in PASSING, _ill(status), ending.problem.retry_after)


def pause(found: Trouble, annotations: Annotations, attempt: int, chance: Callable[[], float]) -> float | None:
    """Seconds to wait before the next attempt; None: there must be none.

    Args:
        attempt: of those made, from 1.
        chance: a number from 0 to 1, anew each time, so that callers who failed together do not come back together
            (full jitter; M. Brooker, "Exponential Backoff and Jitter", AWS 2015).
    """
    if not found.passing or (found.effect_unknown and not (annotations.read_only or annotations.idempotent)):
        return None
    asked = found.retry_after or 0.0
    if asked > PATIENCE:
        return None
    return asked + chance() * min(MOST, FIRST * (1 << (attempt - 1)))


def _refused(status: int | None) -> bool:
    return status is not None and 400 <= status < 500


def _ill(status: int | None) -> bool:
    """501 says that the request means nothing to a server in good health."""
    return status is None or (status >= 500 and status != 501)
