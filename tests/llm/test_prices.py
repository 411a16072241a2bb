"""What models cost."""

from __future__ import annotations

from decimal import Decimal

import pytest

from toolgate.llm.messages import Tokens
from toolgate.llm.model import Model
from toolgate.llm.prices import Cost, PriceList
from toolgate.llm.rates import flat
from toolgate.policy.prices import Prices
from toolgate.testing import FakeClock

WRITTEN = Prices.model_validate({"models": {"acme/*": {"input": 3, "output": 15, "cached": 0.3}, "ollama/*": 0}})
PER_MILLION = Tokens(input=1_000_000, output=1_000_000)
NOVEMBER = FakeClock(1_795_737_600.0)  # 2026-11-27, noon UTC is later


def prices(clock: FakeClock = NOVEMBER) -> PriceList:
    return PriceList(lambda: WRITTEN, clock)


def test_what_the_operator_wrote_goes_before_the_list() -> None:
    assert prices().cost(Model("acme", "gpt-5"), PER_MILLION) == Cost(18_000_000)
    assert prices().cost(Model("ollama", "llama3"), PER_MILLION) == Cost(0)


def test_the_list_knows_models_by_the_provider_that_prices_them() -> None:
    known = prices().rates(Model("openai", "gpt-4o"))

    assert known == flat(Decimal("2.5"), Decimal(10), Decimal("1.25"))
    assert prices().rates(Model("work", "gpt-4o", priced_as="openai")) == known


@pytest.mark.parametrize(
    "model",
    [
        "google/gemini-2.5-pro",
        "x-ai/grok-4.20",
        "together/MiniMaxAI/MiniMax-M3",
        "fireworks/accounts/fireworks/models/gpt-oss-120b",
        "cerebras/gpt-oss-120b",
    ],
)
def test_a_compatible_provider_is_priced_by_its_name(model: str) -> None:
    provider, _, name = model.partition("/")

    assert not prices().rates(Model(provider, name)).estimated


def test_a_model_that_nobody_knows_costs_the_default_and_is_marked_as_estimated() -> None:
    assert prices().cost(Model("work", "model-x"), Tokens(input=1000, output=500)) == Cost(3000, estimated=True)
    assert prices().cost(Model("openai", "gpt-99"), Tokens(input=1000)) == Cost(2000, estimated=True)


def test_a_service_tier_has_its_own_rates() -> None:
    model = Model("openai", "o4-mini")

    found = {tier: prices().cost(model, PER_MILLION, tier=tier).micros for tier in ("", "default", "flex", "priority", "batch")}

    assert found == {"": 5_500_000, "default": 5_500_000, "flex": 2_750_000, "priority": 10_000_000, "batch": 2_750_000}


def test_a_price_that_begins_on_a_date_holds_from_then_on() -> None:
    model, large = Model("anthropic", "claude-sonnet-4-6"), Tokens(input=300_000)
    clock = FakeClock(1_773_187_200.0)  # 2026-03-11, two days before its long prompts became cheaper
    ours = prices(clock)
    before = ours.cost(model, large)
    clock.now += 3 * 86_400

    after = ours.cost(model, large)

    assert (before.micros, after.micros) == (1_800_000, 900_000)


@pytest.mark.parametrize(("said", "cost"), [(0.00123, 1230), ("0.5", 500_000), (0, 0)])
def test_what_the_provider_itself_says_it_cost_counts(said: object, cost: int) -> None:
    assert prices().cost(Model("openrouter", "x/y"), PER_MILLION, said=said) == Cost(cost)


@pytest.mark.parametrize("said", [None, -1, "much", True, float("nan")])
def test_what_cannot_be_meant_does_not(said: object) -> None:
    assert prices().cost(Model("openrouter", "x/y"), Tokens(input=10), said=said) == Cost(20, estimated=True)


def test_new_prices_hold_at_once() -> None:
    now = [Prices()]
    ours = PriceList(lambda: now[0], NOVEMBER)
    assert ours.cost(Model("acme", "m"), Tokens(input=10)).estimated

    now[0] = WRITTEN

    assert ours.cost(Model("acme", "m"), Tokens(input=10)) == Cost(30)


def test_the_most_that_a_request_may_cost_counts_the_prompt_as_written_to_the_cache() -> None:
    assert prices().most(Model("anthropic", "claude-sonnet-4-5"), 1000, 100) == 3750 + 1500
