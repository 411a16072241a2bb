"""What in a policy is probably not what its author meant, held against the tools that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any, Literal

from toolgate.calls import Principal, Tool
from toolgate.policy.conditions import Condition, is_number, principal_facts, tool_facts
from toolgate.policy.globs import is_wild, matches
from toolgate.policy.rules import Permission, Policy
from toolgate.policy.tiers import Tier

KNOWN: Mapping[str, frozenset[str]] = {
    "principal": frozenset(principal_facts(Principal("lint"))),
    "tool": frozenset(("name", "integration", "tags", "read_only", "destructive", "idempotent", "open_world")),
    "call": frozenset(("depth", "id", "idempotency_key", "tainted")),
}
TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
WANTED: Mapping[str, frozenset[str]] = {
    "matches": frozenset({"string"}),
    "contains": frozenset({"string", "array"}),
    "less_than": frozenset({"integer", "number"}),
    "greater_than": frozenset({"integer", "number"}),
}
"""The types that an operator compares; it says nothing of others."""
NAMED = 3  # tools named in a message


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["warning", "error"]
    """error: it can never do what it says; warning: it may do more or less than meant."""
    where: str
    """A rule, a tier, or a setting."""
    code: str
    message: str


def lint(policy: Policy, tools: Sequence[Tool]) -> Iterator[Finding]:
    """Everything found, by role."""
    for name, role in policy.roles.items():
        for permission in role.permissions:
            meant = [tool for tool in tools if matches(permission.tools, tool.name)]
            yield from _reach(permission, meant, tools)
            yield from _fields(permission, meant)
            yield from _wide(permission, meant, name)
        yield from _shadowed(name, policy, tools)
    for name, tier in policy.tiers.items():
        yield from _tier(name, tier, tools)
    yield from _models(policy)


def lint_callers(policy: Policy, callers: Mapping[str, tuple[tuple[str, ...], str]]) -> Iterator[Finding]:
    """Whether the roles and the tier that settings give to callers, by the setting's name, are defined."""
    for where, (roles, tier) in callers.items():
        for role in roles:
            if role not in policy.roles:
                yield Finding("error", where, "unknown-role", f"there is no role {role}{_near(role, policy.roles)}")
        if policy.tiers and tier not in policy.tiers:
            yield Finding(
                "error", where, "unknown-tier", f"there is no tier {tier}{_near(tier, policy.tiers)}; every call would be refused"
            )


OURS = frozenset({"agent_run", "read_result", "search_tools", "describe_tool", "call_tool"})
"""Tools of our own, which are there or not by what else is set up."""


def _reach(permission: Permission, meant: Sequence[Tool], tools: Sequence[Tool]) -> Iterator[Finding]:
    if meant or not tools or permission.tools in OURS:
        return
    if is_wild(permission.tools):
        yield Finding("warning", permission.id, "no-tools", f"{permission.tools} means none of the {len(tools)} tools")
    else:
        near = _near(permission.tools, [tool.name for tool in tools])
        yield Finding("error", permission.id, "unknown-tool", f"there is no tool {permission.tools}{near}")


def _fields(permission: Permission, meant: Sequence[Tool]) -> Iterator[Finding]:
    for condition in permission.conditions:
        if condition.root != "args":
            if condition.path.partition(".")[0] not in KNOWN[condition.root]:
                known = f"{condition.root} has {', '.join(sorted(KNOWN[condition.root]))}"
                yield Finding("error", permission.id, "unknown-field", f"{condition.field} is never there; {known}")
            continue
        yield from _argument(permission, condition, meant)
        yield from _pattern(permission, condition)


def _argument(permission: Permission, condition: Condition, meant: Sequence[Tool]) -> Iterator[Finding]:
    schemas = {tool.name: _at(tool.schema, condition.path) for tool in meant}
    without = [name for name, schema in schemas.items() if schema is None]
    spared = permission.effect == "deny" and _asks_first(permission, condition.path)  # calls without it, as is meant of some
    if without and condition.operator != "exists" and not (spared and len(without) < len(meant)):
        outcome = "denies every call" if permission.effect == "deny" and not spared else f"never {_verb(permission)} a call"
        level: Literal["warning", "error"] = "error" if len(without) == len(meant) else "warning"
        yield Finding(level, permission.id, "unknown-field", f"{_some(without)}: no argument {condition.path}, so the rule {outcome}")
    wrong = [name for name, schema in schemas.items() if schema and not _comparable(condition, schema)]
    if wrong:
        kind = TYPES.get(type(condition.value), "value")
        text = f"{condition.field} {condition.operator} {kind} can never be true for {_some(wrong)}"
        yield Finding("error", permission.id, "type", f"{text}: the argument has another type or other values")


def _asks_first(permission: Permission, path: str) -> bool:
    """Whether the rule concerns only calls that have the argument at `path`."""
    asked = (each.path for each in permission.conditions if each.operator == "exists" and each.value is not False and each.root == "args")
    return any(f"{path}.".startswith(f"{each}.") for each in asked)


def _pattern(permission: Permission, condition: Condition) -> Iterator[Finding]:
    if condition.operator != "matches":
        return
    if condition.value.startswith("^") or condition.value.endswith("$"):
        yield Finding("warning", permission.id, "pattern", f"{condition.field}: the whole text is always matched; ^ and $ do nothing")
    if condition.value.strip("^$()") in {".*", ".+", ""}:
        yield Finding("warning", permission.id, "pattern", f"{condition.field}: the pattern matches anything or nothing")


