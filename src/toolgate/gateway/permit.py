"""Ask the policy about the tool and its arguments, and put a refusal into words a model can act on."""

from __future__ import annotations

from dataclasses import replace

from toolgate.calls import Call, Outcome
from toolgate.chain import Handler
from toolgate.errors import NotPermitted, ToolgateError, UnknownTool
from toolgate.policy.decide import Decision, decide, visible
from toolgate.policy.rules import Policy


class Permit:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        decision = decide(call, self._policy)
        if call.tool.concealed:
            raise no_such_tool(call.tool.name, decision.rule)
        if not decision.permitted:
            raise self._refusal(call, decision)
        try:
            outcome = await call_next(call)
        except ToolgateError as error:
            error.rule = error.rule or decision.rule
            raise
        return replace(outcome, rule=decision.rule)

    def _refusal(self, call: Call, decision: Decision) -> ToolgateError:
        if not visible(call.principal, call.tool, self._policy):
            return no_such_tool(call.tool.name, decision.rule)
        return NotPermitted(_sentence(call, decision), decision.rule)


def no_such_tool(name: str, rule: str | None = None) -> UnknownTool:
    """The one sentence for tools that do not exist and tools that the caller may not know of; `rule` is the audit's."""
    error = UnknownTool(f"there is no tool called {name!r}; search_tools finds tools by what they do")
    error.rule = rule
    return error


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
