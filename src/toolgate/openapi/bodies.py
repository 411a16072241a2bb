"""The ways to send a body: which are worth a choice, and what each asks for.

A body is *flat*, each property an argument of its own, only where nothing is lost: one way to send it, an object with
fixed properties, no alternatives, no conditions. Otherwise it is *whole*, one argument.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from toolgate.calls import UNSET
from toolgate.openapi import media
from toolgate.openapi.keywords import ANNOTATIONS, Schema, or_null
from toolgate.openapi.lift import Fragment, Lifter, Reference
from toolgate.openapi.operation import FieldPlan, MediaType, RequestBody, Style

MAX_FIELDS = 60
MAX_HOPS = 20  # references and `allOf`s to look through for an object's properties
RANK: Mapping[str, int] = {"json": 0, "multipart": 1, "form": 2, "lines": 3, "text": 4, "binary": 5, "other": 6}
FILE: dict[str, Any] = {
    "description": 'A file: base64 text, or {"path": …} for callers on this machine.',
    "anyOf": [
        {"type": "string", "contentEncoding": "base64"},
        {
            "type": "object",
            "properties": {
                "base64": {"type": "string"},
                "path": {"type": "string"},
                "filename": {"type": "string"},
                "media_type": {"type": "string"},
            },
            "anyOf": [{"required": ["base64"]}, {"required": ["path"]}],
            "additionalProperties": False,
        },
    ],
}
"""The forms that `body.read` takes."""
ENCODINGS = ("base64", "base64url")
BINARY_FORMATS = frozenset({"binary", "file"})


@dataclass(frozen=True, slots=True, eq=False)
class Way:
    """One way to send the body."""

    media_type: str
    kind: media.Kind
    fragment: Fragment
    binary: bool
    """The whole body is a file."""
    text: bool
    """The whole body is text, whatever the schema says of the document in it (XML)."""
    encoding: Mapping[str, Any]
    encoded: str = ""
    """As of `BodyPlan.encoded`."""

    @property
    def schema(self) -> Schema:
        """What the argument must be that gives the whole body."""
        if self.binary:
            return FILE
        schema = self.fragment.schema
        if self.text and not (isinstance(schema, dict) and schema.get("type") == "string"):
            return {"type": "string", "description": f"The {self.media_type} document, as text."}
        return schema


@dataclass(frozen=True, slots=True)
class Flat:
    """An object's properties, gathered from its references and the parts that it is all of."""

    properties: Mapping[str, Schema]
    required: tuple[str, ...]


def ways(body: RequestBody, lifter: Lifter) -> list[Way]:
    """The ways that differ in what they ask for, the best first: one that asks for the same as a better one is left out."""
    found = [_way(content, lifter) for content in body.content]
    if len(found) > 1:
        found.sort(key=lambda way: _rank(way, lifter))
    kept: dict[bytes, Way] = {}
    for way in found:
        meaning = _meaning(way, lifter)
        if meaning == b"file" and meaning in kept:  # one argument, and the file's own type says which of them it is
            way = replace(way, media_type=f"{kept[meaning].media_type}, {way.media_type}")
            kept[meaning] = way
        kept.setdefault(meaning, way)
    return list(kept.values())


def flattened(fragment: Fragment, lifter: Lifter) -> Flat | None:
    """The object's properties, or None when it says more than its properties do."""
    properties: dict[str, Schema] = {}
    required: dict[str, None] = {}
    pending: list[Any] = [fragment.schema]
    hops, closed, parts = 0, False, 0
    while pending:
        schema = pending.pop(0)
        hops += 1
        if not isinstance(schema, dict) or hops > MAX_HOPS:
            return None
        if isinstance(schema, Reference):
            target = lifter.target(schema.pointer)
            if target.cut:
                return None
            pending.append(target.schema)
        if not _plain(schema):
            return None
        closed |= schema.get("additionalProperties") is False
        parts += "properties" in schema
        for name, item in schema.get("properties", {}).items():
            properties[name] = item if name not in properties or properties[name] == item else {"allOf": [properties[name], item]}
        required |= dict.fromkeys(schema.get("required", ()))
        pending += schema.get("allOf", ())
    if (closed and parts > 1) or not (properties or closed) or len(properties) > MAX_FIELDS:
        return None
    for name in required:
        properties.setdefault(name, {})
    return Flat(properties, tuple(required))


