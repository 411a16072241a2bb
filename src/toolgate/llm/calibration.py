"""What labelled prompts teach a router before anybody asks it: how good each model is at which prompts, and how much quality to trade
for money. Pure.

    table    what a model gets right at a task type; all models
    kept     models that are ever worth asking: for some price of quality, the best of a task; the rest only add to the chance that
             somebody is overestimated (a table of 19 models has 5, and choosing among these loses less at the same cost: measured)
    weights  for those kept, what length, shape and words of a prompt change, where leaving one out says that it pays
    price    the points of quality that a share of the reference model's cost is worth: the choice is the model with most
             quality - price * cost, so that money is saved where it costs least quality

The price is chosen on predictions made without the row that is predicted. It may lose all that may be lost against the best single
model on the same prompts, less a part of the standard error; within that it is the one that saves most, where a full loss has to save an
eighth of the cost. So points are spent where they buy much, and kept where the next cheaper model saves cents: over many files this loses
less at the same cost than the same loss on each of them (measured).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

from toolgate.llm.features import SHAPE, SHAPES, TEXT, Features, features_of
from toolgate.llm.ridge import Matrix, fit, predict

LOSSES = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Points for which a price is found; others use that of the next smaller one."""
DOUBT = 0.5
"""Standard errors that have to be left of the loss allowed."""
WORTH = 0.125
"""Part of the reference's cost that a full loss allowed has to save."""
BELIEVED = 0.25
"""Part of the points that is what the predictions expect, and not what came of them: the first flatter, the second are noisy."""
PRICES = (0.0, *(0.001 * 1.23**step for step in range(37)))
"""Tried: 0, and 0.1 to 170 points for the whole cost of the reference."""
WORDS_FROM = 300
"""Rows from which length, shape and words are tried."""
EXPECTED_OUTPUT = 400.0
"""Tokens, where nothing is known of a task's answers: a guess."""
LETTERS = 4.0
"""Characters a token, where only the text is there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled prompt."""

    task: str
    text: str
    tools: int
    ok: tuple[float, ...]
    """0 to 1, by model."""
    cost: tuple[float | None, ...]
    """Micro-US-dollars, by model; None: not known."""

    @property
    def tokens(self) -> float:
        return len(self.text) / LETTERS


@dataclass(frozen=True, slots=True)
class Tariff:
    """What requests cost, as far as labelled prompts tell."""

    per_token: Mapping[str, tuple[float, float]]
    """By model: micro-US-dollars a token read and written."""
    outputs: Mapping[str, Mapping[str, float]]
    """Tokens written, by task and model."""

    def cost(self, model: str, task: str, tokens: float) -> float:
        read, written = self.per_token[model]
        return read * tokens + written * self.outputs.get(task, {}).get(model, EXPECTED_OUTPUT)


