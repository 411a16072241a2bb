"""A decision among 50 models, with labelled prompts or without, of a task declared or guessed; and one attempt counted."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from string import ascii_lowercase
from typing import Any

from tests.bench.common import tell
from tests.llm.labelled import labelled
from toolgate.calls import Principal
from toolgate.llm.calibration import Sample, calibrate, tariff_of
from toolgate.llm.decision import Decision, Speed
from toolgate.llm.messages import Errand, Prompt, TaskType, User
from toolgate.llm.metrics import Performance, ProviderExecutionMetric
from toolgate.llm.model import Model
from toolgate.llm.router import Router
from toolgate.policy.models import Models

MODELS = tuple(Model("acme", f"m{number}", quality=0.6 + number % 7 / 25) for number in range(50))
SPEEDS = {model.id: Speed(1.0, 1.0) for model in MODELS}
LUCK = random.Random(0)
WORDS = ["".join(LUCK.choices(ascii_lowercase, k=LUCK.randint(2, 9))) for _ in range(400)]


class World:
    def troubled(self) -> Container[str]:
        return ()

    def available(self, model: Model) -> str | None:
        return None

    def lately(self) -> Mapping[str, Speed]:
        return SPEEDS

    def per_token(self, model: Model) -> tuple[float, float]:
        return 1.0 + len(model.id), 3.0 + len(model.id)


def text(letters: int) -> str:
    """Words, some of them often, as in a language."""
    return " ".join(LUCK.choices(WORDS, [1 / (3 + place) for place in range(400)], k=letters // 4))[:letters]


def examples() -> list[Sample]:
    """Labelled prompts in which some words make a difference to half of the models."""
    skills = [{"coding": 0.5 + number % 9 / 20, "chat": 0.5 + number % 5 / 20} for number in range(50)]
    worded = [replace(sample, text=text(300)) for sample in labelled(1200, skills, [10.0 + number for number in range(50)])]
    return [replace(each, ok=tuple(ok * (WORDS[20] in each.text) if n % 2 else ok for n, ok in enumerate(each.ok))) for each in worded]


def spread(work: Callable[[int], Any], rounds: int, then: Callable[[int, Any], object] = lambda number, made: None) -> list[float]:
    """Microseconds of CPU of each, ascending: other work on the machine is not ours."""
    taken = []
    for number in range(rounds):
        before = time.thread_time_ns()
        made = work(number)
        taken.append((time.thread_time_ns() - before) / 1000)
        then(number, made)
    return sorted(taken)


def decide(calibrated: bool, task: TaskType, letters: int) -> None:
    policy = Models.model_validate({"rules": [{"id": "quick", "max_p95": 20, "max_price": 1000}]})
    world = World()
    router = Router(lambda: MODELS, lambda: policy, health=world, speeds=world, rates=world)
    if calibrated:
        ids, samples = [model.id for model in MODELS], examples()
        router.calibration = calibrate(ids, samples, tariff_of(ids, samples))
        assert router.calibration.features.words  # they pay here, so that they are looked for
    errand = Errand(Principal("local:ada", roles=("developer",), tier="pro"), task=task)
    prompts = [Prompt([User(text(letters))]) for _ in range(100)]
    learnt: list[float] = []

    def one(number: int) -> Decision:
        return router.route(prompts[number % 100], errand, 300)

    def then(number: int, decision: Decision) -> None:
        if number % 3 == 0:  # what is heard in between has to be taken into account
            before = time.thread_time_ns()
            router.learn(decision.chain[0].id, decision.task, float(number % 5 > 0), "verifier")
            learnt.append((time.thread_time_ns() - before) / 1000)

    spread(one, 200, then)
    taken = spread(one, 3000, then)
    tell({"p50 µs": taken[1500], "p99 µs": taken[2970], "hearing, p50 µs": sorted(learnt)[len(learnt) // 2]})


def count() -> None:
    performance = Performance()
    metric = ProviderExecutionMetric(
        "acme", "m1", "coding", 300, 50, 100, 0, 0, 700, 800.0, 90.0, True, 1, None, 1, "r", "ada", time.time(), "act", "search"
    )
    rounds = 100_000
    heard = [metric._replace(model=f"m{number % 5}", user_id=f"user-{number % 30}", latency_ms=400.0 + number) for number in range(100)]
    before = time.thread_time_ns()
    for number in range(rounds):
        performance.record(heard[number % 100])
    performance.fold()
    whole = (time.thread_time_ns() - before) / rounds / 1000
    taken = spread(lambda _: performance.record(metric), 2000)
    tell({"record p50 µs": taken[1000], "with the adding up later, µs": whole})


if "count" in sys.argv:
    count()
else:
    decide("calibrated" in sys.argv, "other" if "undeclared" in sys.argv else "coding", 1100 if "long" in sys.argv else 300)
