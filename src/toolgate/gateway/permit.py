"""Ask the policy about the tool and its arguments, and put a refusal into words a model can act on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from toolgate.calls import Call, Outcome
from toolgate.chain import Handler
from toolgate.errors import NotPermitted, ToolgateError, UnknownTool
from toolgate.policy.decide import Decision, decide, visible
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy


class Permit:
    """A permitted call goes on with what its rule asks for besides (`obligations`) and the digest of the policy that said so."""

    def __init__(self, live: Live) -> None:
        self._live = live

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        policy = self._live.current  # once: a call is judged by one policy, whatever is loaded meanwhile
        decision = decide(call, policy)
        notes: Mapping[str, Any] = {"policy": policy.digest}
        try:
            if call.tool.concealed:
                raise no_such_tool(call.tool.name)
            if not decision.permitted:
                raise _refusal(call, decision, policy)
            outcome = await call_next(replace(call, obligations=decision.obligations, policy=policy.digest))
        except ToolgateError as error:
            error.rule = error.rule or decision.rule
            error.notes = {**error.notes, "permit": notes}
            raise
        return replace(outcome, rule=decision.rule, notes={**outcome.notes, "permit": notes})


def _refusal(call: Call, decision: Decision, policy: Policy) -> ToolgateError:
    if not visible(call.principal, call.tool, policy):
        return no_such_tool(call.tool.name)
    return NotPermitted(_sentence(call, decision), decision.rule)


def no_such_tool(name: str) -> UnknownTool:
    """The one sentence for tools that do not exist and tools that the caller may not know of."""
    return UnknownTool(f"there is no tool called {name!r}; search_tools finds tools by what they do")


def _sentence(call: Call, decision: Decision) -> str:
    who = f"{call.principal.id} may not call {call.tool.name}"
    if decision.reason:
        return f"{who}: {decision.reason}"
    if decision.rule != "default":
        return f"{who} with these arguments; rule {decision.rule} forbids it"
    roles = ", ".join(call.principal.roles) or "no role"
    if call.tool.annotations.read_only:
        return f"{who}: nothing allows {roles} this call with these arguments. Ask the operator, or try other arguments"
    return (
        f"{who}: it changes things, and nothing allows {roles} that. Tools that only read may be called. "
        f"An operator allows it with a permission in the policies' roles folder"
    )
