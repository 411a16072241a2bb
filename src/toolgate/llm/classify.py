"""What a provider's error means for who asked: a table, from statuses, error types and events to the reason of a `ModelFailed`.

Rows are tried from the top. A status says less than the `code` and `type` that a provider sends with it: 429 is a rate that passes in
a minute or a bill that somebody has to pay; 400 is a request that nobody answers, or a prompt too long for this model and not for the
next. Some say it in prose alone, so prose is read too, and never passed on: it may quote the prompt. Its patterns are whole phrases,
since it may also quote the name of a tool.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from toolgate.errors import EgressBlocked, ModelFailed, TimedOut
from toolgate.times import http_date, retry_after

Kind = Literal["transient", "provider", "request"]


REASONS: Mapping[str, tuple[Kind, str]] = {
    "quota": ("provider", "has no credit or quota left for this key; add some, or use another provider"),
    "context_exceeded": ("provider", "cannot take so long a conversation; shorten it, or use a model with a larger window"),
    "refused": ("provider", "refuses this prompt by its own rules; say it otherwise, or use another provider"),
    "redirected": ("provider", "answers from another address, and is not followed there; check base_url"),
    "authentication": ("provider", "does not accept the key; check the one that is configured"),
    "model_unknown": ("provider", "has no such model, or not for this key; check its name"),
    "permission": ("provider", "does not permit this with the key that is configured"),
    "not_found": ("provider", "has nothing at this address; check base_url and the model's name"),
    "blocked": ("provider", "cannot be reached from here"),
    "overloaded": ("transient", "is overloaded"),
    "rate_limited": ("transient", "takes no more requests for a moment"),
    "timeout": ("transient", "did not answer in time"),
    "conflict": ("transient", "was busy with a conflicting request"),
    "too_early": ("transient", "was not ready for the request"),
    "disconnected": ("transient", "lost the connection"),
    "server_error": ("transient", "had an error of its own"),
    "connection": ("transient", "cannot be reached, or the connection broke"),
    "cut_off": ("transient", "broke off in the middle of its answer"),
    "malformed": ("transient", "answered with something that cannot be understood"),
    "schema": ("request", "does not take the schema of a tool or of the answer"),
    "too_large": ("request", "does not take requests of this size; send less"),
    "invalid": ("request", "cannot understand the request"),
}
"""Whose doing each is, and what the sentence says happened, after the provider's name."""
SAYS = {reason: says for reason, (kind, says) in REASONS.items() if kind != "request"}
"""What reasons mean that are a provider's doing, where nothing but the reason is left."""


@dataclass(frozen=True, slots=True)
class Row:
    """Fits when all that is given fits."""

    reason: str
    statuses: frozenset[int] = frozenset()
    """Empty: any, and events that have none."""
    codes: re.Pattern[str] | None = None
    """Found in its code or type; or `prose` is. Both None: whatever it says."""
    prose: re.Pattern[str] | None = None
    """Found in its message."""
    says: str = ""
    """In place of what its reason says."""

    def fits(self, status: int | None, code: str, message: str) -> bool:
        """status: None for an event."""
        if status is not None and self.statuses and status not in self.statuses:
            return False
        if self.codes is None and self.prose is None:
            return True
        return bool((self.codes and self.codes.search(code)) or (self.prose and self.prose.search(message)))


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


def _on(*statuses: int) -> frozenset[int]:
    return frozenset(statuses)


SERVER = frozenset(range(500, 600))

TABLE = (
    Row("quota", _on(402)),
    Row(
        "quota",
        _on(400, 403, 429),
        codes=_words(r"insufficient_quota", r"billing", r"quota_exceeded", r"insufficient_(balance|credits|funds)"),
        prose=_words(r"credit balance is too low", r"insufficient (balance|credits|funds)", r"exceeded your current quota"),
    ),
    Row(
        "context_exceeded",
        _on(400, 413, 422, 500),
        codes=_words(r"context_length_exceeded", r"exceed_context_size", r"context_window_exceeded", r"prompt_too_long"),
        prose=_words(
            r"prompt is too long",
            r"(maximum|exceeds?|larger than|longer than|available).{0,60}context (length|window|size)",
            r"context (length|window|size).{0,60}(exceed|too (long|large))",
            r"too many (input |prompt )?tokens",
            r"(maximum|exceeds?).{0,60} (input|prompt) tokens",
        ),
    ),
    Row(
        "refused",
        _on(400, 403, 422),
        codes=_words(r"content_policy", r"content_filter", r"invalid_prompt", r"moderation", r"safety"),
        prose=_words(r"content management policy", r"flagged (as|for|by)", r"requires moderation"),
    ),
    Row("redirected", frozenset(range(300, 400))),
    Row(
        "schema",
        _on(400, 422),
        codes=_words(r"invalid_function_parameters", r"invalid_json_schema", r"invalid_schema"),
        prose=_words(
            r"grammar is too (large|complex)", r"schema is too complex", r"invalid schema for", r"too many (optional|strict|union)"
        ),
    ),
    Row("authentication", _on(401)),
    Row("authentication", _on(400), codes=_words(r"invalid_api_key"), prose=_words(r"api key not valid", r"(incorrect|invalid) api key")),
    Row(
        "model_unknown",
        _on(400, 404),
        codes=_words(r"model_not_found", r"invalid_model", r"unknown_model", r"model_not_available", r"model_decommissioned"),
        prose=_words(r"\bmodel\b.{0,120}(does not exist|not found|is not available|not a valid|has been (deprecated|decommissioned))"),
    ),
    Row("model_unknown", _on(404), prose=_words(r"\bmodel")),
    Row("permission", _on(403)),
    Row("permission", _on(400), prose=_words(r"organization must be verified")),
    Row("malformed", _on(400), codes=_words(r"tool_use_failed", r"json_validate_failed"), says="wrote a tool call or JSON that it refuses"),
    Row("not_found", _on(404)),
    Row("overloaded", _on(529)),
    Row("overloaded", SERVER | _on(429), codes=_words("overloaded", "server_is_busy"), prose=_words("overloaded", "at capacity")),
    Row("rate_limited", _on(429)),
    Row("timeout", _on(408, 504, 524)),
    Row("conflict", _on(409)),
    Row("too_early", _on(425)),
    Row("disconnected", _on(499)),
    Row("server_error", SERVER),
    Row("too_large", _on(413)),
    Row("invalid", frozenset(range(400, 500))),
    Row("server_error", says="gave an answer with a status that no answer has"),
)
"""For HTTP answers; the last row fits everything."""