def is_file(schema: Any, lifter: Lifter) -> bool:
    """Whether a property of a form is a file, or several."""
    for _ in range(MAX_HOPS):  # a list may be one of itself
        schema = resolved(schema, lifter)
        if not isinstance(schema, dict):
            return False
        if (other := _or_null(schema, lifter)) is not None:
            schema = other
            continue
        kinds = _types(schema)
        if "array" in kinds:
            schema = schema.get("items")
            continue
        if kinds and "string" not in kinds:
            return False
        content = schema.get("contentMediaType")
        named = isinstance(content, str) and "contentEncoding" not in schema and media.kind(content) == "binary"
        return named or schema.get("format") in BINARY_FORMATS
    return False


def as_file(schema: Any, lifter: Lifter) -> dict[str, Any]:
    """The schema of the argument that gives the file or files that `schema` means."""
    meant = resolved(schema, lifter)
    if (other := _or_null(meant, lifter)) is not None:
        return or_null(as_file({**resolved(other, lifter), **{key: meant[key] for key in ANNOTATIONS & meant.keys()}}, lifter))
    if "array" in _types(meant):
        return {**meant, "items": FILE}
    said = {key: schema[key] for key in ("description", "deprecated") if key in schema}
    description = f"{said['description']} {FILE['description']}" if "description" in said else FILE["description"]
    file = {**FILE, **said, "description": description}
    if "null" in _types(meant):
        file["anyOf"] = [*FILE["anyOf"], {"type": "null"}]
    return file


def _or_null(schema: Mapping[str, Any], lifter: Lifter) -> Any:
    """What a value is that may be null besides, where that is said by alternatives, as pydantic does; else None."""
    for key in ("anyOf", "oneOf"):
        options = schema.get(key, ())
        others = [option for option in options if resolved(option, lifter) != {"type": "null"}]
        if len(others) == 1 < len(options):
            return others[0]
    return None


def only_value(schema: Any) -> Any:
    """The one value that a schema leaves, or UNSET."""
    if not isinstance(schema, dict):
        return UNSET
    if "const" in schema:
        return schema["const"]
    values = schema.get("enum")
    return values[0] if isinstance(values, list) and len(values) == 1 else UNSET


def resolved(schema: Any, lifter: Lifter) -> Any:
    """A lifted schema without a reference at its top, as far as that is not a loop."""
    for _ in range(MAX_HOPS):
        if not isinstance(schema, Reference):
            return schema
        schema = lifter.target(schema.pointer).schema
    return {}


def field_plan(name: str, argument: str | None, way: Way, *, binary: bool) -> FieldPlan:
    """How a property goes onto the wire, by the Encoding Object that the description may have for it."""
    encoding = way.encoding.get(name)
    if way.kind not in ("form", "multipart"):
        return FieldPlan(name, argument)
    if not isinstance(encoding, dict):
        return FieldPlan(name, argument, binary=binary)
    plan = FieldPlan(name, argument, binary=binary, headers=_constant_headers(encoding))
    styled = any(key in encoding for key in ("style", "explode", "allowReserved"))
    if styled and not binary:
        style = encoding.get("style")
        known: Style = style if style in ("form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject") else "form"
        explode = encoding.get("explode")
        return replace(
            plan,
            style=known,
            explode=explode if isinstance(explode, bool) else known == "form",
            allow_reserved=encoding.get("allowReserved") is True,
        )
    content_type = encoding.get("contentType")
    return replace(plan, content_type=content_type) if isinstance(content_type, str) and content_type else plan


def whole_fields(way: Way, lifter: Lifter) -> tuple[FieldPlan, ...]:
    """The properties of a whole form that do not go onto the wire by OpenAPI's defaults."""
    if way.kind not in ("form", "multipart"):
        return ()
    known = _properties(way.fragment.schema, lifter).items()
    plans = [field_plan(name, None, way, binary=is_file(item, lifter)) for name, item in known]
    return tuple(plan for plan in plans if plan != FieldPlan(plan.name, None))


