"""Everything that may go wrong on purpose, as one tree.

ToolgateError
├── Refused                 the gate said no: the same call again will be refused again
│   ├── UnknownTool
│   ├── InvalidArguments
│   ├── NotIdentified
│   ├── NotLinked           the caller's own credential is needed, and there is none
│   ├── NotPermitted
│   ├── ApprovalNeeded      a person has to say yes first
│   ├── UnknownApproval     nothing waits for a yes under that id
│   ├── UnknownRun          no run of an agent has that id
│   ├── LimitReached        too many calls; a later one will pass
│   ├── Busy                too many calls of everybody at once
│   ├── OverBudget          the money for this period is spent
│   ├── Repeating           the same call again and again
│   ├── NoModel             no language model is left that may and can be asked
│   └── KeyReused           one idempotency key for two different calls
├── Failed                  the call was let through and did not succeed
│   ├── Unreachable         nobody answered; nothing is known to have happened
│   │   └── Suspended       it failed so often lately that it is not tried for a while
│   ├── TimedOut            the deadline passed; what happened is unknown
│   ├── OutcomeUnknown      an earlier call with the same key ended unseen
│   ├── AnswerTooLarge      an answer came and was cut off at a cap
│   ├── ToolFailed          the tool itself says that it did not succeed
│   ├── InputNeeded         the other side asks something first; the call with the answer goes on
│   ├── ModelFailed         a language model's provider did not answer well
│   └── UpstreamFailed      the other side answered with an error
│       └── ProtocolError   with one of MCP's own
├── EgressBlocked           the guarded way out does not go there
├── AuditUnavailable        the gate cannot write down what it does, so it does nothing
└── Misconfigured           the operator's files say something that cannot be meant
    └── BadDocument         a file is not the JSON or YAML that it should be

A reader of a message is often a model: it says who, what, and what would work.
Data goes into attributes; argument values and secrets go nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal


class ToolgateError(Exception):
    """The root: raised on purpose, with a sentence for its reader."""

    code = "error"
    """Stable, in snake_case; ends up in outcomes, audit lines and HTTP bodies."""

    reason = ""
    """More closely than `code` what happened, where there is more to say; stable, in snake_case."""

    retry_after: float | None = None
    """Seconds until it makes sense to try again; None when waiting does not help or nobody knows."""

    rule: str | None = None
    """The id of the policy rule that decided, where one did; for the audit."""

    notes: Mapping[str, Any] = MappingProxyType({})
    """What steps have to say to the audit and to nobody else, by step; becomes `Outcome.notes`."""

    cost: int = 0
    """What was charged all the same, in micro-US-dollars; set by `spend`."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after

    def details(self) -> Mapping[str, Any]:
        """What a program may want to know besides the sentence; JSON-serialisable, without secrets."""
        return {}


class Refused(ToolgateError):
    """The gate said no: the same call again will be refused again."""

    code = "refused"


class UnknownTool(Refused):
    """No tool of that name exists, or the caller may not know that it does."""

    code = "unknown_tool"


