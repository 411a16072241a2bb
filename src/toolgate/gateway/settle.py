"""Turn an expected error into an outcome; let bugs and cancellation through."""

from __future__ import annotations

from toolgate.calls import Call, Outcome, Problem
from toolgate.chain import Handler
from toolgate.errors import EgressBlocked, Refused, TimedOut, ToolgateError, UpstreamFailed


async def settle(call: Call, call_next: Handler) -> Outcome:
    try:
        return await call_next(call)
    except ToolgateError as error:
        return Outcome(
            problem=Problem(error.code, str(error), error.retry_after, error.details()),
            refused=isinstance(error, Refused | EgressBlocked),
            rule=error.rule,
            notes=error.notes,
            cost=error.cost,
            # A request that went out and was not answered well may have had its effect, unless it only reads.
            effect="unknown" if isinstance(error, TimedOut | UpstreamFailed) and not call.tool.annotations.read_only else "none",
        )
