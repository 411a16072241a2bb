from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.money import MOST, Micros, Price, dollars, micros, shown, told

AMOUNTS = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (5000, "$0.005"), (20_000_000, "$20.00"), (1, "$0.000001"), (1_230_000, "$1.23"), (-500_000, "-$0.50")],
)
def test_dollars_have_two_decimals_or_as_many_as_they_need(amount: Micros, text: str) -> None:
    assert dollars(amount) == text


@given(AMOUNTS)
def test_what_is_shown_is_the_number_it_was(amount: Micros) -> None:
    said = shown(amount)

    assert (said["micros"], micros(Decimal(said["usd"])), micros(Decimal(dollars(amount)[1:]))) == (amount, amount, amount)


@given(st.decimals(0, 10**9, allow_nan=False, places=12))
def test_a_price_is_rounded_up_and_by_less_than_a_micro_dollar(price: Decimal) -> None:
    assert 0 <= micros(price) - price * 1_000_000 < 1


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0.0125", 12_500),
        ("0", 0),
        (" 1 ", 1_000_000),
        ("1e-7", 1),
        ("1000000", MOST),
        ("1000001", None),
        ("-0.01", None),
        ("NaN", None),
        ("Infinity", None),
        ("1e999999999", None),
        ("$1", None),
        ("1_0", None),
        ("\u0661", None),  # an Arabic one
        ("", None),
        (None, None),
    ],
)
def test_what_another_machine_says_is_a_price_or_nothing(text: str | None, amount: Micros | None) -> None:
    assert told(text) == amount


@pytest.mark.parametrize(
    ("price", "free", "reserve", "cost"),
    [
        (Price(), True, 0, 0),
        (Price(call=5), False, 5, 5),
        (Price(call=5, most=9), False, 9, 5),
        (Price(mebibyte=1024, most=99), False, 99, 2),
        (Price(call=5, mebibyte=1, most=99), False, 99, 6),
        (Price(header="X-Cost", most=9), False, 9, 9),
    ],
)
def test_what_is_reserved_and_what_2048_bytes_cost(price: Price, free: bool, reserve: Micros, cost: Micros) -> None:
    assert (price.free, price.reserve, price.of(2048)) == (free, reserve, cost)
