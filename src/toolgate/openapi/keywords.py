"""The keywords of a schema, one by one: which exist in 2020-12, what a valid value is, what the old dialects meant.

Everything not named here (`xml`, `externalDocs`, `x-…`, `$id`, `$comment`, misspellings) says nothing about what a
request may be, and is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import jsonschema_rs

from toolgate.openapi.prose import clean, sentence

Schema = dict[str, Any] | bool
Level = Literal["info", "warning", "error"]
Report = Callable[[Level, str, Any, str], None]
"""Level, code, place, sentence."""

MAX_EXAMPLE = 1000  # bytes, roughly; an example that is longer than that explains nothing to a model

REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
ONE = frozenset(
    {
        "items",
        "additionalItems",
        "additionalProperties",
        "unevaluatedItems",
        "unevaluatedProperties",
        "contains",
        "propertyNames",
        "not",
        "if",
        "then",
        "else",
        "contentSchema",
    }
)
"""Their value is a schema."""
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
MAPS = frozenset({"properties", "patternProperties", "dependentSchemas"})
IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""Their schemas apply to the same value."""
PARTS = ONE | LISTS | MAPS
"""What makes a schema more than one line."""
ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated", "writeOnly"})
"""They say something without restricting anything."""
TYPES = frozenset({"null", "boolean", "object", "array", "number", "string", "integer"})
MISTAKEN_TYPES: Mapping[str, tuple[str | None, str | None]] = {
    "file": ("string", "binary"),
    "binary": ("string", "binary"),
    "byte": ("string", "byte"),
    "date": ("string", "date"),
    "datetime": ("string", "date-time"),
    "date-time": ("string", "date-time"),
    "timestamp": ("string", None),
    "uuid": ("string", "uuid"),
    "uri": ("string", "uri"),
    "url": ("string", "uri"),
    "email": ("string", "email"),
    "str": ("string", None),
    "text": ("string", None),
    "char": ("string", None),
    "int": ("integer", None),
    "int32": ("integer", None),
    "int64": ("integer", None),
    "long": ("integer", None),
    "short": ("integer", None),
    "float": ("number", None),
    "double": ("number", None),
    "decimal": ("number", None),
    "bool": ("boolean", None),
    "list": ("array", None),
    "dict": ("object", None),
    "map": ("object", None),
    "hash": ("object", None),
    "any": (None, None),
}
"""Types that authors write and what they mean: a type and a format."""


def parts(key: str, value: Any, change: Callable[[Any], Any]) -> Any:
    """The value of a lifted keyword with each schema in it changed."""
    if key in MAPS or key == "$defs":
        return {name: change(item) for name, item in value.items()}
    if key in LISTS:
        return [change(item) for item in value]
    return change(value) if key in ONE else value


def finish(lifted: dict[str, Any], node: Mapping[str, Any], report: Report, at: Any) -> dict[str, Any]:
    """What needs several keywords at once, after each has been read."""
    if "patternProperties" in lifted:
        _drop_bad_patterns(lifted, report, at)
    _exclusive(lifted, node, report, at)
    _fitting_enum(lifted, report, at)
    if isinstance(node.get("discriminator"), Mapping | str):
        _discriminator(lifted, node["discriminator"])
    return nullable(lifted) if is_nullable(node) else lifted


def kinds(node: Any) -> set[str]:
    """The types of the values that a schema describes, as far as it tells; a mere condition, such as `required`, tells none."""
    if not isinstance(node, Mapping):
        return set()
    kind = node.get("type", "object" if "properties" in node else ())
    found = {kind} if isinstance(kind, str) else {each for each in kind if isinstance(each, str)} if isinstance(kind, Sequence) else set()
    return found | ({"integer"} if "number" in found else set()) | ({"null"} if is_nullable(node) else set())


def is_nullable(node: Mapping[str, Any]) -> bool:
    """By OpenAPI 3.0's keyword or by the extension that 2.0 files use for it; also in 3.1, where authors keep writing it."""
    return node.get("nullable") is True or node.get("x-nullable") is True


def nullable(lifted: dict[str, Any]) -> dict[str, Any]:
    """`lifted`, or null.

    OpenAPI 3.0.3 lets `nullable` work only beside a `type`, and an `enum` without null stand against it; authors mean
    null in both cases, and accepting it loses nothing.
    """
    simple = not any(key in lifted for key in (*IN_PLACE, "const", *REFERENCES))
    kind = lifted.get("type")
    if not simple:
        return or_null(lifted)
    if kind is not None:
        kinds = [kind] if isinstance(kind, str) else kind
        lifted["type"] = kinds if "null" in kinds else [*kinds, "null"]
    if "enum" in lifted and None not in lifted["enum"]:
        lifted["enum"] = [*lifted["enum"], None]
    return lifted


