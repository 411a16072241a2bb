"""Parameter Objects of all versions to `Parameter` values, defaults of style and explode filled in.

Parameters that are really a piece of the body (2.0's `in: body` and `in: formData`, also met in later versions by
mistake) are set aside for `content.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from toolgate.calls import UNSET
from toolgate.openapi.operation import Location, Parameter, Style
from toolgate.openapi.reading import Reading, text
from toolgate.openapi.style import is_token
from toolgate.pointer import join

# OpenAPI 3.2.0, "Style Values"; the first of a location is its default.
STYLES: Mapping[Location, tuple[Style, ...]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form", "cookie"),
    "querystring": ("form",),
}
PIECES_OF_BODY = ("body", "formData")
LOCATIONS = (*STYLES, *PIECES_OF_BODY)
EXPLODED = frozenset({"form", "cookie"})  # where `explode` is true unless said otherwise
# OpenAPI 2.0, "Parameter Object", collectionFormat. No version has a style for tabs; `tabDelimited` is ours.
COLLECTIONS: Mapping[str, Style] = {
    "csv": "form",
    "multi": "form",
    "ssv": "spaceDelimited",
    "tsv": "tabDelimited",
    "pipes": "pipeDelimited",
}
# OpenAPI 3, "Parameter Object": "If in is "header" and the name field is one of these, the definition SHALL be ignored".
IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
# What a parameter of 2.0 says of its value, being its own schema.
SCHEMA_KEYS = (
    *("type", "format", "items", "default", "enum", "multipleOf", "pattern", "uniqueItems", "x-nullable"),
    *("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "maxItems", "minItems"),
)
NAME_PATTERN = re.compile(r"\^?(?:[\w.-]+|\[\^/\]\+)(?:/(?:[\w.-]+|\[\^/\]\+|\.[*+]))+\$?")
"""`projects/[^/]+/topics/[^/]+`: the pattern of a resource's name (google.api.http), as protoc-gen-openapiv2 writes it."""


@dataclass
class Inputs:
    """What an operation takes, sorted by where it goes."""

    parameters: dict[tuple[str, str], Parameter] = field(default_factory=dict)
    """By location and name."""
    bodies: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    """`in: body`: the parameter and its pointer, by name."""
    form: dict[str, tuple[dict[str, Any], str]] = field(default_factory=dict)
    """`in: formData`, likewise."""

    def over(self, other: Inputs) -> Inputs:
        """These, before those of `other` that these do not replace: an operation's over its path's."""
        return Inputs(
            {**other.parameters, **self.parameters},
            {**({} if self.bodies else other.bodies), **self.bodies},
            {**other.form, **self.form},
        )


def inputs(reading: Reading, owner: dict[str, Any], pointer: str) -> Inputs:
    """The parameters of one path item or operation."""
    found = Inputs()
    declared = owner.get("parameters")
    if isinstance(declared, dict) and declared:
        reading.findings.warning("not-a-list", f"{pointer}/parameters", "`parameters` is a mapping; its values are taken")
        entries = [(node, join(pointer, "parameters", key)) for key, node in declared.items()]
    else:
        entries = [(node, f"{pointer}/parameters/{n}") for n, node in enumerate(reading.items(owner, "parameters", pointer))]
    for node, place in entries:
        item = reading.item(node, place, "the parameter")
        if item is not None:
            _sort(reading, found, *item)
    return found


def _sort(reading: Reading, found: Inputs, node: dict[str, Any], pointer: str) -> None:
    name = _name(node)
    if name is None or not isinstance(node.get("in"), str):
        reading.findings.warning("incomplete-parameter", pointer, "a parameter without `name` or `in` is passed over")
        return
    location = _location(reading, node["in"], name, pointer)
    if location == "header" and name.lower() in IGNORED_HEADERS:
        reading.findings.info("ignored-header", pointer, f"the header {name} is never a parameter; OpenAPI says to ignore it")
    elif location in ("header", "cookie") and not is_token(name):
        reading.findings.warning("illegal-name", pointer, f"no {location} can be called {name!r}; the parameter is passed over")
    elif location in PIECES_OF_BODY:
        _add(reading, found.bodies if location == "body" else found.form, name, (node, pointer), f"{location} {name}")
    elif location is not None:
        place = cast("Location", location)
        _add(reading, found.parameters, (place, name), _parameter(reading, node, pointer, name, place), f"{place} {name}")


def _add(reading: Reading, store: dict[Any, Any], key: Any, value: Any, label: str) -> None:
    if key in store:
        pointer = value.pointer if isinstance(value, Parameter) else value[1]
        reading.findings.warning("duplicate-parameter", pointer, f"the parameter {label} is declared twice; the first counts")
    else:
        store[key] = value


def _name(node: dict[str, Any]) -> str | None:
    name = node.get("name")
    return (str(name) or None) if isinstance(name, str | int | float) else None


def _location(reading: Reading, said: str, name: str, pointer: str) -> str | None:
    if said in LOCATIONS:
        return said
    location = {known.lower(): known for known in LOCATIONS}.get(said.strip().lower())
    if location is None:
        reading.findings.warning("unknown-location", pointer, f"the parameter {name} is in {said!r}, which is nowhere; it is passed over")
    else:
        reading.findings.info("unknown-location", pointer, f"`in: {said}` is read as {location}")
    return location


