"""Reading JSON Schema as far as plain sight goes: which types, which properties, null or not. And what a model meant by its nulls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolgate.pointer import referred

Schema = Mapping[str, Any]

TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
ANNOTATIONS = frozenset("title $comment deprecated readOnly writeOnly $schema $id id $defs definitions nullable".split())
"""They say nothing to a model."""
TOLD = frozenset("default examples example contentEncoding contentMediaType".split())
"""They assert nothing, and a model may want to read them."""
NAMED = frozenset({"properties", "$defs", "definitions", "patternProperties"})
"""Keywords that hold schemas by name."""
VALUES = frozenset({"default", "enum", "const", "examples", "example"})
"""Keywords that hold values, which only look like schemas."""


def modern(schema: Any) -> Any:
    """`schema`, with exclusive bounds and tuples of older drafts as those of 2020-12: providers refuse a whole request for one of them."""
    if isinstance(schema, list):
        return [modern(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {
        key: {name: modern(each) for name, each in value.items()} if key in NAMED and isinstance(value, Mapping) else modern(value)
        for key, value in schema.items()
        if key not in VALUES
    }
    made |= {key: schema[key] for key in VALUES & schema.keys()}
    if isinstance(made.get("items"), list):
        made["prefixItems"], made["items"] = made["items"] or [{}], made.pop("additionalItems", {})
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(made.get(exclusive), bool) and made.pop(exclusive) and bound in made:
            made[exclusive] = made.pop(bound)
    return made


def branches(node: Schema) -> list[Any]:
    """The alternatives that `node` offers, without properties of its own."""
    found = node.get("anyOf") or node.get("oneOf")
    return found if isinstance(found, list) and "properties" not in node else []


DEEP = 64
"""Schemas within each other that are followed."""


class Patience:
    """So many looks at schemas, over all branches: a schema may be written to have more of them than anybody can follow."""

    def __init__(self, looks: int = 20_000) -> None:
        self._left = looks

    def ends(self, depth: int) -> bool:
        self._left -= 1
        return self._left < 0 or depth > DEEP


def restored(value: Any, schema: Any, whole: Schema, patience: Patience | None = None, depth: int = 0) -> Any:
    """`value` of `schema`, without nulls of properties that may be left out and may not be null."""
    patience = patience or Patience()
    if not isinstance(schema, Mapping) or not isinstance(value, dict | list) or patience.ends(depth):
        return value
    node = plain(schema, whole)
    if offered := branches(node):
        fitting = next((branch for branch in offered if shaped(value, branch, whole, patience)), None)
        return value if fitting is None else restored(value, fitting, whole, patience, depth + 1)
    if isinstance(value, list):
        return [restored(item, node.get("items"), whole, patience, depth + 1) for item in value]
    properties, required = mapping(node.get("properties")), set(names(node.get("required")))
    kept: dict[str, Any] = {}
    for name, inner in value.items():
        told = properties.get(name)
        if inner is None and told is not None and name not in required and not null_means(told, whole, patience):
            continue
        kept[name] = restored(inner, told, whole, patience, depth + 1)
    return kept


def shaped(value: Any, schema: Any, whole: Schema, patience: Patience, depth: int = 0) -> bool:
    """Whether `value` can be of `schema`, as far as types, properties and enumerations say; yes when patience ends."""
    if not isinstance(schema, Mapping) or patience.ends(depth):
        return True
    node = plain(schema, whole)
    if offered := branches(node):
        return any(shaped(value, branch, whole, patience, depth + 1) for branch in offered)
    found, types = type_of(value), types_of(node)
    if found not in types and not (found == "integer" and "number" in types):
        return False
    allowed = values_of(node)
    if allowed is not None and not any(same(value, each) for each in allowed):
        return False
    if isinstance(value, list):
        return all(shaped(item, node.get("items"), whole, patience, depth + 1) for item in value)
    if isinstance(value, dict):
        properties, required = mapping(node.get("properties")), set(names(node.get("required")))
        if required - value.keys() or (properties and value.keys() - properties.keys() and not node.get("additionalProperties")):
            return False
        return all(
            (inner is None and name not in required) or shaped(inner, properties.get(name), whole, patience, depth + 1)
            for name, inner in value.items()
        )
    return True


def plain(schema: Schema, whole: Schema) -> Schema:
    """`schema` with its reference put in place, and without an `allOf` of one."""
    for _ in range(32):
        if isinstance(ref := schema.get("$ref"), str):
            target = mapping(referred(whole, ref))
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        elif isinstance(several := schema.get("allOf"), list) and len(several) == 1 and isinstance(several[0], Mapping):
            own = {key: value for key, value in schema.items() if key != "allOf"}
            if any(key in several[0] and key not in ANNOTATIONS | TOLD | {"description", "type"} for key in own):
                return schema
            schema = {**several[0], **own}
        else:
            return schema
    return {}


def null_means(schema: Any, whole: Schema, patience: Patience) -> bool:
    """Whether null is something else than absence: it may be there, and is not what absence stands for."""
    node = plain(schema, whole) if isinstance(schema, Mapping) else {}
    return shaped(None, schema, whole, patience) and ("default" not in node or node["default"] is not None)


def apart(one: Schema, other: Schema) -> bool:
    """Whether no value fits both, as far as that is plain to see."""
    ours, theirs = set(types_of(one)), set(types_of(other))
    for types in (ours, theirs):
        if "number" in types:
            types.add("integer")
    if not ours & theirs:
        return True
    if ours & theirs != {"object"}:
        return _differ(values_of(one), values_of(other))
    mine, yours = mapping(one.get("properties")), mapping(other.get("properties"))
    both = set(names(one.get("required"))) & set(names(other.get("required")))
    return any(_differ(values_of(mine.get(name)), values_of(yours.get(name))) for name in both)


def _differ(some: list[Any] | None, others: list[Any] | None) -> bool:
    return some is not None and others is not None and not any(same(a, b) for a in some for b in others)


def values_of(schema: Any) -> list[Any] | None:
    if not isinstance(schema, Mapping):
        return None
    return [schema["const"]] if "const" in schema else schema["enum"] if isinstance(schema.get("enum"), list) else None


def types_of(node: Schema) -> list[str]:
    """The types that `node` allows; all of them where it does not say."""
    told = node.get("type")
    if isinstance(told, str):
        return [told]
    if isinstance(told, list):
        return [each for each in told if isinstance(each, str)]
    if found := values_of(node):
        return list(dict.fromkeys(type_of(value) for value in found))
    if "properties" in node:
        return ["object"]
    if "items" in node:
        return ["array"]
    return list(TYPES)


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}.get(type(value), "object")


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def names(value: Any) -> list[str]:
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | tuple) else []
