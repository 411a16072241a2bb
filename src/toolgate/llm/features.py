"""What can be told of a prompt without a model: its task, its length and shape, and which of some hundred words it holds. Pure.

The words are those of the labelled prompts that divide them best: neither in nearly all nor in nearly none. To look words up costs
less than to hash them, and two words never share a weight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log, log1p, sqrt
from operator import mul
from string import ascii_letters, digits
from typing import Any

LETTERS, DIGITS = (bytes(each if each in kept.encode() else 32 for each in range(256)).lower() for kept in (ascii_letters, digits))
"""Of bytes in UTF-8: what is no letter, or no digit, is a space; letters are small."""
LOOKED_AT = 1500
"""Characters of a prompt whose words count; the length is that of the whole."""
WORDS = 200
SHAPES = 4
PLENTY = 100  # labelled prompts of a task from which on length and shape have a meaning of their own in it

# How far a weight may go, against that of the intercept: measured on two public sets by leaving one out, and not sharp.
INTERCEPT, TASK, SHAPE, TEXT = 3.0, 3.0, 0.5, 0.6

Vector = tuple[list[int], list[float]]
"""Indices, and their values; all others are zero."""


@dataclass(frozen=True)
class Features:
    tasks: Mapping[str, int]
    """Index of each known task type."""
    shaped: Mapping[str, int]
    """First index of a task's own length and shape."""
    middle: tuple[float, ...]
    spread: tuple[float, ...]
    """Of length and shape: mean and deviation over the labelled prompts."""
    shape_at: int
    """Index of the first of length and shape; 0: they are left out."""
    words: Mapping[str, tuple[int, float]]
    """Index and weight of each known word."""
    size: int

    @cached_property
    def _characters(self) -> Sequence[tuple[str, int]]:
        """Words of one character that is neither letter nor digit, and their indices."""
        return [(word, index) for word, (index, _) in self.words.items() if len(word) == 1 and not word.isdigit()]

    @cached_property
    def _indices(self) -> Mapping[str, int]:
        return {word: index for word, (index, _) in self.words.items()}

    @cached_property
    def weights(self) -> Sequence[float]:
        """Of words, by index; of all else 0."""
        weights = dict(self.words.values())
        return [weights.get(index, 0.0) for index in range(self.size)]

    def vector(self, task: str, text: str, tools: int) -> Vector:
        indices, values = self.plain(task)
        shape, words = self.found(text, tools)
        for first in self.shaping(task):
            indices += range(first, first + SHAPES)
            values += [SHAPE * each for each in shape]
        if words:
            weights = [self.weights[index] for index in words]
            share = TEXT / sqrt(sum(map(mul, weights, weights)))
            indices += words
            values += [weight * share for weight in weights]
        return indices, values

    def plain(self, task: str) -> Vector:
        """What a prompt's task alone makes of its vector."""
        known = self.tasks.get(task)
        return ([0], [INTERCEPT]) if known is None else ([0, known], [INTERCEPT, TASK])

    def shaping(self, task: str) -> list[int]:
        """The first index of each length and shape that count for a task."""
        return [first for first in (self.shape_at, self.shaped.get(task)) if first]

    def found(self, text: str, tools: int) -> tuple[Sequence[float], list[int]]:
        """Length and shape, in deviations from the mean, and indices of the known words that are there."""
        if not self.shape_at:
            return (0.0,) * SHAPES, []
        said = _small(text)
        letters, figures = runs_of(said)
        far = [(value - mean) / one for value, mean, one in zip(_shape(text, figures, tools), self.middle, self.spread, strict=True)]
        shape = [-3.0 if each < -3.0 else 3.0 if each > 3.0 else each for each in far]
        # In the text's order, and so with one sum in every process. No word has the index 0.
        words = list(dict.fromkeys(filter(None, map(self._indices.get, letters + figures))))
        words += [index for each, index in self._characters if each in said]
        return shape, words

    def to_json(self) -> dict[str, Any]:
        return {
            "tasks": dict(self.tasks),
            "shaped": dict(self.shaped),
            "middle": list(self.middle),
            "spread": list(self.spread),
            "shape_at": self.shape_at,
            "words": {word: [index, round(weight, 6)] for word, (index, weight) in self.words.items()},
            "size": self.size,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Features:
        words = {word: (int(index), float(weight)) for word, (index, weight) in said["words"].items()}
        shape = tuple(said["middle"]), tuple(said["spread"])
        return cls(said["tasks"], said["shaped"], *shape, said["shape_at"], words, said["size"])


def _small(text: str) -> str:
    """What is looked at, in small letters but for those that `runs_of` makes small."""
    said = text[:LOOKED_AT]
    return said if said.isascii() else said.lower()


def runs_of(said: str) -> tuple[list[str], list[str]]:
    """Runs of letters, and those of digits: in a third of the time that a pattern takes, which is that of a decision."""
    whole = said.encode(errors="replace")
    return whole.translate(LETTERS).decode().split(), whole.translate(DIGITS).decode().split()


def words_of(text: str) -> set[str]:
    """Words of two letters and more, numbers, and every other character by itself."""
    said = _small(text)
    letters, figures = runs_of(said)
    words = {run for run in letters if len(run) > 1}.union(figures)
    return words | {each for each in set(said) if not (each.isspace() or (each.isascii() and each.isalnum()))}


def shape_of(text: str, tools: int) -> tuple[float, ...]:
    """Length, digits, lines and tools, on scales on which they are spread evenly."""
    return _shape(text, runs_of(text[:LOOKED_AT])[1], tools)


def _shape(text: str, figures: Sequence[str], tools: int) -> tuple[float, ...]:
    share = sum(map(len, figures)) / (min(len(text), LOOKED_AT) + 1)
    return log(len(text) + 1), share, log1p(text.count("\n", 0, LOOKED_AT)), log1p(tools)


def features_of(prompts: Sequence[tuple[str, str, int]], *, words: bool) -> Features:
    """Those that tell `prompts` apart, each a task, a text and a number of tools.

    Args:
        words: words, length and shape count as well as the task.
    """
    counts = Counter(task for task, _, _ in prompts)
    tasks = {task: index for index, task in enumerate(sorted(counts), 1)}
    size = 1 + len(tasks)
    shaped: dict[str, int] = {}
    known: dict[str, tuple[int, float]] = {}
    middle, spread = _spread([shape_of(text, tools) for _, text, tools in prompts])
    shape_at = size if words else 0
    if words:
        size += SHAPES
        for task in tasks if len(tasks) > 1 else ():
            if counts[task] >= PLENTY:
                shaped[task] = size
                size += SHAPES
        for word, weight in _dividing([text for _, text, _ in prompts]):
            known[word] = (size, weight)
            size += 1
    return Features(tasks, shaped, middle, spread, shape_at, known, size)


def _spread(shapes: Sequence[tuple[float, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    n = len(shapes)
    middle = tuple(sum(column) / n for column in zip(*shapes, strict=True))
    variance = (sum((value - mean) ** 2 for value in column) / n for column, mean in zip(zip(*shapes, strict=True), middle, strict=True))
    return middle, tuple(sqrt(each) if each > 1e-12 else 1e9 for each in variance)  # what never varies says nothing


def _dividing(texts: Sequence[str]) -> list[tuple[str, float]]:
    """The words that divide `texts` best, each with its inverse document frequency."""
    n = len(texts)
    within = Counter(word for text in texts for word in words_of(text))
    dividing = [(-count * (1 - count / n), word) for word, count in within.items() if max(5, n * 0.005) <= count <= n * 0.6]
    return [(word, log(n / within[word])) for _, word in sorted(dividing)[:WORDS]]
