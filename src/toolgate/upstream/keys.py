"""Names of arguments that some client refuses, with every other tool beside theirs, and what stands for them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from toolgate.errors import InvalidArguments
from toolgate.openapi import keywords

KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What Anthropic takes; for one tool with another name it refuses the whole request."""
ILLEGAL = re.compile(r"[^A-Za-z0-9_.-]+")
UNSURE = frozenset({"patternProperties", "propertyNames", "$ref", "$dynamicRef", "$recursiveRef", "dependencies"})
"""With these beside them nobody can tell by a schema alone what another name would mean."""


def renamed(schema: Mapping[str, Any]) -> tuple[dict[str, Any], Mapping[str, str]]:
    """`schema` of an object with names that every client takes, and what its server calls those that are new.

    Args:
        schema: a valid one, of arguments.
    """
    same = list(_of_the_same(schema))
    told = dict.fromkeys(name for each in same for name in each.get("properties", ()))
    wrong = [name for name in told if not KEY.fullmatch(name)]
    if not wrong or any(UNSURE & each.keys() for each in same):
        return dict(schema), {}
    names: dict[str, str] = {}
    for name in wrong:
        short = ILLEGAL.sub("_", name).strip("_")
        if not KEY.fullmatch(short) or short in told or short in names.values():
            short = f"{short[:55]}_{sha256(name.encode()).hexdigest()[:8]}"
        names[name] = short
    return _with(schema, names), {short: name for name, short in names.items()}


def meant(arguments: Mapping[str, Any], theirs: Mapping[str, str]) -> dict[str, Any]:
    """`arguments` by the server's names.

    Raises:
        InvalidArguments: one has the server's name already; policy has looked at the other.
    """
    if twice := [ours for ours, name in theirs.items() if name in arguments]:
        raise InvalidArguments(f"an argument is not called as the tool's schema has it; it is {twice[0]}")
    return {theirs.get(name, name): value for name, value in arguments.items()}


def _of_the_same(schema: Any) -> Iterator[Mapping[str, Any]]:
    """`schema` and those in it that apply to the same value."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for key in keywords.IN_PLACE & schema.keys():
        inner = schema[key]
        below = inner.values() if key in keywords.MAPS else inner if key in keywords.LISTS else (inner,)
        for each in below:
            yield from _of_the_same(each)


def _with(schema: Any, names: Mapping[str, str]) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    made = {key: keywords.parts(key, value, lambda each: _with(each, names)) for key, value in schema.items() if key in keywords.IN_PLACE}
    made = {**schema, **made}
    for key in {"properties", "dependentSchemas", "dependentRequired"} & made.keys():
        made[key] = {names.get(name, name): value for name, value in made[key].items()}
    if "required" in made:
        made["required"] = [names.get(name, name) for name in made["required"]]
    if "dependentRequired" in made:
        made["dependentRequired"] = {name: [names.get(each, each) for each in needed] for name, needed in made["dependentRequired"].items()}
    return made
