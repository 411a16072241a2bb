"""May this caller do this with this tool?

Default deny. A deny wins. The order of rules does not matter. An allow needs its conditions to be true; a deny fires
unless its conditions are definitely false. When a list is being made the arguments are not known, so conditions on
them are neither: a tool is shown when some call of it may be allowed. Hence callable implies listed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toolgate.calls import Call, Principal, Tool
from toolgate.policy.conditions import Facts, Truth, holds, principal_facts
from toolgate.policy.rules import Policy, Rule

DEFAULT = "default"
"""The rule id of a refusal that no rule made: nothing allowed the call."""


@dataclass(frozen=True, slots=True)
class Decision:
    permitted: bool
    rule: str
    """The id of the deciding rule, the first by id where several would do."""
    reason: str | None = None
    """What the rule's author wants said."""
    obligations: tuple[str, ...] = ()
    """What the call has to meet besides; none where one allowing rule asks for none."""


def decide(call: Call, policy: Policy) -> Decision:
    """Whether `call`, with its validated arguments, may go on."""
    facts = {
        "principal": principal_facts(call.principal),
        "call": {"depth": call.depth, "id": call.id, "idempotency_key": call.idempotency_key},
        "args": call.arguments,
    }
    allowed_by: Rule | None = None
    for rule in policy.applicable(call.principal.roles, call.tool):
        if "call" not in rule.operations:
            continue
        truth = _truth(rule, facts)
        if rule.effect == "deny" and truth is not False:
            return Decision(False, rule.id, rule.reason)
        if rule.effect == "allow" and truth is True and (allowed_by is None or len(rule.obligations) < len(allowed_by.obligations)):
            allowed_by = rule
    if allowed_by is None:
        return Decision(False, DEFAULT)
    return Decision(True, allowed_by.id, obligations=allowed_by.obligations)


def visible(principal: Principal, tool: Tool, policy: Policy) -> bool:
    """Whether `principal` may know of `tool`: it may list it, or some call of it may be allowed."""
    rules = policy.applicable(principal.roles, tool)
    if not rules:
        return False
    facts: Mapping[str, Any] = {"principal": principal_facts(principal)}
    denied = {operation for rule in _denying(rules, facts) for operation in rule.operations}
    if "list" in denied:
        return False
    possible = {operation for rule in rules if rule.effect == "allow" and _truth(rule, facts) is not False for operation in rule.operations}
    return "list" in possible or "call" in possible - denied


def _denying(rules: Iterable[Rule], facts: Facts) -> Iterable[Rule]:
    return (rule for rule in rules if rule.effect == "deny" and _truth(rule, facts) is True)


def _truth(rule: Rule, facts: Facts) -> Truth:
    truth = holds(rule.conditions, facts)
    return None if truth is True and rule.on_tool is None else truth
