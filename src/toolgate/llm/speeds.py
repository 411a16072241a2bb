"""How fast models were lately, of all processes together: what the store has of the last minutes, and what is not yet written there."""

from __future__ import annotations

from collections.abc import Mapping

from toolgate.llm.decision import Speed
from toolgate.llm.histogram import Histogram
from toolgate.llm.series import Batch

LATELY = 15
"""Minutes."""
Times = dict[str, tuple[Histogram, Histogram]]
"""By model's id, milliseconds of whole answers and until their first piece."""


class Lately:
    def __init__(self) -> None:
        self._stored: dict[int, Times] = {}
        """By minute since 1970, reduced to what is asked of it: tasks and versions of prompts do not matter here."""

    def store(self, minute: int, batch: Batch, *, more: bool = False) -> None:
        """The store has `batch` of `minute`.

        Args:
            more: beside what it had.
        """
        times = self._stored.get(minute, {}) if more else {}
        self._stored[minute] = _added(times, batch)

    def speeds(self, now: float, unwritten: Mapping[int, Batch]) -> dict[str, Speed]:
        """
        Args:
            now: seconds since 1970.
            unwritten: by minute since 1970.
        """
        oldest = int(now // 60) - LATELY
        self._stored = {minute: times for minute, times in self._stored.items() if minute > oldest}
        total: Times = {}
        for times in self._stored.values():
            for model, of in times.items():
                _merge(total, model, of)
        for minute, batch in unwritten.items():
            if minute > oldest:
                _added(total, batch)
        return {model: Speed(_p95(whole), _p95(first)) for model, (whole, first) in total.items()}


def _added(times: Times, batch: Batch) -> Times:
    for key, series in batch.series.items():
        _merge(times, f"{key.provider}/{key.model}", (series.latency, series.first))
    return times


def _merge(times: Times, model: str, of: tuple[Histogram, Histogram]) -> None:
    for mine, other in zip(times.setdefault(model, (Histogram(), Histogram())), of, strict=True):
        mine.merge(other)


def _p95(times: Histogram) -> float | None:
    """Seconds."""
    found = times.quantile(0.95)
    return None if found is None else found / 1000
