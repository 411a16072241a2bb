"""Valid instances of a JSON Schema, two for each: the smallest, and one with every property.

Not Hypothesis: thousands of schemas are walked through the gate, one call or two each, and what is sent must be the same every time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

FORMATS = {
    "date-time": "2026-11-20T10:00:00Z",
    "date": "2026-11-20",
    "time": "10:00:00Z",
    "uri": "https://example.org/x",
    "url": "https://example.org/x",
    "uri-reference": "x/y",
    "email": "ada@example.org",
    "uuid": "8d1b2c44-9c7b-4f0e-8a55-0a3f2a6f3d11",
    "hostname": "example.org",
    "ipv4": "192.0.2.7",
    "ipv6": "2001:db8::7",
    "byte": "aGVsbG8=",
    "regex": "a+",
    "json-pointer": "/a",
    "repo.nwo": "acme/widgets",
}
MISSING = object()
DEPTH = 8


def example(schema: Any, *, full: bool, root: Mapping[str, Any] | None = None, depth: int = 0) -> Any:
    """An instance of `schema`: of its required parts, or of all of them where `full`."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return "x"
    schema = _whole(schema, root, depth)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        choices = [value for value in schema["enum"] if value is not None] or schema["enum"]
        return choices[-1 if full else 0]
    for combinator in ("oneOf", "anyOf"):
        if combinator in schema and "properties" not in schema:
            branch = next((one for one in schema[combinator] if one != {"type": "null"}), schema[combinator][0])
            rest = {key: value for key, value in schema.items() if key != combinator}
            return example(_merged(rest, _whole(branch, root, depth)), full=full, root=root, depth=depth + 1)
        if combinator in schema:  # such as {properties, anyOf: [{required: [a]}, {required: [b]}]}
            branch = _whole(schema[combinator][0], root, depth)
            rest = {key: value for key, value in schema.items() if key != combinator}
            # All of it might fit two branches, where `oneOf` wants one.
            return example(_merged(rest, branch), full=False, root=root, depth=depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema or "required" in schema else "array" if "items" in schema else "string"
    return MAKERS[kind](schema, full, root, depth)


def _object(schema: Mapping[str, Any], full: bool, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    wanted = [name for name in properties if name in required or (full and depth < DEPTH)]
    made = {name: example(properties[name], full=full, root=root, depth=depth + 1) for name in wanted}
    for name in required:
        if name not in made:
            made[name] = example(schema.get("additionalProperties", True), full=full, root=root, depth=depth + 1)
    n = 0
    while len(made) < schema.get("minProperties", 0):
        made[f"key{n}"] = example(schema.get("additionalProperties", True), full=False, root=root, depth=depth + 1)
        n += 1
    return made


def _array(schema: Mapping[str, Any], full: bool, root: Mapping[str, Any], depth: int) -> list[Any]:
    least = schema.get("minItems", 0)
    count = max(least, 1 if full and schema.get("maxItems", 1) and depth < DEPTH else 0)
    items = [example(schema.get("items", True), full=full, root=root, depth=depth + 1) for _ in range(count)]
    if schema.get("uniqueItems") and count > 1:
        choices = _whole(schema["items"], root, depth).get("enum")
        items = choices[:count] if choices else [f"{item}{n}" if isinstance(item, str) else item + n for n, item in enumerate(items)]
    return items


def _string(schema: Mapping[str, Any], full: bool, root: Mapping[str, Any], depth: int) -> str:
    if schema.get("contentEncoding") == "base64" or schema.get("format") == "binary":
        return "aGVsbG8="
    text = FORMATS.get(schema.get("format", ""))
    if "pattern" in schema and (text is None or not re.search(schema["pattern"], text)):
        text = _matching(schema["pattern"])
    text = "a b" if text is None and full else "x" if text is None else text
    if "pattern" not in schema and "format" not in schema:
        text = text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", 100)]
    return text


CANDIDATES = [
    *"""
x 1 a abc 12 123 1234 12345 2026 20260101 2026-11-20 11/20/2026 2026-11-20T10:00:00Z acme/widgets #abcdef abcdef aaaaaaaa A AB ABC USA DC
20405 AAAA 123456789 123456789012 a@b.co https://example.org refs/heads/main 0123456789ab Q1 FY2026 541511 ABCDEFGHIJKL
12.5 true ~ a_b a-b 1s 10 1000 [2026-01-01,2026-02-01] [01/01/2026,02/01/2026] 0000000000000000000000000000000000000000
en a.yml 0.1.0 00000000000000000000000000000000 labor_category:00 education_level:00
""".split(),
    "2026-11-20 10:00:00",
    "ssh-rsa AAAA",
    "sha256:" + 64 * "0",
]


def _matching(pattern: str) -> str:
    """Chosen and not found: to search for a text that matches takes ten seconds where Hypothesis has no cache yet."""
    found = next((text for text in CANDIDATES if re.search(pattern, text)), None)
    assert found is not None, f"no text in CANDIDATES matches {pattern}: add one"
    return found


def _number(schema: Mapping[str, Any], full: bool, root: Mapping[str, Any], depth: int) -> int:
    least = schema.get("minimum", schema.get("exclusiveMinimum", MISSING))
    most = schema.get("maximum", schema.get("exclusiveMaximum", MISSING))
    value = 3
    if least is not MISSING:
        value = max(value, int(least) + 1)
    if most is not MISSING and value > most:
        value = int(most) - (1 if "exclusiveMaximum" in schema else 0)
    step = schema.get("multipleOf")
    return value if not step else int(-(-value // step) * step)


MAKERS: Mapping[str, Callable[[Mapping[str, Any], bool, Mapping[str, Any], int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _number,
    "number": _number,
    "boolean": lambda schema, full, root, depth: full,
    "null": lambda schema, full, root, depth: None,
}


def _whole(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """`schema` with its reference followed and its `allOf` laid together."""
    if depth > 40:
        raise RecursionError("the schema's required parts never end")
    whole: dict[str, Any] = dict(schema) if isinstance(schema, Mapping) else {}
    while "$ref" in whole:
        target: Any = root
        for part in whole.pop("$ref").removeprefix("#").split("/")[1:]:
            target = target[part.replace("~1", "/").replace("~0", "~")]
        whole = _merged(dict(target), whole)
    for part in whole.pop("allOf", []):
        whole = _merged(whole, _whole(part, root, depth + 1))
    return whole


def _merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**left, **right}
    if "properties" in left and "properties" in right:
        merged["properties"] = {**left["properties"], **right["properties"]}
    if "required" in left and "required" in right:
        merged["required"] = [*left["required"], *(name for name in right["required"] if name not in left["required"])]
    if "enum" in left and "enum" in right:
        merged["enum"] = [value for value in left["enum"] if value in right["enum"]]
    return merged
