"""Which lines of a file a review may comment on: those that its unified diff shows. Text in, numbers out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Side = Literal["new", "old"]
HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class Shown:
    """The lines of one side of a file, each with the number of the hunk that shows it."""

    hunks: Mapping[int, int]

    def refusal(self, start: int | None, line: int, side: Side) -> str | None:
        """Why nothing can be said about `line`, or the lines from `start` to it; None: it can."""
        which = "" if side == "new" else "old "
        for number in (line, start if start is not None else line):
            if number not in self.hunks:
                return f"{which}line {number} is not in the diff, which shows {self._words(which)}"
        if start is not None and self.hunks[start] != self.hunks[line]:
            return f"{which}lines {start}-{line} are not in one piece of the diff, which shows {self._words(which)}"
        return None

    def _words(self, which: str) -> str:
        return f"{which}lines {ranges(self.hunks)}" if self.hunks else f"no {which}lines"


def shown(patch: str | None) -> Mapping[Side, Shown]:
    """What a file's patch shows: on the new side added and unchanged lines, on the old side deleted ones."""
    new: dict[int, int] = {}
    old: dict[int, int] = {}
    hunk = at_old = at_new = 0
    for text in (patch or "").split("\n"):
        if head := HUNK.match(text):
            hunk, at_old, at_new = hunk + 1, int(head[1]), int(head[2])
        elif hunk and text[:1] == "-":
            old[at_old], at_old = hunk, at_old + 1
        elif hunk and text[:1] == "+":
            new[at_new], at_new = hunk, at_new + 1
        elif hunk and text[:1] == " ":
            new[at_new], at_old, at_new = hunk, at_old + 1, at_new + 1
    return {"new": Shown(new), "old": Shown(old)}


def ranges(numbers: Iterable[int]) -> str:
    """`10-24, 31`."""
    ordered = sorted(numbers)
    ends = [(a, b) for a, b in pairwise(ordered) if b != a + 1]
    starts = [ordered[0], *(b for _, b in ends)]
    stops = [*(a for a, _ in ends), ordered[-1]]
    return ", ".join(str(start) if start == stop else f"{start}-{stop}" for start, stop in zip(starts, stops, strict=True))
