"""What providers did: every attempt, counted and timed, for any time range and in the words that people ask in."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from toolgate.llm.histogram import Histogram
from toolgate.money import Micros

LATELY = 15
"""Minutes that the router looks back for how fast a model is."""
RECENT = 10_000
"""Attempts kept one by one."""
FOLD = 256
"""Attempts that may wait until they are added up."""


@dataclass(frozen=True, slots=True)
class ProviderExecutionMetric:
    """One attempt at one model."""

    provider_id: str
    model: str
    """As `Model.name`."""
    task_type: str
    tokens_in: int
    """All of the input, cached or not; as `Tokens`."""
    tokens_out: int
    cached_in: int
    cache_write: int
    reasoning_out: int
    cost: Micros
    latency_ms: float
    ttft_ms: float | None
    """Until the first piece of the answer; None: none came, or nobody streamed."""
    success: bool
    tool_calls_count: int
    error_type: str | None
    """`ModelFailed.reason` and the like; None: it went well."""
    attempt: int
    """1, 2, 3 … of the request."""
    run_id: str
    user_id: str
    timestamp: float
    """Seconds since 1970, when it ended."""
    phase: str = ""
    tool: str = ""
    """The tool that the reply called, the first of several; empty: none."""

    @property
    def model_id(self) -> str:
        return f"{self.provider_id}/{self.model}"


class Performance:
    """Hears of every attempt, and says how models do."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.recent: deque[ProviderExecutionMetric] = deque(maxlen=RECENT)
        self._waiting: list[ProviderExecutionMetric] = []
        self._speeds: dict[str, deque[tuple[int, Histogram, Histogram]]] = {}
        self._p95: dict[str, tuple[float | None, float | None]] = {}

    def record(self, metric: ProviderExecutionMetric) -> None:
        """Count an attempt. Nothing is computed or written here: that happens when somebody asks, or beside the calls."""
        self._waiting.append(metric)
        if len(self._waiting) >= FOLD:
            self.fold()

    def p95(self, model_id: str) -> float | None:
        """Seconds in which 95 of 100 answers of `provider/model` came lately; None: not measured."""
        return self._lately(model_id)[0]

    def first_token_p95(self, model_id: str) -> float | None:
        """The same until the first piece."""
        return self._lately(model_id)[1]

    def fold(self) -> None:
        """Add up what waits."""
        waiting, self._waiting = self._waiting, []
        for metric in waiting:
            self.recent.append(metric)
            if metric.success:
                self._note_speed(metric)

    def _note_speed(self, metric: ProviderExecutionMetric) -> None:
        minutes = self._speeds.setdefault(metric.model_id, deque(maxlen=LATELY))
        minute = int(metric.timestamp // 60)
        if not minutes or minutes[-1][0] < minute:
            minutes.append((minute, Histogram(), Histogram()))
        minutes[-1][1].add(metric.latency_ms)
        if metric.ttft_ms is not None:
            minutes[-1][2].add(metric.ttft_ms)
        self._p95.pop(metric.model_id, None)

    def _lately(self, model_id: str) -> tuple[float | None, float | None]:
        if self._waiting:
            self.fold()
        known = self._p95.get(model_id)
        if known is None:
            whole, first, since = Histogram(), Histogram(), self._clock() // 60 - LATELY
            for minute, latency, ttft in self._speeds.get(model_id, ()):
                if minute > since:
                    whole.merge(latency)
                    first.merge(ttft)
            known = self._p95[model_id] = (_seconds(whole.quantile(0.95)), _seconds(first.quantile(0.95)))
        return known


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
