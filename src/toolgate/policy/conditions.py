"""Conditions over a call, in three-valued logic.

A condition is True, False, or None: not known, because the field is missing, is there twice, has a type that the operator
does not compare, or is an argument while only a list is being made. What None means is not decided here: an allow needs True,
a deny fires unless False (`decide`). So a caller can never get past a deny by sending a value of another type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Literal

import re2
from pydantic import field_validator, model_validator

from toolgate.calls import UNSET, Principal, Tool
from toolgate.settings import Strict

Truth = bool | None
Operator = Literal["equals", "contains", "matches", "in", "less_than", "greater_than", "exists"]
Facts = Mapping[str, Any]
"""By root: `principal`, `call`, `tool` and, unless a list is being made, `args`."""
Check = Callable[[Facts], Truth]

_QUIET = re2.Options()
_QUIET.log_errors = False  # a bad pattern is ours to report, not RE2's to print
_ACROSS = re2.Options()
_ACROSS.log_errors = False
_ACROSS.dot_nl = True


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
        if self.operator in ("less_than", "greater_than") and not is_number(self.value):
            raise ValueError(f"{self.operator} needs a number")
        return self

    @property
    def root(self) -> str:
        return self.field.partition(".")[0]

    @property
    def path(self) -> str:
        return self.field.partition(".")[2]

    @cached_property
    def check(self) -> Check:
        """This condition as a function of the facts."""
        root, path, verdict = self.root, self.path, OPERATORS[self.operator](self.value)
        missing = verdict(UNSET) if self.operator == "exists" else None

        def check(facts: Facts) -> Truth:
            if root not in facts:
                return None
            value = facts[root]
            return verdict(value[path]) if path in value else missing

        def reaching(facts: Facts) -> Truth:
            found = reach(facts[root], path) if root in facts else None
            if found is None or len(found) > 1:
                return None
            return verdict(found[0]) if found else missing

        return reaching if "." in path else check


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


@lru_cache(maxsize=4096)
def principal_facts(principal: Principal) -> Mapping[str, Any]:
    """What rules may ask about the caller. Its scopes are not among it: a scope must never grant."""
    return {
        "id": principal.id,
        "roles": list(principal.roles),
        "tier": principal.tier,
        "tenant": principal.tenant,
        "via": principal.via,
        "credential": principal.credential,
        "acting_for": list(principal.acting_for),
    }


def holds(checks: Iterable[Check], facts: Facts) -> Truth:
    """All of `checks`, as Kleene's and: one False makes it False, else one None makes it None."""
    truth: Truth = True
    for check in checks:
        one = check(facts)
        if one is False:
            return False
        if one is None:
            truth = None
    return truth


def reach(value: Any, path: str) -> list[Any]:
    """All that is at `path` in `value`: more than one thing where names of members have dots, as those of arguments seldom do.

    Of several nobody knows which one the tool will read, and a caller may have added the other.
    """
    if type(value) is not dict and not isinstance(value, Mapping):  # to ask for the class first takes a tenth of the time
        return []
    found = [value[path]] if path in value else []
    dot = path.find(".")
    while dot >= 0:
        if (key := path[:dot]) in value:
            found += reach(value[key], path[dot + 1 :])
        dot = path.find(".", dot + 1)
    return found


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON: of one type, where 1 and 1.0 are one number, and 1 and true are not the same.

    To a schema 1.0 is an integer (JSON Schema 2020-12, 4.2.2 and 6.1.1), so it must not get past a rule that forbids 1.
    """
    if type(left) is not type(right):
        return is_number(left) and is_number(right) and left == right
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


def _contains(value: Any) -> Callable[[Any], Truth]:
    def verdict(found: Any) -> Truth:
        if isinstance(found, str):
            return value in found if isinstance(value, str) else None
        if isinstance(found, list):
            return any(same(item, value) for item in found)
        return None

    return verdict


def _matches(value: Any) -> Callable[[Any], Truth]:
    """Not known of a text that matches only if a dot is a line feed too: neither gets it past `.*rm.*`, nor a second line past `ls .*`."""
    pattern, across = re2.compile(value, _QUIET), re2.compile(value, _ACROSS)

    def verdict(found: Any) -> Truth:
        if not isinstance(found, str):
            return None
        try:
            if pattern.fullmatch(found) is not None:
                return True
            return None if "\n" in found and across.fullmatch(found) is not None else False
        except UnicodeEncodeError:  # half a surrogate pair is no text
            return None

    return verdict


OPERATORS: Mapping[str, Callable[[Any], Callable[[Any], Truth]]] = {
    "exists": lambda value: lambda found: (found is not UNSET) == (value is not False),
    "equals": lambda value: lambda found: same(found, value),
    "contains": _contains,
    "matches": _matches,
    "in": lambda values: lambda found: any(same(found, value) for value in values),
    "less_than": lambda value: lambda found: found < value if is_number(found) else None,
    "greater_than": lambda value: lambda found: found > value if is_number(found) else None,
}
"""By operator: from what the rule's author wrote to a function of what was found."""
