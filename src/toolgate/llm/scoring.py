"""How good a model probably is at a kind of task, from few and noisy observations. Pure.

A share of right answers seen ten times says little, so it is drawn towards what is known more broadly: a model's share at
one task type towards its share at all, and that towards what was expected before anything was seen. Each step is a Beta
distribution whose prior is the step above it, worth so many observations (`Strength`). Strong pooling is what makes routing
work on little data; the kind of bandit above it matters less (measured on three public sets).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt


@dataclass(frozen=True, slots=True)
class Tally:
    """Observations, each worth 0 (wrong) to 1 (right), weighted and faded."""

    good: float = 0.0
    seen: float = 0.0

    def plus(self, good: float, seen: float) -> Tally:
        return Tally(self.good + good, self.seen + seen)

    def faded(self, seconds: float, half_life: float) -> Tally:
        """As it counts after `seconds`."""
        share = exp(-log(2) * max(0.0, seconds) / half_life)
        return Tally(self.good * share, self.seen * share)


@dataclass(frozen=True, slots=True)
class Strength:
    """Observations that each step's prior is worth."""

    prior: float = 6.0
    """What was expected, against a model's own record."""
    pooled: float = 60.0
    """A model's record at all tasks, against that at one."""


@dataclass(frozen=True, slots=True)
class Belief:
    """A Beta distribution over the share of right answers."""

    mean: float
    weight: float
    """Observations that it is worth, the priors' included."""

    @property
    def deviation(self) -> float:
        return sqrt(self.mean * (1 - self.mean) / (self.weight + 1))


def believe(prior: float, overall: Tally, task: Tally, strength: Strength = Strength()) -> Belief:
    """What to think of a model at a task type.

    Args:
        prior: expected before anything was seen, 0 to 1.
        overall: its record at all task types, that of `task` included.
    """
    mean = (prior * strength.prior + overall.good) / (strength.prior + overall.seen)
    # The pooled step cannot be worth more than what it rests on.
    pooled = min(strength.pooled, strength.prior + overall.seen)
    return Belief((mean * pooled + task.good) / (pooled + task.seen), pooled + task.seen)
