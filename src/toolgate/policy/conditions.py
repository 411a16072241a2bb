"""Conditions over a call, in three-valued logic.

A condition is True, False, or None: not known, because the field is missing, has a type that the operator does not
compare, or is an argument while only a list is being made. What None means is not decided here: an allow needs True,
a deny fires unless False (`decide`). So a caller can never get past a deny by sending a value of another type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import re2
from pydantic import field_validator, model_validator

from toolgate.calls import UNSET, Principal, Tool
from toolgate.settings import Strict

Truth = bool | None
Operator = Literal["equals", "contains", "matches", "in", "less_than", "greater_than", "exists"]

_QUIET = re2.Options()
_QUIET.log_errors = False  # a bad pattern is ours to report, not RE2's to print
_QUIET.never_nl = False


class Condition(Strict):
    """`field operator value`."""

    field: str
    """`args.NAME`, `principal.NAME`, `call.NAME` or `tool.NAME`; dots reach into objects."""
    operator: Operator
    value: Any = None

    @field_validator("field")
    @classmethod
    def _known_root(cls, field: str) -> str:
        root, _, rest = field.partition(".")
        if root not in {"args", "principal", "call", "tool"} or not rest:
            raise ValueError("must begin with args., principal., call. or tool.")
        return field

    @model_validator(mode="after")
    def _value_fits(self) -> Condition:
        if self.operator == "matches":
            if not isinstance(self.value, str):
                raise ValueError("matches needs a pattern")
            try:
                re2.compile(self.value, _QUIET)
            except re2.error as error:
                raise ValueError(f"RE2 does not take this pattern: {error}") from None
        if self.operator == "in" and not isinstance(self.value, list):
            raise ValueError("in needs a list")
        if self.operator in ("less_than", "greater_than") and not _is_number(self.value):
            raise ValueError(f"{self.operator} needs a number")
        return self


Facts = Mapping[str, Any]
"""By root: `principal`, `call`, `tool` and, unless a list is being made, `args`."""


def tool_facts(tool: Tool) -> Mapping[str, Any]:
    return {
        "name": tool.name,
        "integration": tool.integration,
        "tags": list(tool.tags),
        "read_only": tool.annotations.read_only,
        "destructive": tool.annotations.destructive,
        "idempotent": tool.annotations.idempotent,
        "open_world": tool.annotations.open_world,
    }


def principal_facts(principal: Principal) -> Mapping[str, Any]:
    return {
        "id": principal.id,
        "roles": list(principal.roles),
        "tier": principal.tier,
        "tenant": principal.tenant,
        "via": principal.via,
    }


def holds(conditions: Sequence[Condition], facts: Facts) -> Truth:
    """All of `conditions`, as Kleene's and: one False makes it False, else one None makes it None."""
    truth: Truth = True
    for condition in conditions:
        one = test(condition, facts)
        if one is False:
            return False
        if one is None:
            truth = None
    return truth


def test(condition: Condition, facts: Facts) -> Truth:
    """One condition."""
    root, _, path = condition.field.partition(".")
    if root not in facts:
        return None
    found = _reach(facts[root], path)
    if condition.operator == "exists":
        return (found is not UNSET) == (condition.value is not False)
    if found is UNSET:
        return None
    return OPERATORS[condition.operator](found, condition.value)


def _reach(value: Any, path: str) -> Any:
    # A key with a dot in it wins over the path it spells, since argument names may not hold dots but objects may.
    while path:
        if not isinstance(value, Mapping):
            return UNSET
        if path in value:
            return value[path]
        key, _, path = path.partition(".")
        if key not in value:
            return UNSET
        value = value[key]
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: of one type, where 1 and 1.0 are numbers that differ, and so are 1 and true."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _contains(found: Any, value: Any) -> Truth:
    if isinstance(found, str):
        return value in found if isinstance(value, str) else None
    if isinstance(found, list):
        return any(same(item, value) for item in found)
    return None


def _matches(found: Any, pattern: Any) -> Truth:
    return re2.fullmatch(pattern, found, _QUIET) is not None if isinstance(found, str) else None


OPERATORS: Mapping[str, Callable[[Any, Any], Truth]] = {
    "equals": same,
    "contains": _contains,
    "matches": _matches,
    "in": lambda found, values: any(same(found, value) for value in values),
    "less_than": lambda found, value: found < value if _is_number(found) else None,
    "greater_than": lambda found, value: found > value if _is_number(found) else None,
}
