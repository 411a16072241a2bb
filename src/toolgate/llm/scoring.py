"""How good a model probably is at a kind of task, from few and noisy observations, and which to ask then. Pure.

A share of right answers seen ten times says little, so it is drawn towards what is known more broadly: a model's record at one task
type towards its record at all, and that towards what was expected before anything was seen. Each step is a Beta distribution whose
prior is the step above it, worth so many observations (`Strength`). Strong pooling is what makes routing work on little data; the kind
of bandit above it matters less (measured on three public sets).

What is pooled over task types is not the share of right answers but how far it is from what is usual at each task: models are not
asked the same tasks equally often, and who was given the easy ones would look better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple


class Tally(NamedTuple):
    """Observations, weighted and faded."""

    sum: float = 0.0
    seen: float = 0.0

    def plus(self, sum: float, seen: float) -> Tally:
        return Tally(self.sum + sum, self.seen + seen)

    def times(self, share: float) -> Tally:
        return Tally(self.sum * share, self.seen * share)


NOTHING = Tally()


@dataclass(frozen=True, slots=True)
class Strength:
    """Observations that each step's prior is worth."""

    prior: float = 20.0
    """What was expected of a model, against its record at all tasks."""
    pooled: float = 60.0
    """Its record at all tasks, against that at one."""
    usual: float = 5.0
    """What is usual at all tasks, against what is at one."""


STRENGTH = Strength()
CALIBRATED = Strength(prior=100.0, pooled=100.0)
"""Where labelled prompts said what to expect."""
CAREFUL = 0.3
"""Deviations by which every estimate is lowered before two are compared: who is little known has to look better."""
EDGE = sqrt(0.05 * 0.95)
"""Deviation of an answer of who was nearly always right, or wrong, so far: as of who is in 95 of 100 times."""
PLAUSIBLE = 1.0
"""Deviations that may speak for a model that is tried."""
LEARNING = 400.0
"""Observations after which half as much is tried."""
USUAL = 0.7
"""Share of right answers where nothing was seen: a guess that all models share, so that it decides nothing."""


def usual(overall: Tally, task: Tally, strength: Strength = STRENGTH) -> float:
    """The share of right answers of a model like any other at a task type.

    Args:
        overall: of all task types, that of `task` included.
    """
    mean = (overall.sum + USUAL * strength.usual) / (overall.seen + strength.usual)
    return (task.sum + mean * strength.usual) / (task.seen + strength.usual)


def effect(expected: float, overall: Tally, task: Tally, strength: Strength = STRENGTH) -> float:
    """How much better than usual a model is at a task type.

    Args:
        expected: before anything was seen.
        overall: how much better it was at all task types, that of `task` included.
    """
    general = (expected * strength.prior + overall.sum) / (strength.prior + overall.seen)
    pooled = min(strength.pooled, strength.prior + overall.seen)  # it cannot be worth more than what it rests on
    return (general * pooled + task.sum) / (pooled + task.seen)


def believe(expected: Sequence[float], doubts: Sequence[float]) -> tuple[list[float], list[float]]:
    """What to think of several models: the share of right answers, 0 to 1, and the same lowered by `CAREFUL` deviations.

    Args:
        expected: what is usual, and how much better than that each is; perhaps outside of 0 to 1.
        doubts: as `doubt`, of what this rests on.
    """
    means = [0.0 if mean < 0.0 else 1.0 if mean > 1.0 else mean for mean in expected]
    both = zip(means, doubts, strict=True)
    return means, [mean - doubt * (sqrt(mean * (1.0 - mean)) if 0.05 < mean < 0.95 else EDGE) for mean, doubt in both]


def doubt(mass: float) -> float:
    """What the deviation of one answer lowers an estimate by that rests on `mass` observations, what was expected before anything was
    seen counted as some."""
    return CAREFUL / sqrt(mass + 1.0)


def deviation(mean: float, sure: float) -> float:
    """What `mean` may be wrong by: one standard deviation."""
    return (mean - sure) / CAREFUL


def by_price(prices: Mapping[str, float]) -> dict[str, float]:
    """What to expect of models of which only the price is known, 0.3 to 0.7: the dearer, the better. It is often wrong, and soon
    outweighed; to begin with the dear ones loses less than to begin anywhere (measured: 1 to 2 points over the first 2,800 answers)."""
    ranked = sorted(set(prices.values()))
    steps = max(1, len(ranked) - 1)
    return {model: 0.3 + 0.4 * ranked.index(price) / steps if len(ranked) > 1 else 0.5 for model, price in prices.items()}


def to_try(order: Sequence[int], means: Sequence[float], sure: Sequence[float]) -> int:
    """The one of `order`, by its position, that may be best as far as anybody knows; of several the first."""
    hopes = [mean + PLAUSIBLE / CAREFUL * (mean - low) for mean, low in zip(means, sure, strict=True)]
    return max(order, key=hopes.__getitem__)


def exploring(share: float, seen: float) -> float:
    """The share of requests to try something with, after `seen` observations."""
    return share * (LEARNING / (LEARNING + seen))


def half(seconds: float, half_life: float) -> float:
    """What an observation counts after `seconds`."""
    return 0.5 ** (max(0.0, seconds) / half_life) if half_life else 0.0


def interval(good: float, seen: float) -> tuple[float, float]:
    """95 % of the belief in a share of `good` of `seen`, from Beta(1, 1): by Wilson's score, which needs no table of the Beta's.

    Source: Wilson 1927; Brown, Cai, DasGupta 2001, Interval Estimation for a Binomial Proportion, recommends it for small numbers.
    """
    if not seen:
        return 0.0, 1.0
    z = 1.959964
    share, square = good / seen, z * z / seen
    middle = (share + square / 2) / (1 + square)
    width = z / (1 + square) * sqrt(share * (1 - share) / seen + square / (4 * seen))
    return max(0.0, min(share, middle - width)), min(1.0, max(share, middle + width))  # rounding apart, it holds the share