class InvalidArguments(Refused):
    """The arguments do not fit the tool's schema."""

    code = "invalid_arguments"

    def __init__(self, message: str, problems: tuple[Mapping[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
        """One mapping a problem: `path` (JSON pointer), `message`, `schema` (the piece that was not met)."""

    def details(self) -> Mapping[str, Any]:
        return {"problems": list(self.problems)} if self.problems else {}


class NotIdentified(Refused):
    """Nobody knows who is asking, and anonymous callers are not let in here."""

    code = "not_identified"

    def __init__(self, message: str, *, shown: bool = False, expired: bool = False) -> None:
        super().__init__(message)
        self.shown = shown
        """Whether a credential was shown, and not taken."""
        self.expired = expired
        """Whether it was good until a while ago, so that whoever shows it has only to get the next one."""


class NotLinked(Refused):
    """The other side wants a credential of the caller's own, and none is there to show."""

    code = "not_linked"


class NotPermitted(Refused):
    """The policy does not allow this caller this call."""

    code = "not_permitted"

    def __init__(self, message: str, rule: str, scopes: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.rule = rule
        """The id of the rule that decided, or `default` when none allowed it."""
        self.scopes = scopes
        """Where the credential's scopes are what is missing: those of which each alone would do."""

    def details(self) -> Mapping[str, Any]:
        return {"rule": self.rule, **({"scopes": list(self.scopes)} if self.scopes else {})}


class ApprovalNeeded(Refused):
    """A person has to say yes first; `pending` names what waits for it."""

    code = "approval_needed"

    def __init__(self, message: str, pending: str) -> None:
        super().__init__(message)
        self.pending = pending

    def details(self) -> Mapping[str, Any]:
        return {"pending": self.pending}


class UnknownApproval(Refused):
    """Nothing of that id waits for a yes, or it is not the caller's to know of."""

    code = "unknown_approval"


class UnknownRun(Refused):
    """No run of an agent has that id, or it is not the caller's to know of."""

    code = "unknown_run"


class LimitReached(Refused):
    """Too many calls; a later one will pass."""

    code = "limit_reached"


class Busy(Refused):
    """As many calls of everybody are under way as this process carries; a later one will pass."""

    code = "busy"
    retry_after = 1.0  # a guess: most calls take less


class OverBudget(Refused):
    """The money for this period is spent, or reserved by calls under way."""

    code = "over_budget"

    def __init__(self, message: str, retry_after: float | None = None, budget: Mapping[str, Any] = MappingProxyType({})) -> None:
        super().__init__(message, retry_after)
        self.budget = budget
        """Which one, and its figures in micro-US-dollars."""

    def details(self) -> Mapping[str, Any]:
        return {"budget": dict(self.budget)} if self.budget else {}


class Repeating(Refused):
    """The same call again and again: another answer will not come."""

    code = "repeating"


BLIND = "it sees no images"
"""Why a model is not asked that is shown one."""


class NoModel(Refused):
    """No language model is left that may and can be asked."""

    code = "no_model"

    def __init__(self, dropped: Mapping[str, str], reason: str = "") -> None:
        told = "; ".join(f"{model}: {why}" for model, why in dropped.items())
        if BLIND in dropped.values():
            told += ". For pictures set up, or name, a model with vision: `toolgate providers list` shows which have it"
        nothing = "no language model is set up; `toolgate providers list` says how"
        super().__init__(f"no language model can be asked. {told}" if told else nothing)
        self.dropped = dropped
        """By `provider/model`: what dropped it."""
        self.reason = reason or ("no_vision" if BLIND in dropped.values() else "")
        """`no_such_model`, `model_forbidden` (by the policy), `no_vision`; empty: some other, or several."""

    def details(self) -> Mapping[str, Any]:
        return {"dropped": dict(self.dropped)}


class KeyReused(Refused):
    """One idempotency key was sent with two different calls."""

    code = "key_reused"


class Failed(ToolgateError):
    """The call was let through and did not succeed."""

    code = "failed"


class Unreachable(Failed):
    """Nobody answered, and no byte of the request is known to have been acted on; may be repeated."""

    code = "unreachable"


class Suspended(Unreachable):
    """It failed so often lately that it is not tried for a while."""

    code = "suspended"


class TimedOut(Failed):
    """The deadline passed first. What the other side did is unknown."""

    code = "timed_out"


class OutcomeUnknown(Failed):
    """An earlier call with the same idempotency key ended unseen: it may have happened, and is not made again."""

    code = "unknown"


class AnswerTooLarge(Failed):
    """The answer passed a cap on size or on compression ratio and was dropped."""

    code = "answer_too_large"


class ModelFailed(Failed):
    """A language model's provider did not answer well."""

    code = "model_failed"

    def __init__(
        self,
        message: str,
        kind: Literal["transient", "provider", "request"],
        *,
        reason: str = "",
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, retry_after)
        self.kind = kind
        """`transient`: the same again may pass; `provider`: only another provider may answer; `request`: nobody will."""
        self.reason = reason
        """Stable, in snake_case: `rate_limited`, `overloaded`, `quota`, `context_exceeded`, `connection`, `cut_off`, `malformed` …"""
        self.status = status
        """The HTTP status, where there was one."""

    def details(self) -> Mapping[str, Any]:
        return {"kind": self.kind, "reason": self.reason, "status": self.status}


class UpstreamFailed(Failed):
    """The other side answered with an error of its own."""

    code = "upstream_failed"

    def __init__(self, message: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(message, retry_after)
        self.status = status

    def details(self) -> Mapping[str, Any]:
        return {"status": self.status} if self.status is not None else {}


class ToolFailed(Failed):
    """The tool itself says that it did not succeed: `isError` of an MCP server."""

    code = "tool_failed"


class InputNeeded(Failed):
    """The other side asks something before it goes on (MCP 2026-07-28, patterns/mrtr); the call with the answer is another call."""

    code = "input_needed"

    def __init__(self, message: str, asked: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.asked = asked
        """`inputRequests` and `requestState`, as the protocol has them."""

    def details(self) -> Mapping[str, Any]:
        return {"asked": dict(self.asked)}


class ProtocolError(UpstreamFailed):
    """An MCP server answered with an error of the protocol, which is passed on as it is."""

    code = "protocol_error"

    def __init__(self, message: str, number: int, data: Any = None) -> None:
        super().__init__(message, status=_status(number))
        self.number = number
        """JSON-RPC's `code`."""
        self.data = data

    def details(self) -> Mapping[str, Any]:
        return {"status": self.status, "error": {"code": self.number, "data": self.data}}


def _status(number: int) -> int:
    """The HTTP status that means the same: 4xx for a request that was refused, so that nothing came of it, else 500."""
    refused = number in {-32700, -32600, -32601, -32602, -32002, -32042} or -32099 <= number <= -32020
    return 404 if number == -32601 else 400 if refused else 500


class EgressBlocked(ToolgateError):
    """The guarded way out does not go there: wrong origin, or an address that is not public."""

    code = "egress_blocked"


class AuditUnavailable(ToolgateError):
    """The gate cannot write down what it does, so it does nothing."""

    code = "audit_unavailable"


class Misconfigured(ToolgateError):
    """The operator's files say something that cannot be meant; the message names file and key."""

    code = "misconfigured"


class BadDocument(Misconfigured):
    """A file is not the JSON or YAML that it should be."""

    code = "bad_document"

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line
        """Where, counted from 1, when that is known."""
