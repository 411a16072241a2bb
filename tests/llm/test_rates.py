"""The arithmetic of token prices."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from toolgate.llm.messages import Tokens
from toolgate.llm.rates import Rates, flat, step

CLAUDE = flat(Decimal(3), Decimal(15), Decimal("0.3"), Decimal("3.75"), Decimal(6))


def test_each_token_counts_once_at_the_rate_of_what_it_is() -> None:
    tokens = Tokens(input=1_000_000, output=100_000, cached=500_000, cache_written=300_000, cache_written_1h=100_000, reasoning=60_000)

    cost = CLAUDE.cost(tokens)

    # 200,000 plain at $3, 500,000 read at $0.30, 200,000 written at $3.75, 100,000 for an hour at $6, 100,000 out at $15
    assert cost == 600_000 + 150_000 + 750_000 + 600_000 + 1_500_000


def test_a_cached_token_without_a_rate_of_its_own_costs_what_others_do() -> None:
    assert flat(Decimal(2), Decimal(8)).cost(Tokens(input=100, cached=40, cache_written=30)) == 200


def test_a_part_of_a_micro_dollar_is_a_whole_one() -> None:
    assert flat(Decimal("0.1"), Decimal(0)).cost(Tokens(input=1)) == 1
    assert flat(Decimal("0.1"), Decimal(0)).cost(Tokens(input=10)) == 1


def test_a_large_input_moves_the_whole_request_to_the_dearer_step() -> None:
    rates = Rates((step(-1, [Decimal(3), Decimal(15), None, None, None]), step(200_000, [Decimal(6), Decimal(22), None, None, None])))

    assert rates.cost(Tokens(input=200_000, output=10)) == 600_000 + 150
    assert rates.cost(Tokens(input=200_001, output=10)) == 1_200_006 + 220


@given(
    plain=st.integers(0, 10**6),
    cached=st.integers(0, 10**6),
    written=st.integers(0, 10**6),
    output=st.integers(0, 10**5),
)
def test_the_most_it_may_cost_is_not_less_than_what_it_costs(plain: int, cached: int, written: int, output: int) -> None:
    tokens = Tokens(plain + cached + written, output, cached, written)

    assert CLAUDE.cost(tokens) <= CLAUDE.most(tokens.input, tokens.output)