def _properties(schema: Any, lifter: Lifter) -> dict[str, Any]:
    """The properties that an object may have by any of its alternatives, each of which is looked at once."""
    found: dict[str, Any] = {}
    seen: set[str] = set()
    pending = [schema]
    while pending:
        schema = pending.pop()
        if isinstance(schema, Reference):
            if schema.pointer not in seen:
                seen.add(schema.pointer)
                pending.append(lifter.target(schema.pointer).schema)
        elif isinstance(schema, dict):
            found |= schema.get("properties", {})
            pending += reversed([item for key in ("allOf", "anyOf", "oneOf") for item in schema.get(key, ())])
    return found


def _way(content: MediaType, lifter: Lifter) -> Way:
    fragment = lifter.lift(content.schema, content.pointer)
    kind = media.kind(content.media_type)
    vague = media.essence(content.media_type) != "application/json" and kind in ("json", "other")
    binary = kind == "binary" or (vague and is_file(fragment.schema, lifter))
    text = not binary and (kind in ("text", "other") or (kind == "lines" and _is_text(fragment, lifter)))
    if kind == "lines" and not text and _type(fragment, lifter) == "object":
        fragment = replace(fragment, schema={"type": "array", "items": fragment.schema})
    return Way(content.media_type, kind, fragment, binary, text, content.encoding, _encoded(fragment, lifter) if binary else "")


def _encoded(fragment: Fragment, lifter: Lifter) -> str:
    """OpenAPI 3.1, 4.8.14.4: of an image whose schema has `contentEncoding: base64` the text is sent, under the image's own type."""
    schema = resolved(fragment.schema, lifter)
    said = schema.get("contentEncoding") if isinstance(schema, dict) else None
    return said if said in ENCODINGS else ""


def _type(fragment: Fragment, lifter: Lifter) -> Any:
    schema = resolved(fragment.schema, lifter)
    return schema.get("type") if isinstance(schema, dict) else None


def _is_text(fragment: Fragment, lifter: Lifter) -> bool:
    """A string, or whatever it likes."""
    return _type(fragment, lifter) == "string" or resolved(fragment.schema, lifter) in ({}, True)


def _rank(way: Way, lifter: Lifter) -> tuple[bool, int, bool, bool, bool]:
    """`application/json` before what only resembles it, ranges last; forms before JSON, which carries no files."""
    name = media.essence(way.media_type)
    files = way.kind == "json" and any(is_file(item, lifter) for item in _properties(way.fragment.schema, lifter).values())
    # Kubernetes describes all its patches as objects; a JSON Patch is a list (RFC 6902, 3).
    misfit = name == "application/json-patch+json" and _type(way.fragment, lifter) != "array"
    return files, RANK[way.kind], "*" in way.media_type, name != "application/json", misfit


def _meaning(way: Way, lifter: Lifter) -> bytes:
    """Equal for two ways that ask for the same: files, texts, or values of one schema."""
    if (way.binary or way.text) and not way.encoded and _is_text(way.fragment, lifter):
        return b"file" if way.binary else b"text"
    schema = resolved(way.fragment.schema, lifter)
    return orjson.dumps(schema, default=_spelled, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS)


def _spelled(value: Any) -> Any:
    return {**value, "$ref": value.pointer} if isinstance(value, Reference) else str(value)


def _plain(schema: dict[str, Any]) -> bool:
    further = schema.get("additionalProperties", False)
    kind = schema.get("type", "object")
    return kind == "object" and further is False and not (schema.keys() - PLAIN)


PLAIN = (ANNOTATIONS - {"default"}) | {"type", "properties", "required", "additionalProperties", "allOf"}


def _types(schema: Mapping[str, Any]) -> Sequence[str]:
    kinds = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else kinds


def _constant_headers(encoding: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Headers of a part whose schema leaves one value; nobody could give the others."""
    headers = encoding.get("headers")
    said = {name: header for name, header in headers.items() if isinstance(header, dict)} if isinstance(headers, dict) else {}
    values = {name: only_value(header.get("schema")) for name, header in said.items() if name.lower() != "content-type"}
    return tuple((name, value) for name, value in values.items() if isinstance(value, str))
