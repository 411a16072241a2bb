"""How a command ends badly: an exit code that a script can act on, a sentence, and what to do next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from toolgate.errors import ToolgateError

EXITS: Mapping[str, int] = {
    "error": 1,
    "usage": 1,
    "refused": 6,
    "unknown_tool": 1,
    "invalid_arguments": 1,
    "not_identified": 3,
    "not_linked": 3,
    "not_permitted": 6,
    "approval_needed": 6,
    "unknown_approval": 1,
    "unknown_run": 1,
    "limit_reached": 7,
    "busy": 7,
    "over_budget": 7,
    "repeating": 7,
    "no_model": 6,
    "key_reused": 1,
    "failed": 5,
    "unreachable": 4,
    "suspended": 4,
    "timed_out": 5,  # not 4, which may be repeated: nobody knows what happened
    "unknown": 5,
    "answer_too_large": 5,
    "tool_failed": 5,
    "input_needed": 5,
    "model_failed": 5,
    "upstream_failed": 5,
    "protocol_error": 5,
    "egress_blocked": 6,
    "audit_unavailable": 1,
    "misconfigured": 1,
    "bad_document": 1,
    "interrupted": 130,
}
"""By the `code` of an error; a test holds this table and the tree of errors together."""

STATUSES: Mapping[int, int] = {401: 3, 429: 7}
"""What an upstream's own status says more exactly than `upstream_failed`."""

HINTS: Mapping[str, str] = {
    "approval_needed": "`toolgate approvals list` shows what waits; `toolgate tools call --approve` says yes beforehand",
    "unknown_approval": "`toolgate approvals list` shows what waits",
    "unknown_run": "`toolgate runs list` shows those there are",
    "unreachable": "nothing is known to have happened, so the call may be repeated",
    "timed_out": "look whether it happened before you call again",
    "unknown": "look whether it happened; if it did not, call with another key",
    "key_reused": "the same key means the same call; take a new key for another one",
    "egress_blocked": "an operator allows more with `allow_networks` or `servers` in the integration's integration.yaml",
    "audit_unavailable": "`toolgate doctor` checks the state folder",
    "no_model": "`toolgate providers list` shows what is set up; the policies' models.yaml says who may ask which",
    "not_permitted": "the policies' roles folder says who may call what; `toolgate config show` says where it is",
}


@dataclass(frozen=True, slots=True)
class Ending:
    code: str
    message: str
    hint: str | None = None
    exit: int = 1
    retry_after: float | None = None
    """Seconds."""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        error: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        if self.retry_after is not None:
            error["retry_after"] = self.retry_after
        if self.details:
            error["details"] = dict(self.details)
        return json.dumps({"error": error}, ensure_ascii=False, default=str)


class Ended(Exception):
    """A command is over, and this is how."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.message)
        self.ending = ending


def ended(
    code: str, message: str, *, hint: str | None = None, retry_after: float | None = None, details: Mapping[str, Any] | None = None
) -> Ended:
    """The exception that ends a command with the exit code and the hint that belong to `code`."""
    details = details or {}
    exit_code = STATUSES.get(details.get("status") or 0, EXITS.get(code, 5))
    return Ended(Ending(code, message, hint or HINTS.get(code), exit_code, retry_after, details))


def ending_of(error: BaseException) -> Ending:
    """How `error` ends the command. What nobody expected is a bug, and says so."""
    from asyncio import CancelledError

    error = _only(error)
    if isinstance(error, Ended):
        return error.ending
    if isinstance(error, ToolgateError):
        return ended(error.code, str(error), retry_after=error.retry_after, details=error.details()).ending
    if isinstance(error, click.UsageError):
        return ended("usage", error.format_message(), hint=_usage(error.ctx)).ending
    if isinstance(error, click.ClickException):
        return ended("usage", error.format_message()).ending
    if isinstance(error, KeyboardInterrupt | click.Abort | CancelledError):
        return ended("interrupted", "interrupted").ending
    return ended("error", f"unexpected {type(error).__name__}: {error}", hint="TOOLGATE_DEBUG=1 shows where; please report it").ending


def _only(error: BaseException) -> BaseException:
    """The one error inside groups of one, which task groups make."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _usage(context: click.Context | None) -> str | None:
    if context is None:
        return None
    return f"{' '.join(context.get_usage().split())}; `{context.command_path} --help` tells more"
