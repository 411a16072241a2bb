"""What was learned of models: sums that fade, that several processes add to, and that survive a restart.

Everything is a tally, so what two processes saw is merged by adding, in any order. `new` is what this process saw and has not written
down yet; `known` is what the store has, of everybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from toolgate.llm.scoring import NOTHING, Tally, half

Kind = Literal["effect", "usual", "form", "output"]
"""How much better than usual a model answers; what is usual; what is usual of the form of tool calls; tokens of answers."""
Key = tuple[str, str, str]
"""Kind, model (empty: of all), task (empty: of all)."""
MOST = 5_000
"""Tallies kept, those with the fewest observations forgotten first."""
FADE_SECONDS = 3600.0


class Beliefs:
    def __init__(self, half_life: Callable[[], float], clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            half_life: seconds after which an observation counts half.
            clock: seconds since 1970.
        """
        self._half_life, self._clock = half_life, clock
        self._known: dict[Key, Tally] = {}
        self._new: dict[Key, Tally] = {}
        self._at = clock()
        self.version = 0
        """Grows when what is known changes by more than an observation."""

    def of(self, kind: Kind, model: str, task: str) -> Tally:
        key = kind, model, task
        new = self._new.get(key)
        known = self._known.get(key)
        if new is None:
            return known or NOTHING
        return new if known is None else known.plus(*new)

    def add(self, kind: Kind, model: str, task: str, amount: float, seen: float) -> None:
        """Count an observation at its task and at all."""
        for of in (task, "") if task else ("",):
            key = kind, model, of
            self._new[key] = self._new.get(key, NOTHING).plus(amount, seen)

    @property
    def changed(self) -> bool:
        """Whether there is something to write down."""
        return bool(self._new)

    def fade(self) -> None:
        """Let time pass, once an hour: that is exact enough for half-lives of days, and decisions stay a function of what was seen."""
        now = self._clock()
        if now - self._at >= FADE_SECONDS:
            share = half(now - self._at, self._half_life())
            self._known = {key: tally.times(share) for key, tally in self._known.items()}
            self._new = {key: tally.times(share) for key, tally in self._new.items()}
            self._at = now
            self.version += 1

    def take(self) -> Mapping[Key, Tally]:
        """What is new, which counts as known from now on; whoever could not write it down `gives` it back."""
        taken, self._new = self._new, {}
        self._known = merged(self._known, taken)
        return taken

    def give(self, taken: Mapping[Key, Tally]) -> None:
        self._known = merged(self._known, {key: tally.times(-1) for key, tally in taken.items()})
        self._new = merged(self._new, taken)

    def replace(self, known: Mapping[Key, Tally]) -> None:
        """Take over what the store has."""
        self._known = dict(known)
        self._at = self._clock()
        self.version += 1

    def merge_into(self, body: Mapping[str, Any] | None, taken: Mapping[Key, Tally]) -> dict[str, Any]:
        """The store's new content: `body`, faded to now, and `taken`."""
        now = self._clock()
        there: Mapping[Key, Tally] = read(body) if body else {}
        share = half(now - float(body["at"]), self._half_life()) if body else 1.0
        both = merged({key: tally.times(share) for key, tally in there.items()}, taken)
        most = sorted(both.items(), key=lambda each: (-each[1].seen, each[0]))[:MOST]
        return {"at": now, "tallies": [[*key, round(tally.sum, 4), round(tally.seen, 4)] for key, tally in most]}


def read(body: Mapping[str, Any]) -> dict[Key, Tally]:
    """As `merge_into` wrote it."""
    return {(kind, model, task): Tally(amount, seen) for kind, model, task, amount, seen in body["tallies"]}


def merged(some: Mapping[Key, Tally], others: Mapping[Key, Tally]) -> dict[Key, Tally]:
    total = dict(some)
    for key, tally in others.items():
        total[key] = total.get(key, NOTHING).plus(*tally)
    return total
