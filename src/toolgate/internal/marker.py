"""Hidden marks in what we wrote, by which a second call knows what the first one did.

They are HTML comments: nobody sees them on a page, and they come back with every list. Where several stand in a text
the last one counts, since ours is put at its end.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

import orjson

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
ISSUE = re.compile(rf"<!-- toolgate:({NAME})/({NAME}) -->")


class Marker(NamedTuple):
    """Which item of which task list an issue is."""

    batch: str
    key: str

    def __str__(self) -> str:
        return f"<!-- toolgate:{self.batch}/{self.key} -->"


def marker_in(text: str | None) -> Marker | None:
    """The marker of an issue's text; None: create_issues did not make it."""
    found = ISSUE.findall(text or "")
    return Marker(*found[-1]) if found else None


def marked(text: str, marker: object) -> str:
    """`text` with `marker` as its last line."""
    return f"{text.rstrip()}\n\n{marker}".lstrip()


def kept(old: str | None, new: str) -> str:
    """`new`, with the marker that `old` has."""
    marker = marker_in(old)
    return new if marker is None or marker_in(new) == marker else marked(new, marker)


def named(kind: str, key: str) -> str:
    """The mark of a comment or a review."""
    return f"<!-- toolgate-{kind}:{key} -->"


def digest(*parts: object) -> str:
    """A key made from content: 16 hexadecimal characters."""
    return sha256(orjson.dumps(parts)).hexdigest()[:16]
