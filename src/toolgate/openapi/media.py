"""Media types, read by their names: what kind of content they announce, and JSON as we write it."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

import orjson

Kind = Literal["json", "lines", "form", "multipart", "text", "binary", "other"]

BINARY = ("image/", "audio/", "video/", "font/")
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
CHARSET = re.compile(r';\s*charset\s*=\s*"?([^\s";]+)', re.IGNORECASE)


def essence(media_type: str) -> str:
    """`media_type` without parameters, lower case."""
    return media_type.partition(";")[0].strip().lower()


def charset(media_type: str) -> str | None:
    """The `charset` parameter, as written."""
    match = CHARSET.search(media_type)
    return match[1] if match else None


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
    if name.startswith(BINARY) or name in {"application/octet-stream", "application/zip", "application/gzip", "application/pdf"}:
        return "binary"
    return "other"


def dumps(value: Any) -> bytes:
    """`value` as compact JSON in UTF-8.

    Raises:
        UnicodeEncodeError: a text holds a lone surrogate.
        ValueError: a number is not finite.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # integers past 64 bits, and what the lines below raise for
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
