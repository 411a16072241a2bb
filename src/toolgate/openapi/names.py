"""What tools are called: `<prefix><operation>`, legal everywhere, the same whatever the order of the operations."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from itertools import takewhile

from toolgate.openapi.operation import Operation

LONGEST = 48
ILLEGAL = re.compile(r"[^A-Za-z0-9_-]+")
LEGAL = re.compile(r"[A-Za-z0-9_-]{1,48}")
HASH_DIGITS = (6, 12, 24)
"""Tried in turn; the second is needed only when an operation is called like another one's hashed name."""


def names(operations: Sequence[Operation], prefix: str) -> Mapping[str, str]:
    """The tool name of each operation, by its key (`GET /users`).

    Two operations of one name (in any case) *all* carry a hash of their key, as does whatever is too long, so that
    neither the order nor the arrival of a third one decides who keeps the short name.
    """
    shared = _shared_segments(operations)
    wanted = {operation.key: prefix + _operation_name(operation, shared) for operation in operations}
    found = dict(wanted)
    for digits in HASH_DIGITS:
        uses = Counter(name.lower() for name in found.values())
        clashing = [key for key, name in found.items() if len(name) > LONGEST or uses[name.lower()] > 1]
        if not clashing:
            break
        for key in clashing:
            found[key] = _hashed(wanted[key], key, digits)
    return found


def legal(text: str) -> str:
    """`text` with each run of illegal characters as one underscore, none at its ends."""
    return ILLEGAL.sub("_", text).strip("_")


def _hashed(name: str, key: str, digits: int) -> str:
    return f"{name[: LONGEST - digits - 1]}_{sha256(key.encode()).hexdigest()[:digits]}"


def _operation_name(operation: Operation, shared: int) -> str:
    override = operation.extensions.get("name")
    if isinstance(override, str) and legal(override):
        return legal(override)
    return legal(operation.operation_id or "") or _path_name(operation, shared)


def _path_name(operation: Operation, shared: int) -> str:
    """`get_rates_zip_by_year`: method, static segments, then the parameters that no segment names already."""
    segments = _segments(operation.path)[shared:]
    static = [legal(segment) for segment in segments if "{" not in segment]
    placeholders = [legal(name) for segment in segments for name in re.findall(r"\{([^{}]*)\}", segment)]
    words = [operation.method.lower(), *static]
    if asked := [name for name in placeholders if name not in static]:
        words += ["by", *asked]
    return "_".join(word for word in words if word)


def _shared_segments(operations: Sequence[Operation]) -> int:
    """How many static segments all paths begin with; at least one segment of each path stays."""
    paths = [_segments(operation.path)[:-1] for operation in operations]
    return len(list(takewhile(lambda column: "{" not in column[0] and len(set(column)) == 1, zip(*paths, strict=False))))


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("?")[0].split("/") if segment]