def _parameter(reading: Reading, node: dict[str, Any], pointer: str, name: str, location: Location) -> Parameter:
    content_type, schema, example = _value(reading, node, pointer, location)
    style, explode = _style(reading, node, pointer, location)
    required = reading.flag(node, "required", pointer)
    if location == "path" and not required:
        reading.findings.info("optional-path-parameter", pointer, f"the path parameter {name} is required, as every one is")
    return Parameter(
        name=name,
        location=location,
        schema=schema,
        pointer=pointer,
        required=required or location == "path",
        style=style,
        explode=explode,
        allow_reserved=reading.flag(node, "allowReserved", pointer),
        content_type=content_type,
        multi_segment=location == "path" and (reading.flag(node, "x-multi-segment", pointer) or _is_name(reading, schema)),
        description=text(node, "description"),
        deprecated=reading.flag(node, "deprecated", pointer),
        example=example,
    )


def _is_name(reading: Reading, schema: Any) -> bool:
    """Whether the value is the name of a resource, of several segments."""
    target = reading.resolver.peek(schema)
    pattern = target.get("pattern") if isinstance(target, dict) else None
    return isinstance(pattern, str) and NAME_PATTERN.fullmatch(pattern) is not None


def _value(reading: Reading, node: dict[str, Any], pointer: str, location: Location) -> tuple[str | None, Any, Any]:
    """Media type (when the value is serialised as one), schema and example."""
    example = example_of(reading, node)
    content = node.get("content")
    if isinstance(content, dict) and content and "schema" not in node:
        media_type = next(iter(content))
        if len(content) > 1:
            reading.findings.warning("several-media-types", f"{pointer}/content", f"a parameter has one media type; {media_type} is taken")
        place = join(pointer, "content", media_type)
        item = reading.item(content[media_type] or {}, place, "the parameter's media type")
        media, place = item or ({}, place)
        schema = schema_of(reading, media.get("schema", {}), join(place, "schema"))
        return media_type, schema, example_of(reading, media) if example is UNSET else example
    if location == "querystring":
        reading.findings.info("querystring-without-content", pointer, "a whole query string needs `content`; it is sent as a form")
        return "application/x-www-form-urlencoded", inline_schema(reading, node, pointer), example
    return None, inline_schema(reading, node, pointer), example


def inline_schema(reading: Reading, node: dict[str, Any], pointer: str) -> Any:
    """The schema of a parameter: its `schema` (3.x) or itself (2.0), whichever it has."""
    if "schema" in node:
        if reading.version == "2.0":
            reading.findings.info("schema-in-2.0", pointer, "a parameter of 2.0 has no `schema`; it is read as in 3.0")
        return schema_of(reading, node["schema"], f"{pointer}/schema")
    schema = {key: node[key] for key in SCHEMA_KEYS if key in node}
    if reading.version != "2.0":
        said = "its own keywords are taken as one" if schema else "any value is accepted"
        reading.findings.info("no-schema", pointer, f"the parameter has no `schema`; {said}")
    return schema


def schema_of(reading: Reading, schema: Any, pointer: str) -> Any:
    """`schema` when it is one, else (noted) one that takes everything."""
    if isinstance(schema, dict | bool):
        return schema
    if schema is not None:
        reading.findings.warning("not-a-schema", pointer, "a schema must be a mapping; any value is accepted")
    return {}


def _style(reading: Reading, node: dict[str, Any], pointer: str, location: Location) -> tuple[Style, bool]:
    if "style" not in node and ("collectionFormat" in node or reading.version == "2.0"):
        return collection_style(reading, node, pointer, location)
    allowed = STYLES[location]
    style = cast("Style", node.get("style", allowed[0]))
    if style not in allowed:
        reading.findings.warning("unknown-style", f"{pointer}/style", f"{style!r} is no style for {location}; {allowed[0]} is used")
        style = allowed[0]
    explode = reading.flag(node, "explode", pointer) if node.get("explode") is not None else style in EXPLODED
    return style, explode


def collection_style(reading: Reading, node: dict[str, Any], pointer: str, location: Location) -> tuple[Style, bool]:
    """The style and explode of 2.0's `collectionFormat`, which is csv when absent."""
    default = STYLES[location][0]
    wanted = node.get("collectionFormat", "csv")
    if node.get("type") != "array" or wanted == "csv":
        return default, node.get("type") != "array" and default in EXPLODED
    if isinstance(wanted, str) and wanted in COLLECTIONS and location == "query":
        return COLLECTIONS[wanted], wanted == "multi"
    reading.findings.warning("collection-format", pointer, f"collectionFormat {wanted!r} cannot be sent in {location}; commas are used")
    return default, False


def example_of(reading: Reading, node: dict[str, Any]) -> Any:
    """`example`, or the first of `examples` that has a value; UNSET when there is none."""
    for key in ("example", "x-example"):
        if key in node:
            return node[key]
    examples = node.get("examples")
    if isinstance(examples, dict):
        for item in examples.values():
            target = reading.resolver.peek(item)
            if isinstance(target, dict) and (value := target.get("value", target.get("dataValue", UNSET))) is not UNSET:
                return value
    return UNSET
