"""What others may watch: OpenTelemetry's names in one place, and counts that Prometheus reads.

The names follow OpenTelemetry's semantic conventions for generative AI and MCP. The counts are kept here, in plain mappings:
`prometheus_client` would do the same for 11 ms of every start and 1.1 µs a count, where these take nothing and 0.2 µs
(measured), and its text format is ten lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

OPERATION = "gen_ai.operation.name"
TOOL = "gen_ai.tool.name"
CALL_ID = "gen_ai.tool.call.id"
INTEGRATION = "toolgate.integration"
DEPTH = "toolgate.depth"
PROBLEM = "error.type"
LIMITS_LOCAL = "toolgate.limits.local"

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `Metrics.exposition`."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Prometheus' own buckets, and the timeout that a call has when nobody says otherwise."""


@dataclass(slots=True)
class Counter:
    """Something that happens, by labels."""

    labels: tuple[str, ...]
    values: dict[tuple[str, ...], float] = field(default_factory=dict)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count one, or `amount`. Labels come from a small set: names and codes, never what a caller wrote."""
        self.values[labels] = self.values.get(labels, 0) + amount

    def samples(self) -> Iterator[tuple[str, str, float]]:
        for labels, value in sorted(self.values.items()):
            yield "", _labels(self.labels, labels), value


@dataclass(slots=True)
class Gauge:
    """Something that is so now."""

    read: Callable[[], float]

    def samples(self) -> Iterator[tuple[str, str, float]]:
        yield "", "", self.read()


@dataclass(slots=True)
class Histogram:
    """How long something took, by labels."""

    labels: tuple[str, ...]
    bounds: Sequence[float]
    """Upper ones, ascending, in seconds."""
    values: dict[tuple[str, ...], tuple[list[int], list[float]]] = field(default_factory=dict)
    """How many there are between the bounds, and the sum."""

    def add(self, seconds: float, *labels: str) -> None:
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = ([0] * (len(self.bounds) + 1), [0.0])
        found[0][bisect_left(self.bounds, seconds)] += 1
        found[1][0] += seconds

    def samples(self) -> Iterator[tuple[str, str, float]]:
        for labels, (counts, total) in sorted(self.values.items()):
            for bound, count in zip((*map(str, self.bounds), "+Inf"), accumulate(counts), strict=True):
                yield "_bucket", _labels((*self.labels, "le"), (*labels, bound)), count
            yield "_sum", _labels(self.labels, labels), total[0]
            yield "_count", _labels(self.labels, labels), sum(counts)


class Metrics:
    """All counts of a process."""

    def __init__(self) -> None:
        self._kinds: dict[str, tuple[str, str, Counter | Gauge | Histogram]] = {}
        self.before: list[Callable[[], object]] = []
        """Run whenever somebody is about to look."""

    def counter(self, name: str, about: str, *labels: str) -> Counter:
        counter = Counter(labels)
        self._add(name, "counter", about, counter)
        return counter

    def gauge(self, name: str, about: str, read: Callable[[], float]) -> None:
        """
        Args:
            read: asked whenever somebody looks.
        """
        self._add(name, "gauge", about, Gauge(read))

    def histogram(self, name: str, about: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Histogram:
        histogram = Histogram(labels, bounds)
        self._add(name, "histogram", about, histogram)
        return histogram

    def exposition(self) -> str:
        """Everything, in Prometheus' text format 0.0.4."""
        for prepare in self.before:
            prepare()
        lines = []
        for name, (kind, about, metric) in self._kinds.items():
            lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
            lines += [f"{name}{suffix}{labels} {value:.12g}" for suffix, labels, value in metric.samples()]
        return "\n".join((*lines, ""))

    def _add(self, name: str, kind: str, about: str, metric: Counter | Gauge | Histogram) -> None:
        assert name not in self._kinds, f"two metrics are called {name}"
        self._kinds[name] = kind, about, metric


def _labels(names: Sequence[str], values: Sequence[str]) -> str:
    if not names:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(names, values, strict=True)) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
