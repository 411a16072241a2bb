"""Labelled prompts, read from a file.

The first line is `{"models": [...], "n": N}`; then one prompt a line: `task` (its type), `text`, `ok` (0 to 1 a model, in the order of
`models`), `cost` (US dollars a model, or null), and perhaps `tools` (how many, or the tools), `i`, `lat_s`, `split`. Gzip where the name
ends in `.gz`. Empty lines and a byte order mark are passed over.
"""

from __future__ import annotations

import codecs
import gzip
import logging
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from toolgate.errors import BadDocument, Misconfigured
from toolgate.llm.calibration import Sample
from toolgate.money import MICROS

MOST_ROWS = 200_000
MOST_MODELS = 500
MOST_LINE = 4 * 1024 * 1024
MOST_COST = 1_000_000
"""US dollars of an answer."""
MOST_TASKS = 200
"""Task types told apart: what is learned of `n` of them takes time as `n` cubed."""
OTHER = "other"
log = logging.getLogger("toolgate")


def read_samples(file: Path, least: int = 1) -> tuple[tuple[str, ...], list[Sample]]:
    """The models and the prompts of `file`.

    Args:
        least: prompts that it takes.

    Raises:
        BadDocument: a line is not what it should be; the message says which and why.
        Misconfigured: the file cannot be read.
    """
    lines = _lines(file)
    number, line = next(lines, (1, b""))
    if not line:
        raise _bad(file, number, "the file is empty")
    head = _parsed(file, number, line)
    names = head.get("models")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise _bad(file, number, 'the first line has to be {"models": ["a name", …]}')
    if len(set(names)) != len(names) or len(names) > MOST_MODELS:
        raise _bad(file, number, f"models have to be at most {MOST_MODELS} different names")
    samples = []
    for number, line in lines:
        samples.append(_sample(file, number, _parsed(file, number, line), len(names)))
        if len(samples) > MOST_ROWS:
            raise _bad(file, number, f"more than {MOST_ROWS} prompts are not read")
    if len(samples) < least:
        raise _bad(file, number, f"after the first line there are {len(samples)} prompts, and it takes {least}")
    said = head.get("n")
    if isinstance(said, int) and said != len(samples):
        log.warning("%s says that it has %s prompts, and has %s", file, said, len(samples))
    return tuple(names), _gathered(samples)


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as opened:
            while line := opened.readline(MOST_LINE + 1):
                number += 1
                if len(line) > MOST_LINE:
                    raise _bad(file, number, f"it is longer than {MOST_LINE} bytes")
                line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if line.strip():
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _bad(file, number + 1, f"the file is not whole gzip: {error}") from error
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror or error}") from error


def _parsed(file: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise _bad(file, number, f"it is not JSON: {error}") from None
    if not isinstance(said, dict):
        raise _bad(file, number, "it has to be a JSON object")
    return said


def _sample(file: Path, number: int, said: dict[str, Any], models: int) -> Sample:
    task, text, tools = said.get("task"), said.get("text"), said.get("tools")
    if not isinstance(text, str | None) or not isinstance(task, str | None):
        raise _bad(file, number, "task and text have to be strings")
    ok = _numbers(file, number, said, "ok", models, 1)
    if None in ok:
        raise _bad(file, number, "ok has to hold numbers from 0 to 1, and has null; leave out prompts that a model was not asked")
    cost = _numbers(file, number, said, "cost", models, MOST_COST) if said.get("cost") is not None else [None] * models
    micros = tuple(None if each is None else each * MICROS for each in cost)
    count = len(tools) if isinstance(tools, list | dict) else int(tools) if isinstance(tools, int | float) else 0
    return Sample(task or OTHER, text or "", max(0, count), tuple(each or 0.0 for each in ok), micros)


def _numbers(file: Path, number: int, said: dict[str, Any], key: str, models: int, most: int) -> list[float | None]:
    values = said.get(key)
    if not isinstance(values, list) or len(values) != models:
        there = f"{len(values)} values" if isinstance(values, list) else "no list"
        raise _bad(file, number, f"{key} has to hold a value for each of the {models} models, and there is {there}")
    for value in values:
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= most):
            raise _bad(file, number, f"{key} has to hold numbers from 0 to {most}")
    return [None if value is None else float(value) for value in values]


def _gathered(samples: Sequence[Sample]) -> list[Sample]:
    """With the rarest task types as `OTHER`, where there are too many."""
    counts = Counter(sample.task for sample in samples)
    kept = set(sorted(counts, key=lambda task: (-counts[task], task))[:MOST_TASKS])
    return [sample if sample.task in kept else replace(sample, task=OTHER) for sample in samples]


def _bad(file: Path, number: int, why: str) -> BadDocument:
    return BadDocument(f"{file}, line {number}: {why}", number)