def or_null(lifted: dict[str, Any]) -> dict[str, Any]:
    """The choice between `lifted` and null, described as `lifted` was."""
    said = {key: lifted.pop(key) for key in ANNOTATIONS if key in lifted}
    return {**said, "anyOf": [lifted, {"type": "null"}]}


def required(value: Any, report: Report, at: Any) -> list[str]:
    """The names of an object's `required`. A boolean belongs to the property that carries it and is read there."""
    if value is None or isinstance(value, bool):
        return []
    if isinstance(value, str):
        report("info", "bad-keyword", at, "required must be a list; one name is read as a list of one")
        return [value]
    if not isinstance(value, list):
        report("warning", "bad-keyword", at, "required must be a list of names; it is left out")
        return []
    return list(dict.fromkeys(name for name in value if isinstance(name, str)))


def _drop_bad_patterns(lifted: dict[str, Any], report: Report, at: Any) -> None:
    """Leave out `patternProperties` whose pattern does not compile, and what would then refuse their properties."""
    entries = lifted["patternProperties"]
    bad = [pattern for pattern in entries if not compiles(pattern)]
    if bad:
        report("warning", "bad-pattern", at, "a pattern of patternProperties is no regular expression; it is left out")
        lifted["patternProperties"] = {pattern: item for pattern, item in entries.items() if pattern not in bad}
        lifted["additionalProperties"] = True


@lru_cache(maxsize=4096)
def compiles(pattern: str) -> bool:
    """Whether the engine that validates calls takes the pattern.

    Nothing is refused for being slow: jsonschema-rs matches in linear time, or, for look-around and back-references,
    with a limit on backtracking after which the value counts as not matching (measured: at most 0.06 s for 100,000
    characters and patterns made to explode).
    """
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True)
    except (jsonschema_rs.ValidationError, ValueError):
        return False
    return True


# One keyword each: (lifted, key, value, report, at)


