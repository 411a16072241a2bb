"""What attempts add up to: mergeable counts, and what people ask of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, NamedTuple, get_args

from toolgate.llm.histogram import Histogram
from toolgate.llm.scoring import interval
from toolgate.money import Micros, shown

By = Literal["provider", "model", "task", "prompt"]
BY: tuple[By, ...] = get_args(By)
Of = Literal["provider", "model", "task", "user", "tool", "phase"]
COSTS_BY: tuple[Of, ...] = get_args(Of)
OTHERS = "(others)"


class Key(NamedTuple):
    provider: str
    model: str
    task: str
    prompt: str = ""
    """Version of the prompt template; empty: none was used, or it was written down before versions were."""


class CostKey(NamedTuple):
    provider: str
    model: str
    task: str
    user: str
    tool: str
    phase: str


@dataclass(slots=True)
class Series:
    """Attempts, and judgements of answers, of one model at one task type."""

    requests: int = 0
    succeeded: int = 0
    cost: Micros = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cached_in: int = 0
    cache_write: int = 0
    reasoning_out: int = 0
    tool_calls: int = 0
    judged: float = 0.0
    """Answers that somebody judged, weighted."""
    won: float = 0.0
    """Of them the right ones; a half counts half."""
    errors: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    """Milliseconds of the attempts that succeeded."""
    first: Histogram = field(default_factory=Histogram)
    """Milliseconds until the first piece."""

    def merge(self, other: Series) -> None:
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.errors.update(other.errors)
        self.latency.merge(other.latency)
        self.first.merge(other.first)

    def to_json(self) -> dict[str, Any]:
        said: dict[str, Any] = {name: value for name in COUNTS if (value := getattr(self, name))}
        if self.errors:
            said["errors"] = dict(self.errors)
        for name in ("latency", "first"):
            histogram: Histogram = getattr(self, name)
            if histogram.counts:
                said[name] = histogram.to_json()
        return said

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Series:
        read = cls(**{name: said[name] for name in COUNTS if name in said})
        read.errors = Counter(said.get("errors", {}))
        read.latency = Histogram.from_json(said.get("latency", NONE))
        read.first = Histogram.from_json(said.get("first", NONE))
        return read


NONE: list[object] = [0.0, []]
COUNTS = tuple(each.name for each in fields(Series) if each.name not in ("errors", "latency", "first"))


@dataclass(slots=True)
class Spending:
    """What requests of one kind cost."""

    requests: int = 0
    cost: Micros = 0
    tokens: int = 0

    def merge(self, other: Spending) -> None:
        self.requests += other.requests
        self.cost += other.cost
        self.tokens += other.tokens


@dataclass(slots=True)
class Batch:
    """All that was heard in some time."""

    series: dict[Key, Series] = field(default_factory=dict)
    costs: dict[CostKey, Spending] = field(default_factory=dict)

    def merge(self, other: Batch, most: int = 0) -> None:
        """
        Args:
            most: lines of costs; what is more is added up without user and tool. 0: any number.
        """
        for key, series in other.series.items():
            self.series.setdefault(key, Series()).merge(series)
        for of, spending in other.costs.items():
            if most and of not in self.costs and len(self.costs) >= most:
                of = of._replace(user=OTHERS, tool=OTHERS)
            self.costs.setdefault(of, Spending()).merge(spending)

    def to_json(self) -> dict[str, Any]:
        costs = [[*of, each.requests, each.cost, each.tokens] for of, each in self.costs.items()]
        return {"series": [[*key, series.to_json()] for key, series in self.series.items()], "costs": costs}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Batch:
        series = {Key(*key): Series.from_json(body) for *key, body in said["series"]}
        costs = {CostKey(*of): Spending(requests, cost, tokens) for *of, requests, cost, tokens in said["costs"]}
        return cls(series, costs)


def stats(batch: Batch, by: Sequence[By]) -> list[dict[str, Any]]:
    """How models did, told apart by `by`, in its order; those that were not asked are left out.

    Latencies are of attempts that succeeded, in milliseconds, percentiles within 1 %; a mean cost is in micro-US-dollars.
    """
    grouped: dict[tuple[str, ...], Series] = {}
    for key, series in batch.series.items():
        grouped.setdefault(tuple(getattr(key, name) for name in by), Series()).merge(series)
    return [{**dict(zip(by, of, strict=True)), **_stats(series)} for of, series in sorted(grouped.items()) if series.requests]


def _stats(series: Series) -> dict[str, Any]:
    measured = {
        "success_rate": series.succeeded / series.requests,
        "avg_latency_ms": series.latency.mean,
        "p50_latency_ms": series.latency.quantile(0.5),
        "p95_latency_ms": series.latency.quantile(0.95),
        "p99_latency_ms": series.latency.quantile(0.99),
        "p50_first_token_ms": series.first.quantile(0.5),
        "p95_first_token_ms": series.first.quantile(0.95),
        "avg_cost_per_request": series.cost / series.requests,
    }
    return {
        "total_requests": series.requests,
        **{name: None if value is None else round(value, 4) for name, value in measured.items()},
        "total_tokens_in": series.tokens_in,
        "total_tokens_out": series.tokens_out,
        "cached_in": series.cached_in,
        "cache_write": series.cache_write,
        "reasoning_out": series.reasoning_out,
        "tool_calls": series.tool_calls,
        "total_cost": shown(series.cost),
        "errors": dict(series.errors),
    }


class LastError(NamedTuple):
    minute: int
    """Since 1970."""
    model: str
    """Its id."""
    reason: str


def last_errors(minutes: Mapping[int, Batch], reasons: Container[str]) -> Mapping[str, LastError]:
    """By provider, the last minute with an error for one of `reasons`; of several within it, the one met most."""
    found: dict[str, tuple[int, int, LastError]] = {}
    for minute, batch in minutes.items():
        for key, series in batch.series.items():
            for reason, count in series.errors.items():
                if reason in reasons:
                    error = minute, count, LastError(minute, f"{key.provider}/{key.model}", reason)
                    found[key.provider] = max(found.get(key.provider, error), error)
    return {provider: error for provider, (_, _, error) in found.items()}


def wins(batch: Batch, task: str = "") -> list[dict[str, Any]]:
    """By task type, the best first: which share of its judged answers was right, with the interval that holds it 95 times of 100."""
    grouped: dict[tuple[str, str, str], Series] = {}
    for key, series in batch.series.items():
        if series.judged and task in ("", key.task):
            grouped.setdefault((key.task, key.provider, key.model), Series()).merge(series)
    lines = []
    for (of, provider, model), series in grouped.items():
        low, high = interval(series.won, series.judged)
        line = {"task": of, "provider": provider, "model": model, "win_rate": round(series.won / series.judged, 4)}
        lines.append(line | {"low": round(low, 4), "high": round(high, 4), "judged": round(series.judged, 2)})
    return sorted(lines, key=lambda line: (line["task"], -float(line["win_rate"]), line["provider"], line["model"]))


def costs(batch: Batch, by: Sequence[Of]) -> list[dict[str, Any]]:
    """What was spent on requests, told apart by `by`, the dearest first."""
    grouped: dict[tuple[str, ...], Spending] = {}
    for key, spending in batch.costs.items():
        grouped.setdefault(tuple(getattr(key, name) for name in by), Spending()).merge(spending)
    lines = sorted(grouped.items(), key=lambda each: (-each[1].cost, each[0]))
    return [
        {**dict(zip(by, of, strict=True)), "requests": each.requests, "tokens": each.tokens, "cost": shown(each.cost)} for of, each in lines
    ]
