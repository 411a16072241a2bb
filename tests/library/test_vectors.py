from __future__ import annotations

import math
import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.library.vectors import CLOSE, alike, by_cosine, fused, vector

NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40).filter(lambda numbers: math.hypot(*numbers) > 1e-3)


@given(NUMBERS)
def test_a_vector_has_length_one_and_a_bit_for_every_number(numbers: list[float]) -> None:
    made = vector(numbers)
    kept = struct.unpack(f"<{len(numbers)}f", made.floats)
    bits = f"{int.from_bytes(made.signs, 'big'):0{len(numbers)}b}"

    assert math.hypot(*kept) == pytest.approx(1, abs=1e-5)
    assert [bit == "1" for bit in bits] == [number > 0 for number in numbers]


@pytest.mark.parametrize("numbers", [[], [0.0, 0.0], [math.nan], [math.inf, 1.0], [1.0] * 8193])
def test_what_has_no_direction_is_no_vector(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="a vector has"):
        vector(numbers)


def test_the_nearest_of_many_is_found_by_signs_and_then_by_cosine() -> None:
    chance = random.Random(7)
    asked = [chance.gauss(0, 1) for _ in range(256)]
    others = {number: vector([chance.gauss(0, 1) for _ in range(256)]) for number in range(2000)}
    near = {2000 + far: vector([one + far / 4 * chance.gauss(0, 1) for one in asked]) for far in range(1, 4)}
    every = others | near

    close = alike(vector(asked), ((number, each.signs) for number, each in every.items()))
    ranked = by_cosine(vector(asked), {number: every[number].floats for number in close})

    assert len(close) == CLOSE
    assert ranked[:3] == [2001, 2002, 2003]


def test_reciprocal_ranks_are_added_up() -> None:
    assert fused([1, 2, 3], [3, 4]) == [(3, 1 / 63 + 1 / 61), (1, 1 / 61), (2, 1 / 62), (4, 1 / 62)]
