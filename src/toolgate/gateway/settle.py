"""Turn an expected error into an outcome; let bugs and cancellation through."""

from __future__ import annotations

from toolgate.calls import Call, Outcome, Problem
from toolgate.chain import Handler
from toolgate.errors import AnswerTooLarge, EgressBlocked, OutcomeUnknown, Refused, TimedOut, ToolgateError, UpstreamFailed

UNHEARD = TimedOut | UpstreamFailed | AnswerTooLarge | OutcomeUnknown
"""A request that went out and was not answered well, or not read, may have had its effect, unless it only reads."""


async def settle(call: Call, call_next: Handler) -> Outcome:
    try:
        return await call_next(call)
    except ToolgateError as error:
        return settled(error, call)


def settled(error: ToolgateError, call: Call) -> Outcome:
    """What `error` means for who made `call`."""
    return Outcome(
        problem=Problem(error.code, str(error), error.retry_after, error.details()),
        refused=isinstance(error, Refused | EgressBlocked),
        rule=error.rule,
        notes=error.notes,
        cost=error.cost,
        effect="unknown" if isinstance(error, UNHEARD) and not call.tool.annotations.read_only else "none",
    )
