"""A plausible call of a tool, from its schema: what `tools show` prints to copy and change."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

import re2

from toolgate.calls import Tool
from toolgate.cli.arguments import DEPTH, branches, permitted, write_arguments

FORMATS: Mapping[str, str] = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com",
    "url": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
    "byte": "aGVsbG8=",
    "binary": "aGVsbG8=",
}

PLAUSIBLE = (
    "2026",
    "20001",
    "DC",
    "01/31/2026",
    "example",
    "EXAMPLE",
    "example.com",
    "example.yml",
    "name:value",
    "1.0.0",
    "aGVsbG8=",
    "0" * 32,
    "0" * 40,
    "sha256:" + "0" * 64,
)
"""Texts to try where a pattern is asked for, likelier ones first."""


def command_line(tool: Tool) -> str:
    """`toolgate tools call NAME key=value …`, with every required argument, quoted for a shell."""
    return " ".join(["toolgate", "tools", "call", tool.name, *map(shlex.quote, write_arguments(example(tool.schema), tool.schema))])


def example(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The required arguments with values that the schema names or that fit its types and bounds; a rare pattern may not be met."""
    value = _object(schema, schema, DEPTH)
    return value if isinstance(value, dict) else {}


def _example(name: str, schema: Any, root: Mapping[str, Any], depth: int) -> Any:
    for branch in branches(schema, root, first=True):
        for found in _named(branch):
            return found
    types = permitted(schema, root, first=True)
    if "string" in types:
        return _text(name, schema, root)
    if "integer" in types or "number" in types:
        return _number(schema, root, whole="integer" in types)
    if "boolean" in types:
        return True
    if "array" in types and depth > 0:
        return _array(name, schema, root, depth)
    if "object" in types and depth > 0:
        return _object(schema, root, depth)
    return None


def _named(schema: Mapping[str, Any]) -> list[Any]:
    """What the schema itself offers as a value, the best first."""
    single = [schema[keyword] for keyword in ("const", "example", "default") if schema.get(keyword) is not None]
    several = [schema[keyword][0] for keyword in ("examples", "enum") if isinstance(schema.get(keyword), list) and schema[keyword]]
    return [*single, *several]


def _text(name: str, schema: Any, root: Mapping[str, Any]) -> str:
    least, most, text = 0, None, name.upper()
    for branch in branches(schema, root, first=True):
        if "pattern" in branch:
            return next(filter(_matcher(branch["pattern"]), (text, *PLAUSIBLE)), text)
        text = FORMATS.get(branch.get("format", ""), text)
        least = max(least, branch.get("minLength", 0))
        most = branch.get("maxLength", most)
    return text.ljust(least, "X")[:most]


def _matcher(pattern: str) -> Callable[[str], object]:
    """Whether a text has `pattern` in it: by RE2, since patterns come from outside. What RE2 does not know, nothing matches."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options).search  # type: ignore[no-any-return]
    except re2.error:
        return lambda text: None


def _number(schema: Any, root: Mapping[str, Any], *, whole: bool) -> float:
    low: float | None = None
    high: float | None = None
    for branch in branches(schema, root, first=True):
        low = branch.get("minimum", branch["exclusiveMinimum"] + 1 if "exclusiveMinimum" in branch else low)
        high = branch.get("maximum", branch["exclusiveMaximum"] - 1 if "exclusiveMaximum" in branch else high)
    value = 1 if low is None else max(low, 1)
    value = value if high is None else min(value, high)
    return int(value) if whole else value


def _array(name: str, schema: Any, root: Mapping[str, Any], depth: int) -> list[Any]:
    count = max((branch.get("minItems", 1) for branch in branches(schema, root, first=True)), default=1)
    items: Any = next((branch["items"] for branch in branches(schema, root, first=True) if "items" in branch), {})
    return [_example(name.removesuffix("s"), items, root, depth - 1) for _ in range(max(count, 1))]


def _object(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    for branch in branches(schema, root, first=True):
        properties = {**branch.get("properties", {}), **properties}
        required.update(dict.fromkeys(branch.get("required", ())))
    return {name: _example(name, properties.get(name, {}), root, depth - 1) for name in required}
