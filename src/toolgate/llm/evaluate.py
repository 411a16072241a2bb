"""What the router would have done with labelled prompts, by the router itself.

Calibrated: on a part of the prompts it is calibrated, on the rest it decides, and nothing of the rest is known to it. Cold: it begins with
nothing but the models' prices and goes through all prompts once, in some order; of each it learns whether the answer of the model that it
asked was right, and nothing of the others.
"""

from __future__ import annotations

import random
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from toolgate.calls import Principal
from toolgate.llm.beliefs import Beliefs
from toolgate.llm.calibration import Sample, Tariff, calibrate, spent_on, tariff_of
from toolgate.llm.decision import Speed
from toolgate.llm.messages import Errand, Prompt, User
from toolgate.llm.model import Model
from toolgate.llm.router import Router
from toolgate.money import MICROS
from toolgate.policy.models import Models

TRAIN = 0.7
"""Part of the prompts that is for calibration."""
NOBODY = Principal("evaluation")


@dataclass(frozen=True, slots=True)
class Share:
    """How a way to choose models did."""

    accuracy: float
    """Share of right answers, 0 to 1."""
    cost: float
    """US dollars a prompt."""

    def to_json(self) -> dict[str, float]:
        return {"accuracy": round(self.accuracy, 5), "cost_usd_per_1000": round(self.cost * 1000, 6)}


@dataclass(frozen=True)
class _World:
    """A router's surroundings: every model can be asked, at the prices of the file."""

    tariff: Tariff

    def troubled(self) -> Container[str]:
        return ()

    def available(self, model: Model) -> str | None:
        return None

    def lately(self) -> Mapping[str, Speed]:
        return {}

    def per_token(self, model: Model) -> tuple[float, float]:
        return self.tariff.per_token[model.id]


def evaluate(names: Sequence[str], samples: Sequence[Sample], *, seeds: int, loss: float = 1.0) -> dict[str, Any]:
    """The report, JSON.

    Args:
        samples: at least two.
        loss: points that may be lost, as `max_quality_loss`.
    """
    ids = [f"file/{name}" for name in names]
    tariff = tariff_of(ids, samples)
    costs = [[spent_on(tariff, model, sample, number) for number, model in enumerate(ids)] for sample in samples]
    models = range(len(names))
    means = [fmean(sample.ok[model] for sample in samples) for model in models]
    spent = [fmean(row[model] for row in costs) for model in models]
    best = max(models, key=lambda model: (means[model], -spent[model]))
    file = _File(ids, samples, costs, best)
    calibrated = [_calibrated(file, seed, loss) for seed in range(seeds)]
    cold = [_cold(file, tariff, seed, loss) for seed in range(seeds)]
    oracle = [_oracle(sample, row) for sample, row in zip(samples, costs, strict=True)]
    everything = {
        "best_single": {"model": names[best], **Share(means[best], spent[best] / MICROS).to_json()},
        "random": Share(fmean(means), fmean(spent) / MICROS).to_json(),
        "cheapest": _single(names, means, spent, min(models, key=lambda model: (spent[model], -means[model]))),
        "oracle": Share(fmean(good for good, _ in oracle), fmean(cost for _, cost in oracle) / MICROS).to_json(),
    }
    return {
        "prompts": len(samples),
        "models": len(names),
        "tasks": len({sample.task for sample in samples}),
        "seeds": seeds,
        "max_quality_loss": loss,
        "costs_estimated": sum(each is None for sample in samples for each in sample.cost),
        **everything,
        "calibrated": {"train": TRAIN, **_summary(calibrated)},
        "cold_start": _summary(cold),
    }


def _summary(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means over the runs, the worst of them, and each."""
    said: dict[str, Any] = {key: round(fmean(run[key] for run in runs), 5) for key in runs[0]}
    said["worst_points"] = round(min(run["points"] for run in runs), 3)
    return said | {"runs": [{key: round(value, 5) for key, value in run.items()} for run in runs]}


@dataclass(frozen=True)
class _File:
    """Labelled prompts, and what each model's answer cost."""

    ids: Sequence[str]
    samples: Sequence[Sample]
    costs: Sequence[Sequence[float]]
    """Micro-US-dollars, by prompt and model."""
    best: int
    """The best single model of all prompts."""

    def shuffled(self, seed: int) -> list[int]:
        order = list(range(len(self.samples)))
        random.Random(seed).shuffle(order)  # noqa: S311 - a split, no secret
        return order

    def replayed(self, router: Router, order: Sequence[int], *, learn: bool) -> dict[str, float]:
        """What comes of the prompts at `order`, one after the other. Points and `cost_ratio` are against the best single model on the same
        prompts; the latter is 1 where nothing costs anything.

        Args:
            learn: whether each answer given was right is told.
        """
        numbers = {model: number for number, model in enumerate(self.ids)}
        good, spent, alone, dear = [], [], [], []
        for index in order:
            sample = self.samples[index]
            prompt, errand = Prompt([User(sample.text)]), Errand(NOBODY, task=sample.task)  # type: ignore[arg-type]  # files have their own
            model = router.route(prompt, errand, round(sample.tokens)).chain[0].id
            chosen = numbers[model]
            if learn:
                router.learn(model, sample.task, sample.ok[chosen], "verifier")
            good.append(sample.ok[chosen])
            spent.append(self.costs[index][chosen])
            alone.append(sample.ok[self.best])
            dear.append(self.costs[index][self.best])
        return {
            "accuracy": fmean(good),
            "best_single_accuracy": fmean(alone),
            "points": 100 * (fmean(good) - fmean(alone)),
            "cost_ratio": sum(spent) / sum(dear) if sum(dear) else 1.0,
            "cost_usd_per_1000": fmean(spent) / MICROS * 1000,
            **({"last_half_accuracy": fmean(good[len(good) // 2 :])} if learn else {}),
        }


def _calibrated(file: _File, seed: int, loss: float) -> dict[str, float]:
    order = file.shuffled(seed)
    cut = min(len(order) - 1, max(1, round(TRAIN * len(order))))
    known = [file.samples[index] for index in order[:cut]]
    tariff = tariff_of(file.ids, known)
    router = _router(file.ids, tariff, Models(max_quality_loss=loss, explore=0), seed)
    router.calibration = calibrate(file.ids, known, tariff, loss=loss)
    return file.replayed(router, order[cut:], learn=False)


def _cold(file: _File, tariff: Tariff, seed: int, loss: float) -> dict[str, float]:
    return file.replayed(_router(file.ids, tariff, Models(max_quality_loss=loss), seed), file.shuffled(seed), learn=True)


def _router(ids: Sequence[str], tariff: Tariff, policy: Models, seed: int) -> Router:
    models = tuple(Model("file", model.removeprefix("file/"), window=10**9, max_output=1) for model in ids)
    world = _World(tariff)
    beliefs = Beliefs(lambda: policy.half_life, clock=lambda: 0.0)
    return Router(lambda: models, lambda: policy, health=world, speeds=world, rates=world, seed=seed, beliefs=beliefs)


def _oracle(sample: Sample, costs: Sequence[float]) -> tuple[float, float]:
    """The cheapest right answer."""
    best = max(sample.ok)
    return best, min(cost for good, cost in zip(sample.ok, costs, strict=True) if good == best)


def _single(names: Sequence[str], means: Sequence[float], spent: Sequence[float], model: int) -> dict[str, Any]:
    return {"model": names[model], **Share(means[model], spent[model] / MICROS).to_json()}