def _wide(permission: Permission, meant: Sequence[Tool], role: str) -> Iterator[Finding]:
    # The role admin is there to call everything; a word on it in each run would only be passed over.
    if role == "admin" or permission.effect == "deny" or permission.obligations or "call" not in permission.operations:
        return
    if not is_wild(permission.tools) or any(condition.root in ("args", "call") for condition in permission.conditions):
        return
    on_tool = [condition for condition in permission.conditions if condition.root == "tool"]
    destroying = [
        tool.name
        for tool in meant
        if tool.annotations.destructive and all(condition.check({"tool": tool_facts(tool)}) is True for condition in on_tool)
    ]
    if destroying:
        text = f"{permission.tools} lets {_some(destroying)} destroy, whatever the arguments"
        yield Finding("warning", permission.id, "wildcard", f"{text}; narrow it, or ask with obligations: [approve]")


def _shadowed(role: str, policy: Policy, tools: Sequence[Tool]) -> Iterator[Finding]:
    """Rules of `role` that another rule of it or its parents leaves nothing to decide."""
    had = policy.permissions((role,))
    for permission in policy.roles[role].permissions:
        for other in had.values():
            if other is not permission and not other.conditions and _covers(other, permission, tools) and _decides(other, permission):
                yield Finding("warning", permission.id, "shadowed", f"it never decides: {other.id} {_verb(other)} all that it means")
                break


def _covers(wide: Permission, narrow: Permission, tools: Sequence[Tool]) -> bool:
    if not set(narrow.operations) <= set(wide.operations):
        return False
    if wide.tools in ("*", narrow.tools):
        return True
    meant = [tool.name for tool in tools if matches(narrow.tools, tool.name)]
    return bool(meant) and all(matches(wide.tools, name) for name in meant)


def _decides(other: Permission, permission: Permission) -> bool:
    """Whether `other`, which has no conditions, decides wherever `permission` could."""
    if other.effect != permission.effect:
        return other.effect == "deny"
    same = not permission.conditions and other.operations == permission.operations and other.tools == permission.tools
    if same and other.obligations == permission.obligations:
        return other.id < permission.id  # of two that say the same, one is enough
    return other.effect == "deny" or len(other.obligations) <= len(permission.obligations)


def _tier(name: str, tier: Tier, tools: Sequence[Tool]) -> Iterator[Finding]:
    where = f"tier {name}"
    if all(limit is None for limit in tier.limits.model_dump().values()):
        yield Finding("warning", where, "no-limits", "nothing limits how often its users may call")
    if all(budget is None for budget in tier.budgets.model_dump().values()):
        yield Finding("warning", where, "no-budget", "nothing limits what its users may spend")
    for glob in tier.tools:
        if tools and not any(matches(glob, tool.name) for tool in tools):
            yield Finding("warning", where, "no-tools", f"{glob} means none of the {len(tools)} tools")


def _models(policy: Policy) -> Iterator[Finding]:
    """Rules of `models.yaml` that can never apply, or that no model can meet."""
    seen: set[str] = set()
    for rule in policy.models.rules:
        where = f"models.yaml {rule.id}"
        if rule.id in seen:
            yield Finding("warning", where, "twins", "another rule has the same id; refusals do not say which decided")
        seen.add(rule.id)
        for named, globs, known in (("role", rule.roles, policy.roles), ("tier", rule.tiers, policy.tiers)):
            for glob in globs:
                if not any(fnmatchcase(name, glob) for name in known):
                    yield Finding(
                        "error", where, f"unknown-{named}", f"no {named} is called {glob}, so it never applies{_near(glob, known)}"
                    )
        for glob in (*rule.models, *rule.deny):
            if "/" not in glob and "*" not in glob:
                yield Finding("error", where, "model", f"{glob} names no model: they are called provider/model")
        if set(rule.models) & set(rule.deny):
            yield Finding("warning", where, "contradiction", "what it allows it denies as well; the denial counts")


def _at(schema: Mapping[str, Any], path: str) -> Mapping[str, Any] | None:
    """The schema of the argument at `path`, {} where the schema leaves it open, None where there is no such argument."""
    node: Mapping[str, Any] = schema
    for part in path.split("."):
        properties = node.get("properties")
        if not isinstance(properties, Mapping):
            return {}
        if part not in properties:
            return None if node.get("additionalProperties") is False or node is schema else {}
        inner = properties[part]
        if not isinstance(inner, Mapping) or "$ref" in inner:
            return {}
        node = inner
    return node


def _comparable(condition: Condition, schema: Mapping[str, Any]) -> bool:
    """Whether some value that `schema` takes could make `condition` true; true where the schema does not say."""
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    if condition.operator in WANTED:
        return not types or bool(types & WANTED[condition.operator])
    values = condition.value if condition.operator == "in" else [condition.value]
    return condition.operator == "exists" or any(_taken(value, types, schema.get("enum")) for value in values)


def _taken(value: Any, types: set[str], enum: Any) -> bool:
    if isinstance(enum, list):
        return any(type(one) is type(value) and one == value for one in enum)
    return not types or TYPES[type(value)] in types or ("number" in types and is_number(value))


def _verb(permission: Permission) -> str:
    return "denies" if permission.effect == "deny" else "allows"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _near(name: str, known: Iterable[str]) -> str:
    like = get_close_matches(name, list(known), n=2)
    return f"; did you mean {' or '.join(like)}?" if like else ""
