from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.llm.router import draw
from toolgate.llm.scoring import NOTHING, Tally, believe, by_price, deviation, doubt, effect, exploring, half, interval

shares = st.floats(min_value=0, max_value=1)
counts = st.integers(min_value=1, max_value=1000)


@given(shares, shares, counts)
def test_a_belief_lies_between_what_was_expected_and_what_was_seen(expected: float, seen_share: float, n: int) -> None:
    """Convexity: a weighted mean of the prior and the record, whatever the weights."""
    record = Tally(seen_share * n, n)

    found = effect(expected, record, record)

    assert min(expected, seen_share) - 1e-9 <= found <= max(expected, seen_share) + 1e-9


@given(shares, counts, counts)
def test_more_observations_of_the_same_make_surer_and_come_nearer(share: float, few: int, more: int) -> None:
    tallies = [Tally((share - 0.5) * n, n) for n in (few, few + more)]
    (less, much), lowered = believe([0.5 + effect(0.0, each, each) for each in tallies], [doubt(20 + each.seen) for each in tallies])
    wide, narrow = (deviation(mean, sure) for mean, sure in zip((less, much), lowered, strict=True))

    assert narrow <= wide * (1 + 0.2)  # near 0 and 1 the mean itself moves the deviation a little
    assert abs(much - share) <= abs(less - share) + 1e-9


def test_of_nothing_what_was_expected_is_believed() -> None:
    assert believe([0.7 + effect(0.1, NOTHING, NOTHING)], [doubt(20)])[0] == [pytest.approx(0.8)]


@given(shares, st.floats(min_value=0, max_value=1e6))
def test_less_is_tried_the_more_was_seen_and_never_more_than_the_share(share: float, seen: float) -> None:
    assert exploring(share, seen + 1) <= exploring(share, seen) <= share


@given(st.integers(min_value=0, max_value=500), st.integers(min_value=1, max_value=500))
def test_an_interval_holds_its_share_and_lies_between_0_and_1(won: int, lost: int) -> None:
    seen = won + lost
    low, high = interval(won, seen)

    assert 0 <= low <= won / seen <= high <= 1


def test_an_observation_counts_half_after_its_half_life() -> None:
    assert (half(0, 60), half(60, 60), half(120, 60)) == (1.0, 0.5, 0.25)


def test_dearer_models_are_expected_to_be_better_and_one_price_says_nothing() -> None:
    assert by_price({"a": 1.0, "b": 10.0, "c": 5.0}) == {"a": 0.3, "b": 0.7, "c": 0.5}
    assert by_price({"a": 1.0, "b": 1.0}) == {"a": 0.5, "b": 0.5}


def test_numbers_drawn_are_spread_evenly() -> None:
    drawn = [draw(7, number) for number in range(10_000)]

    assert 0.49 < sum(drawn) / len(drawn) < 0.51
    assert all(900 < sum(tenth / 10 <= each < (tenth + 1) / 10 for each in drawn) < 1100 for tenth in range(10))
