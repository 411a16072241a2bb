"""What changes from one policy to another: rules, and what each role may do with each tool. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.calls import Call, Principal, Tool
from toolgate.policy.decide import visible
from toolgate.policy.replay import ORDER, by_rules
from toolgate.policy.rules import Policy


@dataclass(frozen=True, slots=True)
class Change:
    """`what` is `rule`, `tier` or `role`; `before` and `after` are None where there is none."""

    what: str
    name: str
    tool: str | None
    before: Any
    after: Any


def compare(old: Policy, new: Policy, tools: Sequence[Tool]) -> Iterator[Change]:
    """Changed rules and tiers by name, then what roles may do otherwise with `tools`."""
    for what, one, other in (("rule", _rules(old), _rules(new)), ("tier", _tiers(old), _tiers(new))):
        for name in sorted(one.keys() | other.keys()):
            if one.get(name) != other.get(name):
                yield Change(what, name, None, one.get(name), other.get(name))
    for role in sorted(old.roles.keys() | new.roles.keys()):
        for tool in tools:
            before, after = may(role, tool, old), may(role, tool, new)
            if before != after:
                yield Change("role", role, tool.name, before, after)


def may(role: str, tool: Tool, policy: Policy) -> str:
    """What `role` may do with `tool`: `hidden`, or the decisions that its arguments may lead to, such as `allow or deny`."""
    # A tier that no rule means: tiers are compared by themselves.
    principal = Principal("", (role,), tier="")
    decisions = by_rules(Call(tool, {}, principal, id=""), {}, policy)
    if decisions == {"deny"} and not visible(principal, tool, policy):
        return "hidden"
    return " or ".join(word for word in ORDER if word in decisions)


def _rules(policy: Policy) -> dict[str, Any]:
    return {
        permission.id: {"role": role.role, **permission.model_dump(mode="json", exclude_defaults=True)}
        for role in policy.roles.values()
        for permission in role.permissions
    }


def _tiers(policy: Policy) -> dict[str, Any]:
    return {name: tier.model_dump(mode="json", exclude_defaults=True) for name, tier in policy.tiers.items()}
