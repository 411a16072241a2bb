"""A text as passages, each with where it stands and what it stands under. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 1200
"""Characters of a passage: about 300 tokens, of which five make an answer."""
BLOCK = re.compile(r"[^\n]+(?:\n[^\n]+)*")
"""Lines without an empty one between."""
HEADING = re.compile(r"(#{1,6})[ \t]+(\S.*?)[ \t#]*$")


@dataclass(frozen=True, slots=True)
class Passage:
    start: int
    end: int
    """Characters from the beginning of the text; `text[start:end]` is the passage."""
    heading: str
    """Markdown's headings above it, outermost first, such as `Limits > Rates`."""


def passages(text: str) -> Iterator[Passage]:
    """Paragraphs that stand together under one heading, up to LONGEST; longer ones are cut at a space."""
    path: list[tuple[int, str]] = []
    start = end = -1
    for block in BLOCK.finditer(text):
        heading = HEADING.match(block[0].partition("\n")[0])
        if start >= 0 and (heading or block.end() - start > LONGEST):
            yield from _cut(text, start, end, path)
            start = -1
        if heading:
            level = len(heading[1])
            path = [*(one for one in path if one[0] < level), (level, heading[2][:200])]
        start, end = (start if start >= 0 else block.start()), block.end()
    if start >= 0:
        yield from _cut(text, start, end, path)


def _cut(text: str, start: int, end: int, path: list[tuple[int, str]]) -> Iterator[Passage]:
    heading = " > ".join(name for _, name in path)
    while end - start > LONGEST:
        space = max(text.rfind(" ", start + LONGEST // 2, start + LONGEST), text.rfind("\n", start + LONGEST // 2, start + LONGEST))
        middle = space if space > start else start + LONGEST
        yield Passage(start, middle, heading)
        start = middle
    yield Passage(start, end, heading)
