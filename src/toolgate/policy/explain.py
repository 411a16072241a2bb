"""Every rule that was considered for a call, what each of its conditions said, and what came of it. Slow, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolgate.calls import Call
from toolgate.policy import bounds
from toolgate.policy.conditions import Facts, Truth, tool_facts
from toolgate.policy.decide import Decision, decide, facts_of, visible
from toolgate.policy.globs import matches
from toolgate.policy.rules import Permission, Policy

WORDS = {True: "true", False: "false", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Considered:
    """One permission of the caller whose glob means the tool."""

    permission: Permission
    truths: tuple[Truth, ...]
    """What its conditions said, in their order."""

    @property
    def fires(self) -> bool:
        """An allow needs all of its conditions true; a deny fires unless one is false."""
        if self.permission.effect == "deny":
            return False not in self.truths
        return all(truth is True for truth in self.truths)

    def as_json(self) -> dict[str, Any]:
        conditions = [
            {**condition.model_dump(mode="json"), "verdict": WORDS[truth]}
            for condition, truth in zip(self.permission.conditions, self.truths, strict=True)
        ]
        return {
            "rule": self.permission.id,
            "effect": self.permission.effect,
            "tools": self.permission.tools,
            "operations": list(self.permission.operations),
            "obligations": list(self.permission.obligations),
            "conditions": conditions,
            "fires": self.fires,
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    decision: Decision
    listed: bool
    """Whether the caller may know of the tool."""
    bound: str | None
    """The tier's or scopes' bound that the call is beyond, whatever the rules say."""
    considered: tuple[Considered, ...]
    """By id."""

    def as_json(self) -> dict[str, Any]:
        return {
            "decision": word(self.decision),
            "rule": self.decision.rule,
            "obligations": list(self.decision.obligations),
            "listed": self.listed,
            "bound": self.bound,
            "considered": [each.as_json() for each in self.considered],
        }


def explain(call: Call, policy: Policy) -> Explanation:
    return Explanation(
        decide(call, policy), visible(call.principal, call.tool, policy), bounds.beyond(call, policy), tuple(considered(call, policy))
    )


def considered(call: Call, policy: Policy) -> list[Considered]:
    """The caller's permissions whose glob means the tool, by id, each condition asked anew and alone."""
    facts: Facts = {**facts_of(call), "tool": tool_facts(call.tool)}
    permissions = sorted(policy.permissions(call.principal.every_role).values(), key=lambda permission: permission.id)
    meant = (one for one in permissions if matches(one.tools, call.tool.name))
    return [Considered(one, tuple(each.check(facts) for each in one.conditions)) for one in meant]


def word(decision: Decision) -> str:
    """`allow`, `approve` (allowed once a person says yes) or `deny`."""
    if not decision.permitted:
        return "deny"
    return "approve" if "approve" in decision.obligations else "allow"
