from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.llm.calibration import DOUBT, LOSSES, Sample, calibrate, chosen, tariff_of
from toolgate.llm.ridge import predict

MODELS = ("dear", "cheap")
points = st.floats(-20, 20)
curves = st.lists(st.tuples(st.floats(0, 2), points, st.floats(0, 3), st.floats(0, 2)), min_size=1, max_size=12)


def told_by_a_word(rows: int, *, seed: int = 0) -> list[Sample]:
    """Of one task, and one word in each says nearly always whether the cheap model is right."""
    luck = random.Random(seed)
    samples = []
    for _ in range(rows):
        word = luck.choice(("integral", "sum"))
        right = luck.random() < (0.95 if word == "sum" else 0.1)
        samples.append(Sample("maths", f"What is this {word}", 0, (float(luck.random() < 0.9), float(right)), (1000.0, 10.0)))
    return samples


def test_of_what_may_be_lost_the_price_that_saves_most_is_chosen() -> None:
    curve = [(0.0, 0.0, 0.0, 1.0), (0.1, -0.2, 0.0, 0.8), (0.2, -0.4, 0.0, 0.5), (0.3, -0.6, 0.0, 0.3), (0.4, -9.0, 0.0, 0.1)]

    assert chosen(curve, 1.0)[1] == 0.2  # the next stands beside one that loses 9 points


def test_a_loss_that_saves_next_to_nothing_is_not_taken() -> None:
    curve = [(0.1, 0.0, 0.0, 0.30), (0.2, 0.0, 0.0, 0.30), (0.3, -0.9, 0.0, 0.29), (0.4, -0.9, 0.0, 0.29)]

    assert chosen(curve, 1.0)[1] == 0.1


def test_what_few_prompts_say_leaves_the_reference_alone() -> None:
    sure, unsure = [(0.1, -0.5, 0.2, 0.3)], [(0.1, -0.5, 3.0, 0.3)]

    assert chosen(sure, 1.0)[1] == 0.1
    assert chosen(unsure, 1.0) == (1.0, None)


@given(curves, st.sampled_from(LOSSES))
def test_no_price_is_chosen_that_loses_more_than_it_may(curve: list[tuple[float, float, float, float]], loss: float) -> None:
    _, price = chosen(curve, loss)

    fitting = []
    for at, (_, _, error, _) in enumerate(curve):
        near = [each[1] for each in curve[max(0, at - 1) : at + 2]]
        if sum(near) / len(near) - DOUBT * error >= -loss:
            fitting.append(curve[at][0])
    assert price is None or price in fitting


@given(st.lists(st.tuples(points, st.floats(0, 2)), min_size=1, max_size=12))
def test_who_may_lose_more_never_pays_more(found: list[tuple[float, float]]) -> None:
    curve = [(float(number), gained, 0.0, cost) for number, (gained, cost) in enumerate(found)]

    prices = [chosen(curve, loss)[1] for loss in LOSSES]

    spent = [1.0 if price is None else found[int(price)][1] for price in prices]
    assert all(later <= earlier + 1e-9 for earlier, later in pairwise(spent))


def test_a_word_that_tells_who_is_right_is_learned() -> None:
    samples = told_by_a_word(1000)

    calibration = calibrate(MODELS, samples, tariff_of(MODELS, samples))
    easy, hard = (calibration.qualities("maths", f"What is this {word}", 0)["cheap"] for word in ("sum", "integral"))

    assert easy > 0.85
    assert hard < 0.2


def test_a_few_prompts_are_told_apart_by_their_task_alone() -> None:
    samples = told_by_a_word(200)

    calibration = calibrate(MODELS, samples, tariff_of(MODELS, samples))

    assert not calibration.features.words
    assert calibration.qualities("maths", "sum", 0) == calibration.qualities("maths", "integral", 0)


def test_what_is_said_of_a_prompt_is_what_its_vector_predicts() -> None:
    samples = [replace(sample, task=("maths", "sums")[at % 2]) for at, sample in enumerate(told_by_a_word(600))]
    calibration = calibrate(MODELS, samples, tariff_of(MODELS, samples))

    assert calibration.features.words
    assert calibration.features.shaped
    for task in ("maths", "sums", "never heard of"):
        for text in ("", "What is this sum", f"An integral:\n{'7' * 2000}"):
            vector = calibration.features.vector(task, text, 3)
            assert list(calibration.qualities(task, text, 3).values()) == pytest.approx(predict(calibration.weights, vector))
