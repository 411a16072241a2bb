"""The beginning of an answer that is too long to be read whole, cut where it still makes sense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from toolgate.openapi import media

BOUNDARY = 0.2
"""The last part of a cut text that may be given up to end at a line or a word."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    text: str
    kept: str
    """What of the whole this is: `the first 37 of 100 items`."""


def of_json(value: Any, text: bytes, limit: int) -> Excerpt:
    """The first whole items of the value's dominating list, everything around it kept; else the text's beginning.

    Args:
        text: `value` as compact JSON.
        limit: bytes.
    """
    fitted = _fit(value, limit)
    if fitted is None:
        return of_text(text.decode(), limit)
    shortened, kept, total = fitted
    shown = media.dumps(shortened)
    return Excerpt(shown.decode(), f"the first {kept} of {total} items, {_kib(len(shown))} of {_kib(len(text))} KiB")


def of_text(text: str, limit: int) -> Excerpt:
    """The first `limit` bytes of `text` in UTF-8, up to the end of a line or a word."""
    data = text.encode(errors="replace")
    start = data[:limit].decode(errors="ignore")
    floor = int(len(start) * (1 - BOUNDARY))
    end = max(start.rfind("\n", floor), 0) or max(start.rfind(" ", floor), 0) or len(start)
    shown = start[:end]
    return Excerpt(shown, f"the first {_kib(len(shown.encode()))} of {_kib(len(data))} KiB")


def _fit(value: Any, room: int) -> tuple[Any, int, int] | None:
    """`value` with its largest list shortened to fit, how many items were kept, of how many."""
    if isinstance(value, list):
        left = room - len("[]")
        kept = 0
        for item in value:
            left -= len(media.dumps(item)) + len(",")
            if left < -len(","):
                break
            kept += 1
        return (value[:kept], kept, len(value)) if kept else None
    if isinstance(value, dict) and value:
        sizes = {key: len(media.dumps(item)) for key, item in value.items()}
        largest = max(sizes, key=sizes.__getitem__)
        around = len(media.dumps(value)) - sizes[largest]
        fitted = _fit(value[largest], room - around)
        return None if fitted is None else ({**value, largest: fitted[0]}, fitted[1], fitted[2])
    return None


def _kib(size: int) -> str:
    return f"{size / 1024:.1f}"
