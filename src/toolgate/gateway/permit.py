"""Ask the policy about the tool and its arguments, and put a refusal into words a model can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolgate.calls import Call, Outcome, changed
from toolgate.chain import Handler
from toolgate.errors import NotPermitted, ToolgateError, UnknownTool
from toolgate.policy.bounds import SCOPE, would_cover
from toolgate.policy.decide import Decision, decide, visible
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.policy.words import why


class Permit:
    """A permitted call goes on with what its rule asks for besides (`obligations`) and the digest of the policy that said so.

    A candidate policy decides beside the one in force; where it would decide otherwise, the audit's note `shadow` says so.
    """

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        policy = self._live.current  # once: a call is judged by one policy, whatever is loaded meanwhile
        decision = decide(call, policy)
        notes: dict[str, Any] = {"permit": {"policy": policy.digest}}
        if (candidate := self._live.candidate) and (other := _otherwise(decision, decide(call, candidate))):
            notes["shadow"] = {"policy": candidate.digest, **other}
        try:
            if call.tool.concealed:
                raise no_such_tool(call.tool.name)
            if not decision.permitted:
                raise _refusal(call, decision, policy)
            outcome = await call_next(changed(call, obligations=decision.obligations, rule=decision.rule, policy=policy.digest))
        except ToolgateError as error:
            error.rule = error.rule or decision.rule
            error.notes = {**error.notes, **notes}
            raise
        return changed(outcome, rule=decision.rule, notes={**outcome.notes, **notes})


def _otherwise(decision: Decision, other: Decision) -> Mapping[str, Any] | None:
    if (decision.permitted, decision.obligations) == (other.permitted, other.obligations):
        return None
    return {"effect": "allow" if other.permitted else "deny", "rule": other.rule, "obligations": list(other.obligations)}


def _refusal(call: Call, decision: Decision, policy: Policy) -> ToolgateError:
    if not visible(call.principal, call.tool, policy):
        return no_such_tool(call.tool.name)
    return NotPermitted(why(call, decision, policy), decision.rule, would_cover(call.tool) if decision.rule == SCOPE else ())


def no_such_tool(name: str) -> UnknownTool:
    """The one sentence for tools that do not exist and tools that the caller may not know of."""
    return UnknownTool(f"there is no tool called {name!r}; its exact name is in the list of tools, or found by searching them")
