"""How values are spread, in buckets whose bounds grow by the same factor: merged by adding, and read within 1 %.

A bucket holds the values from GAMMA^(i-1) to GAMMA^i and is read as the value whose relative distance to both ends is the
same, (GAMMA - 1) / (GAMMA + 1), one hundredth. Two histograms have the same buckets, so those of several minutes, models or
processes add up to the one that all their values would have made, which averages of percentiles never do. Pure.

Source: Masson, Rim, Lee 2019, DDSketch (arXiv:1908.10693), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log

ERROR = 0.01
"""Relative, of what `quantile` says."""
GAMMA = (1 + ERROR) / (1 - ERROR)
SCALE = 1 / log(GAMMA)
LEAST, MOST = 1e-3, 1e9
"""What is smaller or larger counts as this: with milliseconds, a microsecond and eleven days. At most 1,382 buckets."""


class Histogram:
    __slots__ = ("counts", "sum")

    def __init__(self, counts: Mapping[int, int] | None = None, sum: float = 0.0) -> None:
        self.counts: dict[int, int] = dict(counts or {})
        """Values by bucket."""
        self.sum = sum

    def add(self, value: float) -> None:
        bucket = ceil(log(LEAST if value < LEAST else MOST if value > MOST else value) * SCALE)
        counts = self.counts
        counts[bucket] = counts.get(bucket, 0) + 1
        self.sum += value

    def merge(self, other: Histogram) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.sum += other.sum

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def mean(self) -> float | None:
        """Exact; None: there are no values."""
        return self.sum / len(self) if self.counts else None

    def quantile(self, share: float) -> float | None:
        """The value that `share` of all values do not pass, within 1 %; None: there are no values.

        Args:
            share: 0 to 1.
        """
        if not self.counts:
            return None
        rank, seen = share * (len(self) - 1), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen > rank:
                break
        return 2 * GAMMA**bucket / (GAMMA + 1)

    def to_json(self) -> list[object]:
        return [self.sum, sorted(self.counts.items())]

    @classmethod
    def from_json(cls, said: list[object]) -> Histogram:
        total, counts = said
        assert isinstance(total, int | float)
        assert isinstance(counts, list)
        return cls({int(bucket): int(count) for bucket, count in counts}, float(total))
