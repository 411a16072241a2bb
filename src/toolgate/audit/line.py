"""A value as one line of JSON that nothing in it can break, colour or turn around.

Control and format characters are written as JSON escapes, so the value reads back the same and the line is safe to
print, to grep and to ship.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

UNSAFE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)
"""DEL and C1, line and paragraph separators, bidirectional and invisible format characters, variation selectors and tags."""
DEPTH = 64  # levels of a value that are kept where JSON as it is will not do


def line(value: Any) -> str:
    """`value` as one line of JSON. What JSON cannot hold is replaced, never refused: an audit has to be written."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # a lone surrogate, a key that is no string, a number over 64 bits
        text = orjson.dumps(writable(value))
    return escaped(text)


def canonical(value: Any) -> bytes:
    """`value` as JSON with sorted keys: equal values have equal bytes, and so have a few others that JSON cannot hold as they are."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return orjson.dumps(writable(value), option=orjson.OPT_SORT_KEYS)


def whole(value: Any) -> bytes:
    """`value` as JSON, with what orjson has no form for: integers past 64 bits, half of a surrogate pair."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":")).encode()


def exact(value: Any) -> bytes:
    """JSON that is the same for the same value and for no other, whatever the value holds."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, sort_keys=True).encode()


def escaped(text: bytes) -> str:
    """JSON with unsafe characters as `\\uXXXX`; the value it holds stays the same."""
    if text.isascii() and 0x7F not in text:  # the number, since to look for `bytes` raises an error inside first
        return text.decode()
    return UNSAFE.sub(_escape, text.decode())


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def writable(value: Any, depth: int = DEPTH) -> Any:
    """`value` with what JSON in UTF-8 cannot hold replaced by a text."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value) if value.bit_length() < 4096 else "a very large number"
    if depth == 0:
        return "nested too deep"
    if isinstance(value, Mapping):
        return {writable(str(key)): writable(item, depth - 1) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [writable(item, depth - 1) for item in value]
    return orjson.Fragment(orjson.dumps(value)) if isinstance(value, orjson.Fragment) else f"a {type(value).__name__}"
