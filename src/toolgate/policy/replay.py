"""Which recorded calls another policy would decide otherwise.

The audit holds arguments without their secrets, sometimes only their names, so a condition may have no answer. Then every
decision that is still possible is kept, and a call is said to flip, or not to, only when no doubt is left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.calls import Call, Principal, Tool
from toolgate.policy import bounds
from toolgate.policy.conditions import Condition, Facts, Truth, reach, tool_facts
from toolgate.policy.decide import facts_of
from toolgate.policy.globs import matches
from toolgate.policy.rules import Permission, Policy

RECORDED = ("call.intent", "call.denied", "call.limited")
"""The types of events that hold a call's arguments."""
HIDDEN = "[redacted]"  # as `audit.redact` writes it
WHOLE_TEXT = 2000  # characters; `audit.redact` cuts longer texts
Possible = frozenset[str]
"""Of `allow`, `approve`, `deny`."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Calls alike, told once."""

    principal: str
    roles: tuple[str, ...]
    tool: str
    before: str
    """`allow`, `approve` or `deny`."""
    after: str
    calls: int


@dataclass(frozen=True, slots=True)
class Replayed:
    calls: int
    same: int
    flips: tuple[Flip, ...]
    """The most frequent first."""
    unknown: Mapping[str, int]
    """Calls that nothing can be said of, by tool."""


def replay(events: Iterable[Mapping[str, Any]], tools: Mapping[str, Tool], old: Policy, new: Policy) -> Replayed:
    """
    Args:
        events: bodies of audit records, in any order; those that hold no call's arguments are passed over.
        tools: by name, as they are now.
    """
    same = calls = 0
    flips, unknown = Counter[tuple[str, tuple[str, ...], str, str, str]](), Counter[str]()
    for event in events:
        if event.get("type") not in RECORDED or event["tool"]["integration"] == "unknown":
            continue
        calls += 1
        tool = tools.get(event["tool"]["name"])
        before, after = _both(event, tool, old, new) if tool else (None, None)
        if before is None or after is None:
            unknown[event["tool"]["name"]] += 1
        elif before == after:
            same += 1
        else:
            principal = event["principal"]
            flips[principal["id"], tuple(principal["roles"]), event["tool"]["name"], before, after] += 1
    told = tuple(Flip(*key, count) for key, count in flips.most_common())
    return Replayed(calls, same, told, dict(unknown.most_common()))


def _both(event: Mapping[str, Any], tool: Tool, old: Policy, new: Policy) -> tuple[str | None, str | None]:
    """What either policy decides, None where that is not certain."""
    call, known = _call(event, tool), _known(event["arguments"])
    roles = (*call.principal.roles, *(call.principal.bound_by or ()))
    if _meant(call, old, roles) == _meant(call, new, roles) and bounds.beyond(call, old) == bounds.beyond(call, new):
        return "same", "same"
    before, after = possible(call, known, old), possible(call, known, new)
    if event["type"] == "call.intent" and event["decision"].get("policy") == old.digest:
        before -= {"deny"}  # it was let through by this very policy
    return _certain(before), _certain(after)


def possible(call: Call, known: Mapping[str, Any], policy: Policy) -> Possible:
    """The decisions that `policy` may come to.

    Args:
        call: with the arguments that are recorded.
        known: `names` of all arguments, and `values` of them where these are recorded.
    """
    return frozenset({"deny"}) if bounds.beyond(call, policy) else by_rules(call, known, policy)


def by_rules(call: Call, known: Mapping[str, Any], policy: Policy) -> Possible:
    """The same, of the rules alone, whatever tiers and scopes say."""
    own = _by_roles(call, known, policy, call.principal.roles)
    if call.principal.bound_by is None:
        return own
    bound = _by_roles(call, known, policy, call.principal.bound_by)
    return frozenset(max(one, other, key=ORDER.index) for one in own for other in bound)


def _by_roles(call: Call, known: Mapping[str, Any], policy: Policy, roles: Sequence[str]) -> Possible:
    facts = {**facts_of(call), "tool": tool_facts(call.tool)}
    fires = [(permission, _fires(permission, facts, known)) for permission in _meant(call, policy, roles)]
    denies = [fired for permission, fired in fires if permission.effect == "deny"]
    if True in denies:
        return frozenset({"deny"})
    allows = [(_asks(permission), fired) for permission, fired in fires if permission.effect == "allow" and "call" in permission.operations]
    least = min((asks for asks, fired in allows if fired is True), key=ORDER.index, default="deny")
    maybe = {asks for asks, fired in allows if fired is None and ORDER.index(asks) < ORDER.index(least)}
    return frozenset({least, *maybe, *(("deny",) if None in denies else ())})


ORDER = ("allow", "approve", "deny")


def _meant(call: Call, policy: Policy, roles: Sequence[str]) -> Sequence[Permission]:
    permissions = policy.permissions(roles).values()
    return sorted((one for one in permissions if matches(one.tools, call.tool.name)), key=lambda one: one.id)


def _fires(permission: Permission, facts: Facts, known: Mapping[str, Any]) -> Truth:
    """None: that depends on what is not recorded."""
    answers = [_answer(condition, facts, known) for condition in permission.conditions]
    if "no" in answers or (permission.effect == "allow" and "unclear" in answers):
        return False
    return None if "unrecorded" in answers else True


def _answer(condition: Condition, facts: Facts, known: Mapping[str, Any]) -> str:
    if condition.field == "call.idempotency_key" or (condition.root == "args" and not _recorded(condition, known)):
        return "unrecorded"
    if condition.root == "args" and "values" not in known:  # only names: `exists` can be asked of them
        return "yes" if (condition.path in known["names"]) == (condition.value is not False) else "no"
    return {True: "yes", False: "no", None: "unclear"}[condition.check(facts)]


def _recorded(condition: Condition, known: Mapping[str, Any]) -> bool:
    if "values" not in known:
        return "names" in known and condition.operator == "exists" and "." not in condition.path
    return condition.operator == "exists" or all(map(_whole, reach(known["values"], condition.path)))


def _whole(value: Any) -> bool:
    """Whether nothing of `value` was taken out or cut off."""
    if isinstance(value, str):
        return HIDDEN not in value and len(value) <= WHOLE_TEXT
    if isinstance(value, Mapping):
        return all(_whole(one) for one in value.values())
    return all(map(_whole, value)) if isinstance(value, list) else True


def _known(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    values = arguments.get("values")
    if not isinstance(values, Mapping):
        return {"names": arguments.get("names", [])}
    if values.keys() == {"cut"} and isinstance(values["cut"], list):  # too large for the audit
        return {"names": values["cut"]}
    return {"names": list(values), "values": values}


def _call(event: Mapping[str, Any], tool: Tool) -> Call:
    who = event["principal"]
    principal = Principal(
        who["id"],
        tuple(who["roles"]),
        who["tier"],
        event["tenant"],
        who["via"],
        None if who["scopes"] is None else frozenset(who["scopes"]),
        who["credential"],
        tuple(who["acting_for"]),
        None if who.get("bound_by") is None else tuple(who["bound_by"]),
    )
    values, tainted = _known(event["arguments"]).get("values", {}), event.get("tainted", False)
    return Call(tool, values, principal, id=event["call"], depth=event["depth"], tainted=tainted)


def _asks(permission: Permission) -> str:
    return "approve" if "approve" in permission.obligations else "allow"


def _certain(decisions: Possible) -> str | None:
    return next(iter(decisions)) if len(decisions) == 1 else None
