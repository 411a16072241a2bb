"""What is thought of every model at a kind of task: columns in the roster's order, worked out anew only where something was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolgate.llm.beliefs import Beliefs
from toolgate.llm.calibration import EXPECTED_OUTPUT, Calibration
from toolgate.llm.model import Model
from toolgate.llm.scoring import CALIBRATED, STRENGTH, believe, by_price, doubt, effect, usual

ANSWERS = 20.0
"""Answers that the expected length of answers is worth until a task's own are known: a guess."""
TASKS = 100
"""Task types for which what is thought of models is kept ready."""
STEP = 0.005
"""What is usual counts in such steps, shares of right answers: it moves with every answer, and with it all models that labelled prompts do
not know. They move alike, by a quarter of a point at most, which hardly decides between them."""
NOBODY_SAYS = 0.5
"""`Model.quality` where the operator says nothing of it."""


@dataclass(slots=True)
class Columns:
    """By the models' numbers. A list is replaced when anything in it changes: whoever holds one holds what was thought then, and what
    was made of one that is still here need not be made again."""

    means: list[float]
    """Share of right answers expected, 0 to 1."""
    sure: list[float]
    """The same, lowered by how unsure it is."""
    seen: Sequence[float]
    """Observations behind it."""
    lengths: tuple[float, ...]
    """Tokens that an answer is expected to have."""
    tables: Sequence[float | None]
    """What labelled prompts say of it, where they predict its quality at each prompt; None: they do not."""


@dataclass(slots=True)
class _Kept:
    """What columns are made of, by the models' numbers."""

    tables: list[float | None]
    """What labelled prompts say of it; None: nothing."""
    effects: list[float]
    """How much better it is than that, or than usual."""
    doubts: list[float]
    """As `scoring.doubt`."""
    seen: list[float]
    lengths: list[float]
    predicted: Sequence[float | None]
    """As `Columns.tables`."""
    stale: set[int]
    columns: Columns
    usual: float = 0.0
    """What is usual, as `columns` have it."""


class Standing:
    def __init__(self, models: Sequence[Model], prices: Mapping[str, float], beliefs: Beliefs, calibration: Calibration | None) -> None:
        """
        Args:
            prices: of a usual request, by model, to rank models by of which nothing else is known.
        """
        self._models, self._beliefs, self._calibration = models, beliefs, calibration
        self._numbers = {model.id: number for number, model in enumerate(models)}
        self._tasks: dict[str, _Kept] = {}
        competing = [model.id for model in models if not model.only_named] or [*prices]
        ranked = by_price({model: prices[model] for model in competing})
        said = {model.id: ranked.get(model.id, NOBODY_SAYS) if model.quality == NOBODY_SAYS else model.quality for model in models}
        middle = sum(said[model] for model in competing) / max(1, len(competing))
        self._expected = {model: quality - middle for model, quality in said.items()}

    def at(self, task: str) -> Columns:
        kept = self._tasks.get(task)
        if kept is None:
            if len(self._tasks) >= TASKS:
                self._tasks.clear()
            kept = self._tasks[task] = self._begun(task)
        if kept.stale:
            self._freshen(kept, task)
        return kept.columns

    def hear(self, model_id: str) -> None:
        """Something new is known of a model; of one that is not in the roster it changes what is usual, and so perhaps all."""
        number = self._numbers.get(model_id)
        heard = range(len(self._models)) if number is None else (number,)
        for kept in self._tasks.values():
            kept.stale.update(heard)

    def expected(self, model_id: str) -> float:
        """How much better than usual it is expected to be before anything was seen."""
        return self._expected.get(model_id, 0.0)

    def _begun(self, task: str) -> _Kept:
        calibration, n = self._calibration, len(self._models)
        nothing = [0.0] * n
        tables = [calibration.expected(model.id, task) if calibration else None for model in self._models]
        kept = frozenset(calibration.kept if calibration else ())
        predicted = [table if model.id in kept else None for model, table in zip(self._models, tables, strict=True)]
        columns = Columns(nothing, nothing, nothing, (), predicted)
        return _Kept(tables, [0.0] * n, [0.0] * n, [0.0] * n, [0.0] * n, predicted, set(range(n)), columns)

    def _freshen(self, kept: _Kept, task: str) -> None:
        of = self._beliefs.of
        for number in kept.stale:
            id, table = self._models[number].id, kept.tables[number]  # noqa: A001 - a model's
            overall, own = of("effect", id, ""), of("effect", id, task)
            expected, strength = (self.expected(id), STRENGTH) if table is None else (0.0, CALIBRATED)
            kept.effects[number] = effect(expected, overall, own, strength)
            kept.doubts[number], kept.seen[number] = doubt(strength.prior + overall.seen), overall.seen
            kept.lengths[number] = self._length(id, task)
        base, was = STEP * round(usual(of("usual", "", ""), of("usual", "", task)) / STEP), kept.columns
        means, sure, lengths = list(was.means), list(was.sure), tuple(kept.lengths)
        if base != kept.usual and None in kept.tables:  # against it are held of whom labelled prompts say nothing
            expected_of = [(base if table is None else table) + better for table, better in zip(kept.tables, kept.effects, strict=True)]
            means, sure = believe(expected_of, kept.doubts)
        else:
            for number in kept.stale:
                table = kept.tables[number]
                expected = (base if table is None else table) + kept.effects[number]
                (means[number],), (sure[number],) = believe([expected], [kept.doubts[number]])
        if means == was.means and sure == was.sure:
            means, sure = was.means, was.sure
        if lengths == was.lengths:
            lengths = was.lengths
        kept.usual, kept.columns = base, Columns(means, sure, tuple(kept.seen), lengths, kept.predicted)
        kept.stale.clear()

    def _length(self, model_id: str, task: str) -> float:
        told = self._calibration.outputs.get(task, {}).get(model_id, EXPECTED_OUTPUT) if self._calibration else EXPECTED_OUTPUT
        seen = self._beliefs.of("output", model_id, task)
        return (told * ANSWERS + seen.sum) / (ANSWERS + seen.seen)
