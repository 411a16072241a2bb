"""The events of the audit: one schema, version 1, described in docs/audit.md.

Every event has `version`, `id`, `type`, `tenant` and `instance`, the process that wrote it. Those about a call add who
made it, of which tool, and what came of it; the others say theirs in `details`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from toolgate.audit.redact import text
from toolgate.calls import Call, Outcome, Principal, Tool, new_id

VERSION = 1

Type = Literal[
    "call.intent",  # a call is about to run: written before any effect
    "call.outcome",  # it ended, well or not
    "call.denied",  # the gate said no
    "call.limited",  # the gate said not now: a rate, a budget, a repetition
    "call.flood",  # so many refusals of one caller, beyond those that are lines of their own
    "call.unknown",  # its process is gone and nobody knows how it ended
    "model.intent",  # a prompt is about to be put to a language model: written before anything of it leaves
    "model.outcome",  # it was answered, or not
    "model.denied",  # no model may or can be asked, or there is no money for one
    "model.unknown",  # its process is gone and nobody knows how it ended
    "approval.requested",
    "approval.granted",
    "approval.denied",
    "approval.used",  # the call that it was given for is let through, or about to be
    "approval.returned",  # that call was refused by a later step, so the yes still counts
    "approval.expired",
    "auth.failed",
    "budget.changed",
    "config.changed",
    "credential.changed",
    "key.created",
    "key.revoked",
    "policy.changed",
    "policy.failed",  # a changed policy cannot be used; the one before stays
    "tool.drift",  # definitions are not as accepted and are kept back
    "audit.read",
    "audit.restored",  # the audit could not be written for a while
    "audit.sealed",  # old records were moved to a segment
]
SHORT = 64  # characters
LIMITS = frozenset({"limit_reached", "over_budget", "repeating"})
"""Codes of refusals that pass with time or money."""


def new_event(type: Type, tenant: str, instance: str) -> dict[str, Any]:
    """What every event has."""
    return {"version": VERSION, "id": new_id(), "type": type, "tenant": tenant, "instance": instance}


def told(type: Type, instance: str, details: Mapping[str, Any], principal: Principal | None, tenant: str | None) -> dict[str, Any]:
    """An event about something else than a call; `details` are already free of secrets."""
    event = new_event(type, tenant or (principal.tenant if principal else "default"), instance)
    event["principal"] = who(principal) if principal else None
    event["details"] = details
    return event


def about(type: Type, call: Call, instance: str, by: Any, of: Any) -> dict[str, Any]:
    """An event about `call`, to be completed with what is known of it.

    Args:
        by: `who` made it, in JSON.
        of: `what` was called, likewise.
    """
    return {
        "version": VERSION,
        "id": new_id(),
        "type": type,
        "tenant": call.principal.tenant,
        "instance": instance,
        "call": call.id,
        "parent": call.parent_id,
        "depth": call.depth,
        "tainted": call.tainted,
        "principal": by,
        "tool": of,
        "approval": call.approval and _short(call.approval),
        "trace": call.trace_parent and _short(call.trace_parent),
    }


def _short(id: str) -> str | None:
    """An id that a caller sent, unless it is too long to be one; a `traceparent` has 55 characters."""
    return id if len(id) <= SHORT else None


def who(principal: Principal) -> dict[str, Any]:
    return {
        "id": principal.id,
        "roles": principal.roles,
        "tier": principal.tier,
        "via": principal.via,
        "credential": principal.credential,
        "acting_for": principal.acting_for,
        "bound_by": principal.bound_by,
        "scopes": sorted(principal.scopes) if principal.scopes is not None else None,
    }


def what(tool: Tool) -> dict[str, Any]:
    """A name that no tool has is the caller's own text, and may be a secret put into the wrong field."""
    return {"name": text(tool.name) if tool.concealed else tool.name, "integration": tool.integration, "fingerprint": tool.fingerprint}


def type_of(outcome: Outcome) -> Type:
    """The type of the event that tells of `outcome`."""
    if not outcome.refused or outcome.problem is None:
        return "call.outcome"
    return "call.limited" if outcome.problem.code in LIMITS else "call.denied"


def ending(outcome: Outcome) -> str:
    """How it ended, in a word: ok, refused, failed."""
    if outcome.problem is None:
        return "ok"
    return "refused" if outcome.refused else "failed"


def unknown(intent: Mapping[str, Any], seq: int, instance: str) -> dict[str, Any]:
    """What is written for an intent whose process is gone.

    Args:
        seq: the intent's own place in the journal.
        instance: who found out.
    """
    event = {
        **intent,
        "id": new_id(),
        "type": f"{str(intent.get('type', 'call')).partition('.')[0]}.unknown",
        "instance": instance,
        "intent": seq,
        "began_by": intent.get("instance"),
    }
    event["result"] = {"ending": "unknown", "code": None, "effect": "unknown"}
    return event
