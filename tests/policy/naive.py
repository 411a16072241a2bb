"""The semantics of a policy said once more, as slowly and plainly as can be, sharing no code with what it is held against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from toolgate.calls import Call
from toolgate.policy.rules import Permission, Role
from toolgate.policy.tiers import Tier


def naive(call: Call, roles: Mapping[str, Role], tiers: Mapping[str, Tier]) -> bool:
    """Whether `call` may go on."""
    for names in (call.principal.roles, call.principal.bound_by):
        if names is None:
            continue
        rules = [rule for role in names for rule in inherited(role, roles) if fnmatchcase(call.tool.name, rule.tools)]
        if any(said(rule, call) != "no" for rule in rules if rule.effect == "deny"):
            return False
        if not any(said(rule, call) == "yes" for rule in rules if rule.effect == "allow" and "call" in rule.operations):
            return False
    tier = tiers.get(call.principal.tier)
    if tier is not None:
        needs = {tag.removeprefix("feature:") for tag in call.tool.tags if tag.startswith("feature:")}
        in_tier = any(fnmatchcase(call.tool.name, glob) for glob in tier.tools) and needs <= tier.features and call.depth <= tier.max_depth
        if not in_tier:
            return False
    elif tiers:
        return False
    return call.principal.scopes is None or any(covers(scope, call) for scope in call.principal.scopes)


def inherited(role: str, roles: Mapping[str, Role]) -> list[Permission]:
    if role not in roles:
        return []
    return [*roles[role].permissions, *(rule for parent in roles[role].inherits for rule in inherited(parent, roles))]


def covers(scope: str, call: Call) -> bool:
    if scope == "tools:read":
        return call.tool.annotations.read_only
    return scope == "tools:call" or (scope.startswith("tool:") and fnmatchcase(call.tool.name, scope[5:]))


def said(rule: Permission, call: Call) -> str:
    words = [verdict(condition.field, condition.operator, condition.value, call) for condition in rule.conditions]
    return "no" if "no" in words else "unclear" if "unclear" in words else "yes"


def verdict(field: str, operator: str, value: Any, call: Call) -> str:
    root, _, name = field.partition(".")
    there: Any = {"args": call.arguments, "principal": vars_of(call.principal), "call": {"depth": call.depth, "tainted": call.tainted}}.get(
        root
    )
    if root == "tool":
        there = {"name": call.tool.name, **vars_of(call.tool.annotations)}
    if operator == "exists":
        return "yes" if (name in there) == (value is not False) else "no"
    if name not in there:
        return "unclear"
    found = there[name]
    number = type(found) in (int, float)

    def equal(one: Any) -> bool:
        return (type(found) is type(one) or (number and type(one) in (int, float))) and bool(found == one)

    answers: dict[str, Any] = {
        "equals": lambda: equal(value),
        "in": lambda: any(map(equal, value)),
        "matches": lambda: re.fullmatch(value, found) is not None if type(found) is str else None,
        "contains": lambda: value in found if type(found) is str and type(value) is str else None,
        "less_than": lambda: found < value if number else None,
        "greater_than": lambda: found > value if number else None,
    }
    return {True: "yes", False: "no", None: "unclear"}[answers[operator]()]


def vars_of(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}
