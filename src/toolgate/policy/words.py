"""Why a call is refused, and what would be allowed, in words that a model can act on.

Values of the policy are told, since they are what would work; values of the call never are. Only conditions on the
arguments and the call are told: nobody can make themselves somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

from toolgate.calls import Call
from toolgate.policy import bounds
from toolgate.policy.conditions import Condition, Facts, holds
from toolgate.policy.decide import BOUND, DEFAULT, Decision, facts_of
from toolgate.policy.rules import Policy

QUOTED = 200  # characters of a policy's value
ON_CALL = ("args", "call")


def why(call: Call, decision: Decision, policy: Policy) -> str:
    """The sentences for a refused `call` of a tool that its caller may know of."""
    who = f"{call.principal.id} may not call {call.tool.name}"
    if decision.rule.startswith("tier.") or decision.rule == bounds.SCOPE:
        return f"{who}: {_bound(call, decision.rule, policy)}"
    if decision.rule == DEFAULT:
        return f"{who}: {_not_allowed(call, policy)}"
    if decision.rule == BOUND:
        return (
            f"{who}: {call.principal.user} may, and nothing allows it to who acts for others. Its user can make the call, or tell you more"
        )
    permission = policy.permissions(call.principal.every_role)[decision.rule]
    conditions = [condition for condition in permission.conditions if condition.root in ON_CALL]
    reason = f"{who}: {decision.reason}" if decision.reason else f"{who}{' so' if conditions else ''}; rule {decision.rule} forbids it"
    if not conditions:
        return reason
    return f"{reason.rstrip('.')}. It does not where {' or '.join(map(_avoided, conditions))}"


def _bound(call: Call, rule: str, policy: Policy) -> str:
    name, tier = call.principal.tier, policy.tier(call.principal.tier)
    if rule == bounds.TIER_UNKNOWN:
        return f"the tier {name} is not defined; the operator's tiers.yaml defines {', '.join(sorted(policy.tiers))}"
    if rule == bounds.TIER_DEPTH:
        return f"it would be call {call.depth} within calls, and the tier {name} allows {tier.max_depth}; call it directly"
    if rule == bounds.SCOPE:
        return f"the scopes of the credential do not cover it; one of these would: {', '.join(bounds.would_cover(call.tool))}"
    return f"it is not for the tier {name}"


def _not_allowed(call: Call, policy: Policy) -> str:
    roles = ", ".join(call.principal.roles) or "no role"
    nearest = min(_near(call, policy), key=lambda near: (len(near[1]), near[0]), default=None)
    if nearest:
        rule, unmet = nearest
        return f"rule {rule} allows it where {' and '.join(map(_met, unmet))}"
    if call.tool.annotations.read_only:
        return f"nothing allows {roles} this call. An operator allows it with a permission in the policies' roles folder"
    return (
        f"it changes things, and nothing allows {roles} that. Tools that only read may be called. "
        f"An operator allows it with a permission in the policies' roles folder"
    )


def _near(call: Call, policy: Policy) -> Iterator[tuple[str, list[Condition]]]:
    """The rules that would allow other calls of this tool to this caller, with the conditions that this call does not meet."""
    facts, permissions = facts_of(call), policy.permissions(call.principal.roles)
    for rule in policy.applicable(call.principal.roles, call.tool):
        if not rule.denies and rule.calls and holds(rule.on_caller, facts) is True:
            yield rule.id, list(_unmet(permissions[rule.id].conditions, facts))


def _unmet(conditions: Iterable[Condition], facts: Facts) -> Iterator[Condition]:
    return (condition for condition in conditions if condition.root in ON_CALL and condition.check(facts) is not True)


def _met(condition: Condition) -> str:
    if condition.operator == "exists":
        return f"{_name(condition)} is {'not ' if condition.value is False else ''}given"
    return f"{_name(condition)} {MUST[condition.operator]} {_quoted(condition.value)}"


def _avoided(condition: Condition) -> str:
    if condition.operator == "exists":
        return f"{_name(condition)} is {'' if condition.value is False else 'not '}given"
    return f"{_name(condition)} is given and {MUST_NOT[condition.operator]} {_quoted(condition.value)}"


MUST = {
    "equals": "equals",
    "contains": "contains",
    "matches": "matches, as a whole, the pattern",
    "in": "is one of",
    "less_than": "is less than",
    "greater_than": "is greater than",
}
MUST_NOT = {
    "equals": "does not equal",
    "contains": "is of a kind that can contain, and does not contain,",
    "matches": "is text that does not match, as a whole, the pattern",
    "in": "is none of",
    "less_than": "is a number not less than",
    "greater_than": "is a number not greater than",
}


def _name(condition: Condition) -> str:
    return condition.path if condition.root == "args" else condition.field


def _quoted(value: object) -> str:
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}…"
