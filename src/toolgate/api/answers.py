"""Outcomes and problems as HTTP answers."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from toolgate.audit.line import whole
from toolgate.calls import UNSET, Content, Outcome, Problem, Text
from toolgate.money import shown

STATUSES: Mapping[str, int] = {
    "invalid_arguments": 400,
    "bad_request": 400,
    "not_identified": 401,
    "not_permitted": 403,
    "not_linked": 403,
    "approval_needed": 403,
    "egress_blocked": 403,
    "unknown_tool": 404,
    "not_found": 404,
    "unknown_approval": 404,
    "unknown_run": 404,
    "key_reused": 422,  # as draft-ietf-httpapi-idempotency-key-header-07, 2.7, wants it
    "limit_reached": 429,
    "over_budget": 429,
    "repeating": 429,
    "failed": 502,
    "unreachable": 502,
    "upstream_failed": 502,
    "model_failed": 502,
    "answer_too_large": 502,
    "audit_unavailable": 503,
    "busy": 503,
    "no_model": 503,
    "suspended": 503,
    "timed_out": 504,
    "unknown": 504,
}


class Json(Response):
    """JSON by orjson, which is several times faster than the standard library on a list of a thousand tools."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return whole(content)


def outcome_answer(outcome: Outcome) -> Json:
    """How a call ended: 200 when it went well, else the status that fits the problem."""
    body = {
        "ok": outcome.ok,
        "content": [_piece(piece) for piece in outcome.content],
        "structured": None if outcome.structured is UNSET else outcome.structured,
        "problem": None if outcome.problem is None else _problem(outcome.problem),
        "meta": dict(outcome.meta),
        "cost": shown(outcome.cost),
        "effect": outcome.effect,
        "replayed": outcome.replayed,
    }
    if outcome.problem is None:
        return Json(body)
    # Clients, OpenAI's among them, send again what ended with 5xx, and what may have happened would happen twice.
    once = {} if outcome.effect == "none" else {"x-should-retry": "false"}
    return Json(body, status_code=status_of(outcome.problem, refused=outcome.refused), headers=coming_back(outcome.problem) | once)


def problem_answer(code: str, message: str) -> Json:
    """A problem with a request that never became a call."""
    return Json({"ok": False, "problem": {"code": code, "message": message}}, status_code=STATUSES[code])


def status_of(problem: Problem, *, refused: bool) -> int:
    """The HTTP status of a problem. One that no table knows is over a limit if waiting helps, else refused or failed."""
    status = STATUSES.get(problem.code)
    if status is not None:
        return status
    if not refused:
        return 502
    return 403 if problem.retry_after is None else 429


def coming_back(problem: Problem) -> dict[str, str]:
    """The header that says when to come back, where anybody knows."""
    return {} if problem.retry_after is None else {"retry-after": str(math.ceil(problem.retry_after))}


def _problem(problem: Problem) -> dict[str, Any]:
    shown = {"code": problem.code, "message": problem.message, "details": dict(problem.details)}
    return shown if problem.retry_after is None else {**shown, "retry_after": problem.retry_after}


def _piece(piece: Content) -> dict[str, Any]:
    if isinstance(piece, Text):
        return {"type": "text", "text": piece.text}
    return {"type": "binary", "media_type": piece.media_type, "uri": piece.uri, "data": b64encode(piece.data).decode()}
