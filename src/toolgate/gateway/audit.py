"""Write down every ending: answers, refusals, failures, and calls that died of a bug or were cancelled.

The line is durable before the answer leaves. When it cannot be written, the caller gets no answer but that.
"""

from __future__ import annotations

import time
from typing import Any

import anyio

from toolgate.audit import redact
from toolgate.audit.event import Type, told
from toolgate.calls import Call, Outcome, Principal, Problem
from toolgate.chain import Handler
from toolgate.errors import AuditUnavailable
from toolgate.stores import Journal

STREAM = "audit"
WRITE_SECONDS = 2.0  # a guess; one SQLite append took 1-22 ms on 2 busy cores


class Audit:
    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        began = time.perf_counter_ns()
        try:
            outcome = await call_next(call)
        except BaseException as ending:  # a bug or a cancellation
            with anyio.move_on_after(WRITE_SECONDS, shield=True):
                await self._journal.append(STREAM, _line(call, began, type(ending).__name__, None))
            raise
        try:
            await self._journal.append(STREAM, _line(call, began, _ending(outcome), outcome))
        except AuditUnavailable as error:
            problem = Problem(error.code, "the call could not be written down, so its answer is withheld; tell the operator")
            return Outcome(problem=problem, effect="none" if outcome.problem else "unknown", cost=outcome.cost)
        return outcome


async def record(journal: Journal, type: Type, *, principal: Principal | None = None, tenant: str | None = None, **details: Any) -> int:
    """Write down an event that is not the ending of a call: a login that failed, a policy that changed. Its `seq`.

    Args:
        principal: who did it, where that is known.
        tenant: whom it concerns; the principal's where it is not given.
        details: what there is to know, JSON-serialisable. What looks like a secret is taken out; do not put one in.

    Raises:
        AuditUnavailable: it could not be written down.
    """
    return await journal.append(STREAM, told(type, journal.instance, redact.details(details), principal, tenant))


def _ending(outcome: Outcome) -> str:
    if outcome.problem is None:
        return "ok"
    return "refused" if outcome.refused else "failed"


def _line(call: Call, began: int, ending: str, outcome: Outcome | None) -> dict[str, Any]:
    """One event. Argument values are not in it, only their names: redaction by schema comes with the proof step."""
    problem = outcome.problem if outcome else None
    return {
        "version": 1,
        "call": call.id,
        "parent": call.parent_id,
        "depth": call.depth,
        "principal": call.principal.id,
        "roles": list(call.principal.roles),
        "tenant": call.principal.tenant,
        "via": call.principal.via,
        "tool": call.tool.name,
        "integration": call.tool.integration,
        "fingerprint": call.tool.fingerprint,
        "arguments": sorted(str(name)[:64] for name in call.arguments)[:64],
        "ending": ending,
        "rule": outcome.rule if outcome else None,
        "problem": problem.code if problem else None,
        "status": outcome.meta.get("status") if outcome else None,
        "effect": outcome.effect if outcome else "unknown",
        "cost": outcome.cost if outcome else 0,
        "ms": (time.perf_counter_ns() - began) // 1000 / 1000,
        "trace": call.trace_parent,
    }
