"""Arguments to a request's body and its Content-Type."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any, NamedTuple

from toolgate.calls import UNSET
from toolgate.openapi import media, multipart, style
from toolgate.openapi.media import Unfit
from toolgate.openapi.multipart import Part
from toolgate.openapi.operation import BodyPlan, FieldPlan

ReadFile = Callable[[str], bytes]
"""Reads the file that an argument names, or raises InvalidArguments."""

ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {"base64": base64.b64encode, "base64url": base64.urlsafe_b64encode}
SPACE = re.compile(r"\s+")
DATA_URL = re.compile(r"data:(?P<type>[^;,]*)(?:;[^;,]*)*;base64,", re.IGNORECASE)


class Body(NamedTuple):
    media_type: str
    data: bytes


class File(NamedTuple):
    """A file as an argument gave it: base64 text, `{"base64": …}` or `{"path": …}`, with `filename` and `media_type` if known."""

    data: bytes
    filename: str | None
    media_type: str | None


def choose(bodies: Sequence[BodyPlan], wanted: Any) -> BodyPlan:
    """The body that `wanted` (a media type, or UNSET) asks for; the first by default.

    Raises:
        Unfit: none is of that media type.
    """
    if wanted is UNSET or wanted is None:
        return bodies[0]
    for body in bodies:
        if body.media_type == wanted:
            return body
    raise Unfit(f"it must be one of {', '.join(body.media_type for body in bodies)}")


def build(plan: BodyPlan, arguments: Mapping[str, Any], files: ReadFile | None) -> Body | None:
    """The body, or None when nothing was given and nothing is required.

    Raises:
        Unfit: a value cannot be sent that way.
    """
    value = _flat(plan, arguments) if plan.mode == "flat" else arguments.get(plan.argument or "", UNSET)
    if value is UNSET:
        if plan.required and plan.mode == "whole" and plan.argument is not None:
            raise Unfit(f"'{plan.argument}' is required")
        return None
    match media.kind(plan.media_type):
        case "form" if isinstance(value, dict):
            return Body(plan.media_type, _form(value, plan, files).encode())
        case "multipart":
            return _multipart(value, plan, files)
        case "lines" if isinstance(value, list) and not plan.binary:
            return Body(plan.media_type, b"".join(media.dumps(item) + b"\n" for item in value))
        case "json" if not plan.binary:
            return _json(value, plan, files)
        case kind if plan.binary or kind == "binary":
            file = read(value, files)
            encode = ENCODERS.get(plan.encoded)
            return Body(_concrete(plan.media_type, file.media_type), encode(file.data) if encode else file.data)
        case _:
            return _text(value, plan.media_type)


def read(value: Any, files: ReadFile | None) -> File:
    """The file that an argument gives.

    Raises:
        Unfit: it is neither base64 nor a path, or paths cannot be read for this caller.
    """
    if isinstance(value, str):
        return _decoded(value, None, None)
    if not _is_file(value):
        raise Unfit('a file is base64 text, {"base64": …} or {"path": …}')
    filename, media_type = value.get("filename"), value.get("media_type")
    if "base64" in value:
        return _decoded(str(value["base64"]), filename, media_type)
    if files is None:
        raise Unfit("files by path are read only for callers on this machine; send base64")
    path = str(value["path"])
    return File(files(path), filename or PurePath(path).name, media_type)


def _is_file(value: Any) -> bool:
    return (
        isinstance(value, dict) and ("base64" in value or "path" in value) and value.keys() <= {"base64", "path", "filename", "media_type"}
    )


def _decoded(text: str, filename: str | None, media_type: str | None) -> File:
    announced = DATA_URL.match(text)
    if announced:
        text, media_type = text[announced.end() :], media_type or announced["type"] or None
    text = SPACE.sub("", text).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return File(base64.b64decode(text + "=" * (-len(text) % 4), validate=True), filename, media_type)
    except (binascii.Error, ValueError):
        raise Unfit("it is not base64") from None


def _flat(plan: BodyPlan, arguments: Mapping[str, Any]) -> Any:
    value: dict[str, Any] = dict(plan.constants)
    for field in plan.fields:
        if field.argument is not None and field.argument in arguments:
            value[field.name] = arguments[field.argument]
    return value if value or plan.required else UNSET


def _json(value: Any, plan: BodyPlan, files: ReadFile | None) -> Body:
    if isinstance(value, dict):
        for field in plan.fields:
            if field.binary and field.name in value:
                with _blaming(field):
                    value = {**value, field.name: _base64(value[field.name], files)}
    return Body(_concrete(plan.media_type, "application/json"), media.dumps(value))


@contextmanager
def _blaming(field: FieldPlan) -> Iterator[None]:
    try:
        yield
    except Unfit as unfit:
        unfit.argument = field.argument
        raise


def _base64(value: Any, files: ReadFile | None) -> Any:
    if isinstance(value, list):
        return [_base64(item, files) for item in value]
    return base64.b64encode(read(value, files).data).decode() if _is_file(value) else value


def _text(value: Any, media_type: str) -> Body:
    text = style.spell(value)
    concrete = _concrete(media_type, "text/plain" if isinstance(value, str) else "application/json")
    if media.charset(concrete) is None and concrete.startswith("text/") and not text.isascii():
        concrete += "; charset=utf-8"  # RFC 9110 gives text no default
    return Body(concrete, _encoded(text, concrete))


def _encoded(text: str, media_type: str) -> bytes:
    """`text` in the charset that its media type names, else UTF-8; JSON is always UTF-8 (RFC 8259, 8.1)."""
    charset = None if media.kind(media_type) == "json" else media.charset(media_type)
    codec = media.codec(charset or "utf-8")
    if codec is None:
        raise Unfit(f"its media type names the unknown charset {charset}")
    return text.encode(codec)


def _concrete(media_type: str, otherwise: str | None) -> str:
    """What `media_type`, perhaps a range or a list, comes to for content of type `otherwise`: never a range."""
    options = [option.strip() for option in media_type.split(",")]
    if otherwise is not None:
        covering = next((option for option in options if _covers(option, otherwise)), None)
        if covering is not None:
            return otherwise if "*" in covering else covering
    return next((option for option in options if "*" not in option), "application/octet-stream")


def _covers(option: str, media_type: str) -> bool:
    name = media.essence(option)
    return name == "*/*" or name == media.essence(media_type) or (name.endswith("/*") and media_type.startswith(name[:-1]))


def _form(value: Mapping[str, Any], plan: BodyPlan, files: ReadFile | None) -> str:
    fields = {field.name: field for field in plan.fields}
    pieces = []
    for name, item in value.items():
        field = fields.get(name) or FieldPlan(name, None)
        with _blaming(field):
            pieces.append(_form_field(item, field, files))
    return "&".join(piece for piece in pieces if piece)


def _form_field(value: Any, field: FieldPlan, files: ReadFile | None) -> str:
    if field.style is not None:
        encode = style.IN_QUERY if field.allow_reserved else style.percent
        return style.in_query(encode(field.name), value, field.style, explode=field.explode, encode=encode)
    if field.binary:
        value = _base64(value, files)
    items = value if isinstance(value, list) else [value]
    texts = [style.spell(item) if field.content_type is None else style.content(field.content_type, item) for item in items]
    return "&".join(f"{style.urlencoded(field.name)}={style.urlencoded(text)}" for text in texts)


def _multipart(value: Any, plan: BodyPlan, files: ReadFile | None) -> Body:
    fields = {field.name: field for field in plan.fields}
    if isinstance(value, dict):
        parts: list[Part] = []
        for name, item in value.items():
            field = fields.get(name) or FieldPlan(name, None)
            with _blaming(field):
                parts += _parts(item, field, files)
    else:
        items = value if isinstance(value, list) else [value]
        parts = [_part(None, item, FieldPlan("", None, binary=_is_file(item)), files) for item in items]
    boundary, data = multipart.encode(parts)
    return Body(f"{plan.media_type}; boundary={boundary}", data)


def _parts(value: Any, field: FieldPlan, files: ReadFile | None) -> list[Part]:
    if field.style is not None and not field.binary:
        found = style.pairs(field.name, value, field.style, explode=field.explode, encode=style.verbatim)
        return [Part(item.encode(), key, headers=field.headers) for key, item in found]
    given = value if isinstance(value, list) else [value]
    return [_part(field.name, item, field, files) for item in given if item is not None or not field.binary]


def _part(name: str | None, value: Any, field: FieldPlan, files: ReadFile | None) -> Part:
    """One part. A text that announces no type goes without one, as browsers send it (RFC 7578, 4.4: text/plain)."""
    if field.binary:
        file = read(value, files)
        announced = _concrete(field.content_type or "*/*", file.media_type or "application/octet-stream")
        filename = file.filename or name
        return Part(file.data, name, filename, announced, field.headers)
    if field.content_type is None:
        return Part(style.spell(value).encode(), name, None, _default(value), field.headers)
    announced = _concrete(field.content_type, _default(value) or "text/plain")
    return Part(_encoded(style.content(announced, value), announced), name, None, announced, field.headers)


def _default(value: Any) -> str | None:
    return "application/json" if isinstance(value, (list, dict)) else None
