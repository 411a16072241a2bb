"""Links in an issue's text: `Related: #7` above the marker, nothing said twice. Text in, text out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from toolgate.internal.marker import marked, marker_in

Mentions = Mapping[str, Iterable[int]]
"""Numbers of issues by the word that says what they are: `{"Related": [7, 9]}`."""


def missing(text: str, mentions: Mentions) -> dict[str, list[int]]:
    """What of `mentions` the text does not have yet; a number that people mention somewhere else counts."""
    found = {word: [number for number in numbers if not mentioned(text, number)] for word, numbers in mentions.items()}
    return {word: numbers for word, numbers in found.items() if numbers}


def mentioned(text: str, number: int) -> bool:
    """Whether `#number` stands in the text, as a link to an issue of the same repository."""
    return re.search(rf"(?<![\w/#])#{number}(?!\w)", text) is not None


def with_mentions(text: str, mentions: Mentions) -> str:
    """`text` with what it lacks of `mentions`, put above its marker."""
    lines = [f"{word}: {', '.join(f'#{number}' for number in numbers)}" for word, numbers in missing(text, mentions).items()]
    if not lines:
        return text
    marker = marker_in(text)
    above, _, below = text.rpartition(str(marker)) if marker else (text, "", "")
    told = f"{above.rstrip()}\n\n{chr(10).join(lines)}".lstrip()
    return f"{marked(told, marker)}{below}" if marker else told
