"""What providers did: every attempt heard of, added up by the minute, beside the calls.

`record` only remembers; what that means is worked out when somebody asks, when enough has come together, or when it is written down
(`minutes.py`). All sums are mergeable, so that several processes share them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple

from toolgate.llm.decision import Speed
from toolgate.llm.series import OTHERS, Batch, CostKey, Key, Series, Spending
from toolgate.llm.speeds import Lately
from toolgate.money import Micros
from toolgate.telemetry import Metrics

MEASURED_SECONDS = 30.0
"""How long speeds hold where nobody works them out beside the calls."""
FOLD = 256
"""Attempts that may wait until they are added up."""
NAMES = 100
"""Models told apart where labels have to be few; names may come from prompts."""


class ProviderExecutionMetric(NamedTuple):
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
    prompt_version: str = ""
    """As `Errand.prompt_version`."""

    @property
    def model_id(self) -> str:
        return f"{self.provider_id}/{self.model}"


class Performance:
    """Hears of every attempt and judgement, and says how models do."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._waiting: list[ProviderExecutionMetric] = []
        self._minutes: dict[int, Batch] = {}
        """Not written down yet, by minute since 1970."""
        self._open: dict[tuple[object, ...], tuple[Series, Spending]] = {}
        """Of `_minutes`, what an attempt counts in, by all that tells attempts apart."""
        self._lately = Lately()
        self._speeds: dict[str, Speed] = {}
        self._measured = -inf
        self._watched: Watched | None = None

    def record(self, metric: ProviderExecutionMetric) -> None:
        """Count an attempt. Nothing is computed or written here: that happens when somebody asks, or beside the calls."""
        self._waiting.append(metric)
        if len(self._waiting) >= FOLD:
            self.fold()

    def judge(self, model_id: str, task: str, good: float, worth: float) -> None:
        """Count a judgement of an answer.

        Args:
            good: 0 (wrong) to 1 (right).
            worth: answers that it is worth.
        """
        provider, _, model = model_id.partition("/")
        series = self._minute(self._clock()).series.setdefault(Key(provider, model, task), Series())
        series.judged += worth
        series.won += good * worth

    def lately(self) -> Mapping[str, Speed]:
        """How fast models were in the last minutes, by id: what this process heard, and what the store had of the others when it was last
        looked at."""
        if self._clock() - self._measured >= MEASURED_SECONDS:
            self.measure()
        return self._speeds

    def measure(self, stored: Mapping[int, Batch] | None = None) -> None:
        """Work out anew how fast models are.

        Args:
            stored: what the store has of all processes, by minute since 1970; of minutes that are not there it has what it had.
        """
        self.fold()
        for minute, batch in (stored or {}).items():
            self._lately.store(minute, batch)
        self._measured = self._clock()
        self._speeds = self._lately.speeds(self._measured, self._minutes)

    def wrote(self, minute: int, batch: Batch) -> None:
        """Something that was taken is in the store now."""
        self._lately.store(minute, batch, more=True)

    @property
    def changed(self) -> bool:
        """Whether there is something to write down."""
        return bool(self._waiting or self._minutes)

    def take(self) -> dict[int, Batch]:
        """What was heard since it was last taken, by minute since 1970; whoever could not write it down `gives` it back."""
        self.fold()
        taken, self._minutes = self._minutes, {}
        self._open = {}
        return taken

    def give(self, taken: dict[int, Batch]) -> None:
        for minute, batch in taken.items():
            self._minutes.setdefault(minute, Batch()).merge(batch)

    def unwritten(self, since: float, until: float) -> Batch:
        """What no store has yet, of the minutes that begin from `since` to before `until`."""
        self.fold()
        total = Batch()
        for minute, batch in self._minutes.items():
            if since <= minute * 60 + 59 and minute * 60 < until:
                total.merge(batch)
        return total

    def watch(self, metrics: Metrics) -> None:
        """Have everything heard from now on counted in `metrics`, for Prometheus, too."""
        self._watched = Watched(metrics)
        metrics.before.append(self.fold)

    def fold(self) -> None:
        """Add up what waits."""
        waiting, self._waiting = self._waiting, []
        for metric in waiting:
            self._add(metric)
            if self._watched is not None:
                self._watched.count(metric)

    def _minute(self, at: float) -> Batch:
        return self._minutes.setdefault(int(at // 60), Batch())

    def _add(self, metric: ProviderExecutionMetric) -> None:
        # Taken apart at once: by name every part would cost as much as adding it up.
        provider, model, task, *tokens, cost, latency, first, success, calls, error, _, _, user, at, phase, tool, prompt = metric
        read, written, cached, stored, thought = tokens
        of = at // 60, provider, model, task, prompt, user, phase, tool
        series, spending = self._open.get(of) or self._opened(metric, of)
        series.requests += 1
        series.cost += cost
        series.tokens_in += read
        series.tokens_out += written
        series.cached_in += cached
        series.cache_write += stored
        series.reasoning_out += thought
        series.tool_calls += calls
        if success:
            series.succeeded += 1
            series.latency.add(latency)
        else:
            series.errors[error or "unknown"] += 1
        if first is not None:
            series.first.add(first)
        spending.requests += 1
        spending.cost += cost
        spending.tokens += read + written

    def _opened(self, metric: ProviderExecutionMetric, of: tuple[object, ...]) -> tuple[Series, Spending]:
        batch = self._minute(metric.timestamp)
        key = Key(metric.provider_id, metric.model, metric.task_type, metric.prompt_version)
        cost_key = CostKey(*key[:3], metric.user_id, metric.tool, metric.phase)
        opened = self._open[of] = batch.series.setdefault(key, Series()), batch.costs.setdefault(cost_key, Spending())
        return opened


class Watched:
    """Counts for Prometheus; labels come from a small set."""

    def __init__(self, metrics: Metrics) -> None:
        of = ("provider", "model")
        self._requests = metrics.counter("toolgate_model_requests_total", "Attempts at language models", *of, "task", "ending")
        self._tokens = metrics.counter("toolgate_model_tokens_total", "Tokens of language models", *of, "kind")
        self._cost = metrics.counter("toolgate_model_cost_usd_total", "US dollars spent on language models", *of)
        bounds = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
        self._seconds = metrics.histogram("toolgate_model_seconds", "Seconds of whole answers", *of, bounds=bounds)
        self._first = metrics.histogram("toolgate_model_first_token_seconds", "Seconds until an answer began", *of, bounds=bounds)
        self._names: set[str] = set()

    def count(self, metric: ProviderExecutionMetric) -> None:
        name = metric.model
        if metric.model_id not in self._names:
            if len(self._names) < NAMES:
                self._names.add(metric.model_id)
            else:
                name = OTHERS
        of = metric.provider_id, name
        self._requests.add(*of, metric.task_type, metric.error_type or "ok")
        plain = metric.tokens_in - metric.cached_in - metric.cache_write
        told = {"input": plain, "cached": metric.cached_in, "cache_written": metric.cache_write, "output": metric.tokens_out}
        for kind, tokens in told.items():
            if tokens:
                self._tokens.add(*of, kind, amount=tokens)
        self._cost.add(*of, amount=metric.cost / 1e6)
        if metric.success:
            self._seconds.add(metric.latency_ms / 1000, *of)
        if metric.ttft_ms is not None:
            self._first.add(metric.ttft_ms / 1000, *of)
