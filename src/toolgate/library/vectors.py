"""What a text means, as a vector of length one, and which of many are nearest to one. Pure.

The signs of a vector, a bit a dimension, tell roughly which others are near at a hundredth of the cost of all its numbers. So all are
compared by signs, and only the best of these by their cosine.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from operator import mul

MOST_DIMENSIONS = 8192
BYTES = 4
"""Of a number."""
CLOSE = 200
"""Vectors that are compared by cosine: up to so many passages, the ranking is exact."""
EVEN = 60
"""The k of reciprocal rank fusion, its usual value (Cormack, Clarke, Büttcher, SIGIR 2009)."""


@dataclass(frozen=True, slots=True)
class Vector:
    floats: bytes
    """float32, the lowest byte first."""
    signs: bytes
    """A bit a dimension, the first highest; filled up with zeros in front."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of a question."""

    model: str
    """Only vectors of the same model can be compared."""
    vector: Vector


def vector(numbers: Sequence[float]) -> Vector:
    """The vector of length one in the direction of `numbers`.

    Raises:
        ValueError: they are none, too many, or have no direction.
    """
    if not 1 <= len(numbers) <= MOST_DIMENSIONS:
        raise ValueError(f"a vector has from 1 to {MOST_DIMENSIONS} numbers")
    length = math.hypot(*numbers)
    if not (math.isfinite(length) and length > 0):
        raise ValueError("a vector has a direction")
    bits = "".join("1" if number > 0 else "0" for number in numbers)
    floats = struct.pack(f"<{len(numbers)}f", *(number / length for number in numbers))
    return Vector(floats, int(bits, 2).to_bytes(-(-len(bits) // 8), "big"))


def alike(asked: Vector, rows: Iterable[tuple[int, bytes]]) -> list[int]:
    """The ids of the rows, each with the signs of its vector, that have most signs in common with `asked`; the best CLOSE."""
    signs = int.from_bytes(asked.signs, "big")
    return [row[0] for row in nsmallest(CLOSE, rows, key=lambda row: (int.from_bytes(row[1], "big") ^ signs).bit_count())]


def by_cosine(asked: Vector, vectors: Mapping[int, bytes]) -> list[int]:
    """The ids of `vectors`, the nearest first; of equally near ones, the lower id."""
    numbers = _numbers(asked.floats)
    cosines = {one: sum(map(mul, numbers, _numbers(floats))) for one, floats in vectors.items()}
    return sorted(cosines, key=lambda one: (-cosines[one], one))


def fused(*rankings: Sequence[int]) -> list[tuple[int, float]]:
    """Several rankings as one, with its scores: what stands high, and in several, comes first (reciprocal rank fusion)."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, one in enumerate(ranking, 1):
            scores[one] = scores.get(one, 0.0) + 1 / (EVEN + rank)
    return sorted(scores.items(), key=lambda scored: (-scored[1], scored[0]))


def _numbers(floats: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(floats) // BYTES}f", floats)