EVENTS = (
    *(row for row in TABLE if row.codes is not None),
    Row("rate_limited", codes=_words(r"rate_limit")),
    Row("timeout", codes=_words(r"timeout", r"deadline_exceeded")),
    Row("authentication", codes=_words(r"authentication")),
    Row("permission", codes=_words(r"permission")),
    Row("model_unknown", codes=_words(r"not_found")),
    Row("too_large", codes=_words(r"request_too_large")),
    Row("invalid", codes=_words(r"invalid_", r"unsupported_")),
    Row("server_error"),
)
"""For error events in a stream, which have a type and no status."""

DAY = 86_400.0
NAMES = re.compile(r"[A-Za-z0-9_.\[\]-]{1,80}")
"""What may be repeated of an error: the name of a code or of a field, and no prose."""


def answered(provider: str, status: int, headers: Mapping[str, str], body: Any = None) -> ModelFailed:
    """What an HTTP answer means that is not 2xx.

    Args:
        headers: names in lower case. `x-should-retry` wins over the table.
        body: JSON where it is JSON, else text.
    """
    said = _said(body)
    row = next(row for row in TABLE if row.fits(status, said.codes, said.message))
    failed = _failed(provider, row.reason, said.named(status), row.says)
    match headers.get("x-should-retry"):
        case "true":
            failed.kind = "transient"
        case "false" if failed.kind == "transient":
            failed.kind = "provider"
    failed.status, failed.retry_after = status, _wait(headers)
    return failed


def interrupted(provider: str, body: Any) -> ModelFailed:
    """What an error event in a stream means."""
    said = _said(body)
    if said.status is not None:
        return answered(provider, said.status, {}, body)
    row = next(row for row in EVENTS if row.fits(None, said.codes, said.message))
    return _failed(provider, row.reason, said.named(None))


def unanswered(provider: str, error: BaseException) -> ModelFailed:
    """What it means that no answer came: no connection, a broken one, a time-out. What raised it is found in its causes."""
    causes = list(_causes(error))
    if blocked := next((cause for cause in causes if isinstance(cause, EgressBlocked)), None):
        return ModelFailed(f"{provider} cannot be reached: {blocked}", "provider", reason="blocked")
    if any(isinstance(cause, TimeoutError | TimedOut) or "Timeout" in type(cause).__name__ for cause in causes):
        return _failed(provider, "timeout")
    return _failed(provider, "connection")


def cut_off(provider: str) -> ModelFailed:
    """A stream that ended before its end."""
    return _failed(provider, "cut_off")


def malformed(provider: str) -> ModelFailed:
    """An answer that is not what its protocol says."""
    return _failed(provider, "malformed")


def _failed(provider: str, reason: str, named: str = "", says: str = "") -> ModelFailed:
    kind, usual = REASONS[reason]
    return ModelFailed(f"{provider} {says or usual}{named}", kind, reason=reason)


def _wait(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `retry-after-ms` or `Retry-After` say; None: they do not.

    A day at most: who asks for more means something else, and would be left alone for good.
    """
    found = retry_after(headers.get("retry-after"), http_date(headers.get("date")) or time.time())
    milliseconds = retry_after(headers.get("retry-after-ms"))
    found = found if milliseconds is None else milliseconds / 1000
    return None if found is None else min(found, DAY)


@dataclass(frozen=True, slots=True)
class _Said:
    """What an error's body says of it."""

    codes: str = ""
    """Its code and its type."""
    param: str = ""
    message: str = ""
    """To be searched and never shown."""
    status: int | None = None
    """The HTTP status that would have been, which some servers write into an event."""

    def named(self, status: int | None) -> str:
        """The part of the sentence that names it."""
        parts = [f"HTTP {status}" if status else "", self.codes.replace(" ", ", "), f"at {self.param}" if self.param else ""]
        told = ", ".join(part for part in parts if part)
        return f" ({told})" if told else ""


def _said(body: Any) -> _Said:
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, str):
        return _Said(message=body[:4096])
    if not isinstance(body, Mapping):
        return _Said()
    inner = body.get("error")
    error = inner if isinstance(inner, Mapping) else {**body, "message": inner} if isinstance(inner, str) else body
    codes = [word for key in ("code", "type") if isinstance(word := error.get(key), str) and NAMES.fullmatch(word) and word != "error"]
    message, param = error.get("message", error.get("detail")), error.get("param")
    numbers = [number for key in ("code", "status", "status_code") if isinstance(number := error.get(key), int) and 400 <= number < 600]
    return _Said(
        codes=" ".join(dict.fromkeys(codes)),
        param=param if isinstance(param, str) and NAMES.fullmatch(param) else "",
        message=message[:4096] if isinstance(message, str) else "",
        status=numbers[0] if numbers else None,
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