def _text(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    if isinstance(value, str) and (text := clean(value)):
        lifted[key] = text


def _flag(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    if value is True:
        lifted[key] = True


def _any(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    lifted[key] = value


def _number(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    number = _as_number(value)
    if number is None or (key == "multipleOf" and number <= 0):
        report("warning", "bad-keyword", at, f"{key} must be a number; it is left out")
    else:
        lifted[key] = number


def _exclusive_number(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    if not isinstance(value, bool):  # OpenAPI 3.0's booleans are read in `finish`, beside their minimum or maximum
        _number(lifted, key, value, report, at)


def _count(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    number = _as_number(value)
    if number is None or not 0 <= number < 2**64 or number != int(number):
        report("warning", "bad-keyword", at, f"{key} must be a whole number from 0 on, in 64 bits; it is left out")
    else:
        lifted[key] = int(number)


def _type(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    kinds: list[str] = []
    for kind in value if isinstance(value, list) else [value]:
        name = kind.strip().lower() if isinstance(kind, str) else "null" if kind is None and isinstance(value, list) else ""
        if name in TYPES:
            kinds.append(name)
            continue
        meant, kind_format = MISTAKEN_TYPES.get(name, (None, None))
        if meant is None:
            if name != "any":
                report("warning", "unknown-type", at, f"the type {str(kind)[:40]} is none of JSON Schema's; every type is accepted")
            return
        if name != "file":
            report("info", "unknown-type", at, f"the type {name} is read as {meant}")
        kinds.append(meant)
        if kind_format:
            lifted.setdefault("format", kind_format)
    if kinds:
        unique = list(dict.fromkeys(kinds))
        lifted[key] = unique if len(unique) > 1 else unique[0]


def _enum(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    if isinstance(value, list) and value:
        lifted[key] = value
    elif isinstance(value, str | int | float):
        report("info", "bad-keyword", at, "enum must be a list; one value is read as a list of one")
        lifted[key] = [value]
    else:
        report("warning", "bad-keyword", at, "enum must be a non-empty list; it is left out")


def _pattern(lifted: dict[str, Any], key: str, value: Any, report: Report, at: Any) -> None:
    if not isinstance(value, str):
        report("warning", "bad-pattern", at, "pattern must be text; it is left out")
        return
    literal = re.fullmatch(r"/(\^.*\$)/([a-z]*)", value, re.DOTALL)
    if literal:  # JavaScript's literal with its slashes: as written it could match nothing
        report("info", "bad-pattern", at, "the slashes around the pattern are not part of it")
        value = f"(?i){literal[1]}" if "i" in literal[2] else literal[1]
    if not compiles(value):
        value = value.replace(r"\A", "^").replace(r"\Z", "$").replace(r"\z", "$").replace(r"\h", "[0-9a-fA-F]")  # Ruby's and Python's
    if compiles(value):
        lifted[key] = value
    else:
        report("warning", "bad-pattern", at, "the pattern is no regular expression of ECMA-262; it is left out")


def _format(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    if isinstance(value, str) and value:
        lifted[key] = value


def _example(lifted: dict[str, Any], _key: str, value: Any, _report: Report, _at: Any) -> None:
    _examples(lifted, "examples", [value], _report, _at)


def _examples(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    if isinstance(value, Mapping):  # OpenAPI's Example Objects where JSON Schema's list belongs
        value = [item["value"] for item in value.values() if isinstance(item, Mapping) and "value" in item]
    if isinstance(value, list):
        kept = [_seen(item) for item in value if item is not None and len(str(item)) <= MAX_EXAMPLE]
        if kept:
            lifted[key] = kept


def _dependencies(lifted: dict[str, Any], key: str, value: Any, _report: Report, _at: Any) -> None:
    if isinstance(value, Mapping):
        names = {name: list(dict.fromkeys(item)) for name, item in value.items() if _is_names(item)}
        if names:
            lifted["dependentRequired"] = {**lifted.get("dependentRequired", {}), **names}


VALUES: Mapping[str, Callable[[dict[str, Any], str, Any, Report, Any], None]] = {
    "type": _type,
    "format": _format,
    "enum": _enum,
    "const": _any,
    "default": _any,
    "pattern": _pattern,
    **dict.fromkeys(("multipleOf", "maximum", "minimum"), _number),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum"), _exclusive_number),
    **dict.fromkeys(
        ("maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains", "maxProperties", "minProperties"), _count
    ),
    **dict.fromkeys(("uniqueItems", "deprecated", "writeOnly"), _flag),
    **dict.fromkeys(("title", "description"), _text),
    **dict.fromkeys(("contentEncoding", "contentMediaType"), _format),
    "example": _example,
    "examples": _examples,
    "dependentRequired": _dependencies,
    "dependencies": _dependencies,
}
"""How each keyword is read whose value is data."""

CONSTRAINTS = (frozenset(VALUES) | ONE | LISTS | MAPS | {"required"}) - ANNOTATIONS - {"example"}


def _exclusive(lifted: dict[str, Any], node: Mapping[str, Any], report: Report, at: Any) -> None:
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if node.get(exclusive) is True:
            if bound in lifted:
                lifted[exclusive] = lifted.pop(bound)
            else:
                report("info", "bad-keyword", at, f"{exclusive} without {bound} excludes nothing; it is left out")


def _fitting_enum(lifted: dict[str, Any], report: Report, at: Any) -> None:
    """Values of an enum that YAML read as another type than the schema's, when else nothing could ever fit."""
    kind, values = lifted.get("type"), lifted.get("enum")
    if not isinstance(values, list) or kind not in ("string", "integer", "number"):
        return
    if kind == "string" and all(isinstance(value, bool | int | float) for value in values):
        lifted["enum"] = [str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    elif kind != "string" and all(isinstance(value, str) and _as_number(value) is not None for value in values):
        lifted["enum"] = [_as_number(value) for value in values]
    else:
        return
    report("info", "enum-types", at, f"the values of the enum are read as the type says, {kind}")


def _discriminator(lifted: dict[str, Any], discriminator: Mapping[str, Any] | str) -> None:
    """Say what the discriminator says, and let it choose: its alternatives often overlap, so no `oneOf`."""
    told = {"propertyName": discriminator} if isinstance(discriminator, str) else discriminator
    name, mapping = told.get("propertyName"), told.get("mapping")
    if not isinstance(name, str):
        return
    values = ", ".join(str(value) for value in mapping) if isinstance(mapping, Mapping) and mapping else ""
    said = f"{clean(name)} tells which alternative it is: {clean(values)}." if values else f"{clean(name)} tells which alternative it is."
    lifted["description"] = f"{sentence(lifted['description'])} {said}" if lifted.get("description") else said
    if "oneOf" in lifted and "anyOf" not in lifted:
        lifted["anyOf"] = lifted.pop("oneOf")


def _as_number(value: Any) -> int | float | None:
    """A finite number, also when it was written as text."""
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,30}(\.\d{1,30})?", value):
        value = float(value) if "." in value else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _seen(value: Any) -> Any:
    """An example as a model may see it."""
    return clean(value) if isinstance(value, str) else value


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
