"""Instances of JSON Schemas, for Hypothesis: those that the schemas of tools are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from toolgate.llm.shape import plain, types_of

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)
FORMATS = {
    "date-time": st.just("2026-11-27T02:00:00Z"),
    "date": st.just("2026-11-27"),
    "uri": st.just("https://example.com/"),
    "email": st.just("ada@example.com"),
    "uuid": st.just("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    "ipv4": st.just("192.0.2.1"),
    "ipv6": st.just("2001:db8::1"),
}


def instances(schema: Any, whole: Mapping[str, Any] | None = None, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values of `schema`; what it asserts beyond what is read here has to be filtered."""
    whole = schema if whole is None else whole
    if not isinstance(schema, Mapping) or not schema or depth > 8:
        return ANYTHING
    node = plain(schema, whole)
    if "const" in node:
        return st.just(node["const"])
    if "enum" in node:
        return st.sampled_from(node["enum"])
    if (branches := node.get("anyOf") or node.get("oneOf")) and "properties" not in node:
        return st.one_of([instances(branch, whole, depth + 1) for branch in branches])
    return st.one_of([_typed(each, node, whole, depth) for each in types_of(node)])


def _typed(name: str, node: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> st.SearchStrategy[Any]:
    match name:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer" | "number":
            return _numbers(name, node)
        case "string":
            return _strings(node)
        case "array":
            least = node.get("minItems", 0)
            return st.lists(instances(node.get("items", {}), whole, depth + 1), min_size=least, max_size=node.get("maxItems", least + 2))
    properties, required = node.get("properties", {}), node.get("required", [])
    return st.fixed_dictionaries(
        {name: instances(properties.get(name, {}), whole, depth + 1) for name in required},
        optional={name: instances(inner, whole, depth + 1) for name, inner in properties.items() if name not in required},
    )


def _numbers(name: str, node: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    low = node.get("minimum", node.get("exclusiveMinimum", -10))
    low = low + 1 if "exclusiveMinimum" in node else low
    high = max(low, node.get("maximum", node.get("exclusiveMaximum", low + 100)) - ("exclusiveMaximum" in node))
    step = node.get("multipleOf", 1)
    whole = st.integers(-(-low // step), int(high // step)).map(lambda each: each * step)
    return whole if name == "integer" else whole | st.floats(low, high, allow_nan=False).filter(lambda each: "multipleOf" not in node)


def _strings(node: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "pattern" in node:
        return st.from_regex(node["pattern"])
    if node.get("format") in FORMATS:
        return FORMATS[node["format"]]
    least = node.get("minLength", 0)
    return st.text("abc é", min_size=least, max_size=node.get("maxLength", least + 5))
