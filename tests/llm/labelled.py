"""Labelled prompts made for tests."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path

from toolgate.llm.calibration import Sample


def labelled(rows: int, skills: Sequence[dict[str, float]], costs: Sequence[float | None], *, seed: int = 0) -> list[Sample]:
    """Prompts of the tasks that `skills` name, answered right as often as they say, by model."""
    luck = random.Random(seed)
    tasks = sorted(skills[0])
    samples = []
    for number in range(rows):
        task, hard = tasks[number % len(tasks)], luck.random()
        ok = tuple(float(luck.random() * 0.5 + hard * 0.5 < skill[task]) for skill in skills)
        samples.append(Sample(task, f"{task} number {number} of {rows}", 0, ok, tuple(costs)))
    return samples


def write(file: Path, models: Sequence[str], samples: Sequence[Sample]) -> Path:
    lines = [{"models": list(models), "n": len(samples)}]
    for number, sample in enumerate(samples):
        cost = [None if each is None else each / 1e6 for each in sample.cost]
        lines.append({"i": number, "task": sample.task, "text": sample.text, "ok": list(sample.ok), "cost": cost})
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    return file
