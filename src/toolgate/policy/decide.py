"""May this caller do this with this tool?

Default deny. A deny wins. The order of rules does not matter. An allow needs its conditions to be true; a deny fires
unless its conditions are definitely false. Tiers and scopes bound what rules grant. When a list is being made the
arguments are not known, so conditions on them are open: a tool is shown when some call of it may be allowed. What may
not be listed may not be called either. Hence callable implies listed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from toolgate.calls import Call, Principal, Tool
from toolgate.policy import bounds
from toolgate.policy.conditions import Facts, holds, principal_facts
from toolgate.policy.rules import Policy, Rule

DEFAULT = "default"
"""The rule id of a refusal that no rule made: nothing allowed the call."""
BOUND = "bound"
"""The rule id of a refusal that no rule made: the caller's own roles allow the call, and nothing in those that bound it does."""


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
    principal = call.principal
    decision = _by_rules(policy.applicable(principal.roles, call.tool), call)
    if decision.permitted and principal.bound_by is not None:
        decision = _bounded(decision, _by_rules(policy.applicable(principal.bound_by, call.tool), call))
    if decision.permitted and (bound := bounds.beyond(call, policy)):
        return Decision(False, bound)
    return decision


def visible(principal: Principal, tool: Tool, policy: Policy) -> bool:
    """Whether `principal` may know of `tool`: it may list it, or some call of it may be allowed."""
    return any(True for _ in visible_of(principal, (tool,), policy))


def visible_of(principal: Principal, tools: Iterable[Tool], policy: Policy) -> Iterable[Tool]:
    """Those of `tools` that `principal` may know of, in their order."""
    facts, tier, roles = {"principal": principal_facts(principal)}, policy.tier(principal.tier), principal.roles
    bound_by = principal.bound_by
    for tool in tools:
        if not bounds.shown(principal, tool, tier) or not _listed(policy.applicable(roles, tool), facts):
            continue
        if bound_by is None or _listed(policy.applicable(bound_by, tool), facts):
            yield tool


def facts_of(call: Call) -> Facts:
    """What rules may ask about a call; the tool is not in it, since conditions on it are decided by then."""
    return {
        "principal": principal_facts(call.principal),
        "call": {"depth": call.depth, "id": call.id, "idempotency_key": call.idempotency_key, "tainted": call.tainted},
        "args": call.arguments,
    }


def _bounded(own: Decision, bound: Decision) -> Decision:
    """What both say: allowed where both allow, with what either asks for besides."""
    if not bound.permitted:
        return Decision(False, BOUND) if bound.rule == DEFAULT else bound
    asked = tuple(dict.fromkeys((*own.obligations, *bound.obligations)))
    return Decision(True, own.rule if asked == own.obligations else bound.rule, obligations=asked)


def _by_rules(rules: Iterable[Rule], call: Call) -> Decision:
    facts: Facts | None = None
    allowing: Rule | None = None
    for rule in rules:
        if not rule.denies and (not rule.calls or (allowing and len(rule.obligations) >= len(allowing.obligations))):
            continue
        if rule.conditions:
            facts = facts or facts_of(call)
            truth = holds(rule.conditions, facts)
            if truth is False or (truth is None and not rule.denies):
                continue
        if rule.denies:
            return Decision(False, rule.id, rule.reason)
        allowing = rule
    return Decision(False, DEFAULT) if allowing is None else _allowed(allowing)


@lru_cache(maxsize=1024)
def _allowed(rule: Rule) -> Decision:
    return Decision(True, rule.id, obligations=rule.obligations)


def _listed(rules: Iterable[Rule], facts: Facts) -> bool:
    lists = calls = False
    calling_denied = False
    for rule in rules:
        truth = holds(rule.on_caller, facts) if rule.on_caller else True
        if rule.denies:
            if truth is False or rule.on_call:  # with a condition on the call, some call may be left
                continue
            if rule.lists:
                return False
            calling_denied = True
        elif truth is True:
            lists, calls = lists or rule.lists, calls or rule.calls
    return lists or (calls and not calling_denied)
