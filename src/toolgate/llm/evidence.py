"""Write down what is put to language models: that it is about to leave, and what came of it. Never the text of either.

The line is durable before anything leaves, and before an answer is whole. When it cannot be written, nothing is asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from toolgate.audit.event import Type, new_event, who
from toolgate.calls import new_id
from toolgate.errors import Refused, ToolgateError
from toolgate.llm.decision import Decision
from toolgate.llm.messages import Errand, Prompt, Reply
from toolgate.llm.metrics import ProviderExecutionMetric
from toolgate.llm.model import Model
from toolgate.money import Micros
from toolgate.stores import Hold, Shortage, Stores

STREAM = "audit"


@dataclass(slots=True)
class Request:
    """A request of one asker, from its beginning to its end."""

    prompt: Prompt
    errand: Errand
    deadline: float
    """On a monotonic clock, seconds."""
    id: str = field(default_factory=new_id)
    tokens: int = 0
    """Of the input, counted."""
    policy: str = ""
    """The digest of the policy that permitted it."""
    tried: list[ProviderExecutionMetric] = field(default_factory=list)
    """The attempts that are over."""
    begun: bool = False
    """It was written down that it is about to leave."""
    reserved: Micros = 0
    cost: Micros = 0
    """Of all attempts."""
    estimated: bool = False


class Evidence:
    def __init__(self, stores: Stores) -> None:
        self._journal = stores.journal
        self._ledger = stores.ledger
        self._together = stores.begin
        self._keys = stores.keys

    async def begin(self, request: Request, decision: Decision, model: Model, hold: Hold | None) -> Shortage | None:
        """Write down that the request is about to go to `model`, and set `hold` aside, in one commit where that is possible.

        Returns:
            The budget that has no room for `hold`; nothing is written then.

        Raises:
            AuditUnavailable: it could not be written; nothing may be sent.
        """
        event = self._intent(request, decision, model)
        if hold is not None and self._together is not None:
            short = await self._together(STREAM, event, request.id, hold)
        else:
            short = await self._ledger.reserve(hold) if hold is not None else None
            if short is None:
                await self._journal.append(STREAM, event, opens=request.id)
        request.begun = short is None
        return short

    async def denied(self, request: Request, error: ToolgateError, seconds: float) -> None:
        """Write down that nobody is asked."""
        event = self._about("model.denied", request)
        event["decision"] = {"effect": "deny", "rule": error.rule, "policy": request.policy}
        event["result"] = {"ending": "refused", "code": error.code, "effect": "none"}
        event["route"] = {"dropped": dict(getattr(error, "dropped", {}))}
        event["ms"] = _ms(seconds)
        await self._journal.append(STREAM, event)

    async def end(self, request: Request, ending: Reply | BaseException, seconds: float) -> None:
        """Write down how it ended: with a reply, an error, a bug or a cancellation.

        Raises:
            AuditUnavailable: it could not be written; nobody may have the end of the answer.
        """
        event = self._about("model.outcome", request)
        event["attempts"] = [_tried(each) for each in request.tried]
        event["money"] = {"reserved": request.reserved, "settled": request.cost, "estimated": request.estimated}
        if isinstance(ending, Reply):
            event["model"] |= {"provider": ending.provider, "name": ending.model}
            event["tokens"] = asdict(ending.tokens)
            digest = self._digest(request, [ending.message])
            event["result"] = {"ending": "ok", "code": None, "effect": "done", "stop": ending.stop, "digest": digest}
        else:
            event["result"] = _failed(ending)
        event["ms"] = _ms(seconds)
        await self._journal.append(STREAM, event, closes=request.id)

    def _intent(self, request: Request, decision: Decision, model: Model) -> Mapping[str, Any]:
        event = self._about("model.intent", request)
        event["decision"] = {"effect": "allow", "rule": ", ".join(decision.policy) or None, "policy": request.policy}
        event["model"] |= {"provider": model.provider, "name": model.name}
        event["route"] = decision.to_json()
        event["prompt"] = {
            "digest": self._digest(request, request.prompt.messages),
            "messages": len(request.prompt.messages),
            "tools": len(request.prompt.tools),
            "tokens": request.tokens,
        }
        return event

    def _about(self, type: Type, request: Request) -> dict[str, Any]:
        errand = request.errand
        event = new_event(type, errand.principal.tenant, self._journal.instance)
        event["request"] = request.id
        event["run"] = errand.run or None
        event["model"] = {"asked": request.prompt.model or None}
        event["principal"] = who(errand.principal)
        event["errand"] = {
            "task": errand.task,
            "phase": errand.phase,
            "high_risk": errand.high_risk,
            "prompt_version": errand.prompt_version or None,
        }
        return event

    def _digest(self, request: Request, messages: Sequence[Any]) -> str:
        try:
            data = orjson.dumps(list(messages), default=_plain)
        except TypeError:  # a lone surrogate, a number over 64 bits
            data = repr(list(messages)).encode(errors="replace")
        return self._keys.digest(request.errand.principal.tenant, data)


def _plain(value: Any) -> Any:
    """What orjson does not know: pictures, and mappings that are no dicts."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    return dict(value) if isinstance(value, Mapping) else repr(value)


def _failed(ending: BaseException) -> Mapping[str, Any]:
    if not isinstance(ending, ToolgateError):
        return {"ending": type(ending).__name__, "code": None, "effect": "unknown"}
    how, reason = "refused" if isinstance(ending, Refused) else "failed", getattr(ending, "reason", "") or None
    return {"ending": how, "code": ending.code, "reason": reason, "effect": "unknown"}


def _tried(each: ProviderExecutionMetric) -> Mapping[str, Any]:
    first = None if each.ttft_ms is None else round(each.ttft_ms, 3)
    return {"model": each.model_id, "attempt": each.attempt, "ms": round(each.latency_ms, 3), "first_ms": first, "error": each.error_type}


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
