"""Media types, read by their names: what kind of content they announce, and JSON as we write it."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Literal

import orjson

from toolgate.documents import deeper_than

Kind = Literal["json", "lines", "form", "multipart", "text", "binary", "other"]

BINARY = ("image/", "audio/", "video/", "font/", "application/vnd.openxmlformats-officedocument.")
BYTES = frozenset(
    {
        f"application/{name}"
        for name in (
            *("cbor", "gzip", "java-archive", "msgpack", "msword", "octet-stream", "pdf", "protobuf", "vnd.google.protobuf"),
            *("vnd.msgpack", "vnd.rar", "wasm", "x-7z-compressed", "x-bzip2", "x-gzip", "x-msgpack", "x-protobuf", "x-tar"),
            *("x-zip-compressed", "zip", "zstd"),
        )
    }
)
TEXT = frozenset(
    {
        "application/javascript",
        "application/sql",
        "application/graphql",
        "application/toml",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/jwt",
        "image/svg+xml",
    }
)
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines", "application/jsonlines"})
CHARSETS = re.compile(
    r"utf-?8|utf-?(16|32)([-_]?[bl]e)?|(us-)?ascii|latin-?1|(iso-?8859|windows|koi8|cp)[-_]?\w{1,6}|gb(k|2312|18030)|big5|shift[-_]?jis|euc[-_]?\w\w",
    re.IGNORECASE,
)
"""Those of Python's that texts are sent in; others, such as punycode, take quadratic time or mean something else."""
MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]+)', re.IGNORECASE)


class Unfit(ValueError):
    """A value has no spelling in its place. Says why, without the value."""

    argument: str | None = None
    """The argument that gave it, where it is one of many that make a body."""


def essence(media_type: str) -> str:
    """`media_type` without parameters, lower case."""
    return media_type.partition(";")[0].strip().lower()


def charset(media_type: str) -> str | None:
    """The `charset` parameter, as written."""
    match = CHARSET.search(media_type)
    return match[1] if match else None


def codec(name: str) -> str | None:
    """Python's name for a charset; None when it is not one for texts."""
    if not CHARSETS.fullmatch(name):
        return None
    try:
        return codecs.lookup(name).name
    except LookupError:
        return None


def decode(data: bytes, media_type: str) -> str:
    """Text in the charset its byte order mark or its media type names, else UTF-8, else what browsers assume."""
    for mark, name in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    try:
        return data.decode(codec(charset(media_type) or "utf-8") or "utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace")


def kind(media_type: str) -> Kind:
    """What sort of content `media_type` announces; ranges over everything are JSON, which most APIs speak."""
    name = essence(media_type)
    if name.endswith(("/json", "+json")) or name in {"*/*", "application/*"}:
        return "json"
    if name == "application/x-www-form-urlencoded":
        return "form"
    if name.startswith("multipart/"):
        return "multipart"
    if name in LINES:
        return "lines"
    if name.startswith("text/") or name in TEXT or name.endswith(("+xml", "+yaml")):
        return "text"
    if name.startswith(BINARY) or name in BYTES or name.endswith(("+zip", "+gzip", "+cbor")):  # RFC 6839, RFC 8949
        return "binary"
    return "other"


LEVELS = 254
"""That orjson writes."""


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
        Unfit: it is nested too deep.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # integers past 64 bits, more than 254 levels, and what the lines below raise for
        if deeper_than(value, LEVELS):
            raise Unfit("it is nested too deep") from None
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError:
        raise Unfit("it is nested too deep") from None