@dataclass(frozen=True)
class Calibration:
    models: tuple[str, ...]
    table: Mapping[str, tuple[float, ...]]
    """By task, and under the empty one for tasks not known: expected quality by model."""
    reference: str
    """The best single model."""
    kept: tuple[str, ...]
    features: Features
    weights: tuple[tuple[float, ...], ...]
    """(features, kept)"""
    prices: tuple[float | None, ...]
    """For each of `LOSSES`; None: nobody but the reference will do."""
    outputs: Mapping[str, Mapping[str, float]]
    """As of `Tariff`."""
    rows: int

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {model: number for number, model in enumerate(self.models)}

    def price(self, loss: float) -> float | None:
        """Of quality, where `loss` points may be lost."""
        return self.prices[bisect_right(LOSSES, loss) - 1]

    def expected(self, model: str, task: str) -> float | None:
        """What the table says; None: the model was not there."""
        number = self._numbers.get(model)
        return None if number is None else self.table.get(task, self.table[""])[number]

    def qualities(self, task: str, text: str, tools: int) -> dict[str, float]:
        """Of those kept, for one prompt: as `predict` of its vector, with all that no prompt changes multiplied beforehand."""
        (length, digits, lines, offered), words = self.features.found(text, tools)
        known = self._by_task.get(task) or self._by_task[""]
        said = [at + length * a + digits * b + lines * c + offered * d for at, a, b, c, d in known]
        if words:
            by_word = self._by_word
            *changes, square = map(sum, zip(*[by_word[index] for index in words], strict=True))
            share = TEXT / sqrt(square)
            said = [each + share * change for each, change in zip(said, changes, strict=True)]
        return dict(zip(self.kept, said, strict=True))

    @cached_property
    def _by_task(self) -> Mapping[str, Sequence[tuple[float, ...]]]:
        """By task, and under the empty one for tasks not known, of each kept: its quality, and what each of length and shape changes."""
        return {task: self._at(task) for task in ("", *self.features.tasks)}

    def _at(self, task: str) -> list[tuple[float, ...]]:
        counting = [self.weights[first : first + SHAPES] for first in self.features.shaping(task)]
        changes = [[SHAPE * sum(each) for each in zip(*rows, strict=True)] for rows in zip(*counting, strict=True)]
        changes = changes or [[0.0] * len(self.kept)] * SHAPES
        return list(zip(predict(self.weights, self.features.plain(task)), *changes, strict=True))

    @cached_property
    def _by_word(self) -> Sequence[tuple[float, ...]]:
        """By index, what a word changes of the quality of each kept, and its weight's square, for the share that it has in this."""
        weights = self.features.weights
        return [(*[weight * each for each in row], weight * weight) for weight, row in zip(weights, self.weights, strict=True)]

    def to_json(self) -> dict[str, Any]:
        return {
            "models": list(self.models),
            "table": {task: [round(each, 5) for each in row] for task, row in self.table.items()},
            "reference": self.reference,
            "kept": list(self.kept),
            "features": self.features.to_json(),
            "weights": [[round(each, 6) for each in row] for row in self.weights],
            "prices": list(self.prices),
            "outputs": {task: {model: round(each, 1) for model, each in row.items()} for task, row in self.outputs.items()},
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Calibration:
        return cls(
            models=tuple(said["models"]),
            table={task: tuple(row) for task, row in said["table"].items()},
            reference=said["reference"],
            kept=tuple(said["kept"]),
            features=Features.from_json(said["features"]),
            weights=tuple(tuple(row) for row in said["weights"]),
            prices=tuple(said["prices"]),
            outputs=said["outputs"],
            rows=said["rows"],
        )


def calibrate(models: Sequence[str], samples: Sequence[Sample], tariff: Tariff, *, loss: float = 1.0) -> Calibration:
    """
    Args:
        samples: at least one.
        loss: points that will usually be allowed; which features are used is decided for it.
    """
    prompts = [(sample.task, sample.text, sample.tools) for sample in samples]
    plain = features_of(prompts, words=False)
    weights, without = fit([plain.vector(*prompt) for prompt in prompts], [sample.ok for sample in samples], plain.size)
    table = {task: tuple(predict(weights, plain.vector(task, "", 0))) for task in ("", *plain.tasks)}
    means = [sum(sample.ok[model] for sample in samples) / len(samples) for model in range(len(models))]
    best = max(range(len(models)), key=means.__getitem__)
    kept = _worth_asking(models, samples, table, tariff, best)
    costs = [[_share(tariff, models[best], models[model], sample) for model in kept] for sample in samples]
    truth = [[sample.ok[model] for model in kept] for sample in samples]
    spent = [[spent_on(tariff, models[model], sample, model) for model in kept] for sample in samples]
    trial = _Trial(costs, truth, spent, kept.index(best))
    features, weights, curve = plain, _of(kept, weights), trial.curve(_of(kept, without))
    if len(samples) >= WORDS_FROM:
        detailed = features_of(prompts, words=True)
        fitted, without = fit([detailed.vector(*prompt) for prompt in prompts], truth, detailed.size)
        other = trial.curve(without)
        if chosen(other, loss)[0] < chosen(curve, loss)[0]:
            features, weights, curve = detailed, fitted, other
    return Calibration(
        models=tuple(models),
        table=table,
        reference=models[best],
        kept=tuple(models[model] for model in kept),
        features=features,
        weights=tuple(map(tuple, weights)),
        prices=tuple(chosen(curve, each)[1] for each in LOSSES),
        outputs=tariff.outputs,
        rows=len(samples),
    )


def _of(kept: Sequence[int], rows: Sequence[Sequence[float]]) -> Matrix:
    return [[row[model] for model in kept] for row in rows]


Curve = Sequence[tuple[float, float, float, float]]
"""A price of quality, the points gained by it over the reference alone, their standard error, and the cost as a share of its."""


@dataclass(frozen=True, slots=True)
class _Trial:
    """Choices among `k` models on `n` prompts, and what comes of them."""

    shares: Sequence[Sequence[float]]
    """(n, k) expected cost, as a share of the reference's."""
    truth: Sequence[Sequence[float]]
    """(n, k)"""
    spent: Sequence[Sequence[float]]
    """(n, k) micro-US-dollars."""
    reference: int

    def curve(self, qualities: Sequence[Sequence[float]]) -> Curve:
        """What comes of each of `PRICES`."""
        n, alone = len(self.truth), sum(row[self.reference] for row in self.spent) or 1.0
        found = []
        for price in PRICES:
            gained = squares = hoped = cost = 0.0
            for said, share, truth, spent in zip(qualities, self.shares, self.truth, self.spent, strict=True):
                values = [quality - price * each for quality, each in zip(said, share, strict=True)]
                first = values.index(max(values))
                gain = truth[first] - truth[self.reference]
                gained += gain
                squares += gain * gain
                hoped += said[first] - said[self.reference]
                cost += spent[first]
            error = sqrt(max(0.0, squares / n - (gained / n) ** 2) / n)
            points = (1 - BELIEVED) * gained + BELIEVED * hoped
            found.append((price, 100 * points / n, 100 * error, cost / alone))
        return found


def chosen(curve: Curve, loss: float) -> tuple[float, float | None]:
    """The price of quality that pays best where `loss` points may be lost, and before it what it comes to: less is better."""
    best: tuple[float, float | None] = (1.0, None)
    for at, (price, _, error, cost) in enumerate(curve):
        # With its neighbours, so that no price is chosen for a stroke of luck.
        near = [points for _, points, _, _ in curve[max(0, at - 1) : at + 2]]
        points = sum(near) / len(near)
        if points - DOUBT * error >= -loss:
            best = min(best, (cost - WORTH * points / max(loss, 0.25), price), key=lambda each: each[0])
    return best


def _worth_asking(
    models: Sequence[str], samples: Sequence[Sample], table: Mapping[str, Sequence[float]], tariff: Tariff, best: int
) -> list[int]:
    """Models that are the best of some task, or of all, at some price of quality; by number."""
    tokens = sum(sample.tokens for sample in samples) / len(samples)
    kept = {best}
    for task, row in table.items():
        costs = [tariff.cost(model, task, tokens) for model in models]
        alone = costs[best] or 1.0
        for price in PRICES:
            kept.add(max(range(len(models)), key=lambda model: row[model] - price * costs[model] / alone))
    return sorted(kept)


def _share(tariff: Tariff, reference: str, model: str, sample: Sample) -> float:
    alone = tariff.cost(reference, sample.task, sample.tokens)
    return tariff.cost(model, sample.task, sample.tokens) / alone if alone else 1.0


def spent_on(tariff: Tariff, name: str, sample: Sample, model: int) -> float:
    """What the answer of a model, by number, cost, or is expected to have cost; micro-US-dollars."""
    known = sample.cost[model]
    return tariff.cost(name, sample.task, sample.tokens) if known is None else known


def tariff_of(models: Sequence[str], samples: Sequence[Sample], known: Mapping[str, tuple[float, float]] | None = None) -> Tariff:
    """What requests cost by `samples`: of each model what a token read costs, and what the answers to a task cost besides.

    Args:
        known: what tokens are known to cost, by model.
    """
    priced = {model: [sample for sample in samples if sample.cost[number] is not None] for number, model in enumerate(models)}
    dearest = max((_mean_cost(priced[model], number) for number, model in enumerate(models) if priced[model]), default=0.0)
    per_token: dict[str, tuple[float, float]] = {}
    outputs: dict[str, dict[str, float]] = {}
    for number, model in enumerate(models):
        there = priced[model]
        if known and model in known:
            per_token[model] = known[model]
        elif there:
            per_token[model] = _rates(there, number)
        else:  # nobody knows what it costs: as much as the dearest
            per_token[model] = 0.0, dearest / EXPECTED_OUTPUT
        read, written = per_token[model]
        overall = _output(there, number, read, written, EXPECTED_OUTPUT, 0.0)
        by_task: dict[str, list[Sample]] = {}
        for sample in there:
            by_task.setdefault(sample.task, []).append(sample)
        for task, own in by_task.items():
            outputs.setdefault(task, {})[model] = _output(own, number, read, written, overall, 5.0)
    return Tariff(per_token, outputs)


def _mean_cost(samples: Sequence[Sample], model: int) -> float:
    return sum(sample.cost[model] or 0.0 for sample in samples) / len(samples)


def _rates(samples: Sequence[Sample], model: int) -> tuple[float, float]:
    """By least squares: the slope over the prompt's tokens is what reading costs, the rest is for an answer of the usual length."""
    n, cost = len(samples), _mean_cost(samples, model)
    tokens = sum(sample.tokens for sample in samples) / n
    variance = sum((sample.tokens - tokens) ** 2 for sample in samples)
    together = sum((sample.tokens - tokens) * ((sample.cost[model] or 0.0) - cost) for sample in samples)
    read = max(0.0, together / variance) if variance else 0.0
    read = min(read, 0.9 * cost / tokens) if tokens else 0.0
    return read, (cost - read * tokens) / EXPECTED_OUTPUT


def _output(samples: Sequence[Sample], model: int, read: float, written: float, usual: float, weight: float) -> float:
    """Tokens that answers have, by what they cost; drawn to `usual` as by `weight` samples of it."""
    if not written or not samples:
        return usual
    total = sum(((sample.cost[model] or 0.0) - read * sample.tokens) / written for sample in samples)
    return max(1.0, (total + usual * weight) / (len(samples) + weight))
