"""One reading of a JSON body: whatever two parsers could read in two ways is refused before either sees it.

A key that stands twice, NaN, a lone surrogate, a byte order mark or an integer beyond 64 bits is read differently by
different parsers, so that a policy could judge one call and a tool run another (CVE-2026-27896). orjson refuses most
of it; the rest is asked of the standard library's hooks.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

from toolgate.documents import deeper_than

MAX_DEPTH = 64
MIN_INT, MAX_INT = -(2**63), 2**64 - 1


class Ambiguous(ValueError):
    """The body is not JSON, or not JSON that everybody reads alike; the message says why, without its content."""


def check(body: bytes) -> Any:
    """The value that everybody reads in `body`.

    Raises:
        Ambiguous: `body` must not be read.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Ambiguous(f"the body is not JSON: {error}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and deeper_than(value, MAX_DEPTH):
        raise Ambiguous(f"the body is nested deeper than {MAX_DEPTH} levels")
    # What is written as orjson writes it has each key once and each number as it was read: most clients send just that.
    if orjson.dumps(value) != body:
        json.loads(body, object_pairs_hook=_unique, parse_int=_int)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise Ambiguous("the body has a key twice in one object")
    return values


def _int(text: str) -> int:
    # 64 bits have at most 20 digits; reading a long one costs its length squared.
    if len(text) > 20 or not MIN_INT <= int(text) <= MAX_INT:
        raise Ambiguous("the body has an integer that does not fit in 64 bits")
    return 0
