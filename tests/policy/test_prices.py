from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from shutil import copytree

import pytest

from toolgate.errors import Misconfigured
from toolgate.integration import Integration
from toolgate.money import FREE, Price
from toolgate.policy.load import load_policy
from toolgate.policy.prices import Prices, TokenRates
from toolgate.settings import bundled, checked
from toolgate.testing import a_tool


@pytest.mark.parametrize(
    ("tools", "expected"),
    [
        ({}, Price(100)),
        ({"other": 1}, Price(100)),
        ({"ec*": 0}, FREE),
        ({"*": 2, "ec*": 1}, Price(2_000_000)),
        ({"*": 2, "echo": "0.0000001"}, Price(1)),
        ({"echo": {"call": "0.01", "kilobyte": "0.001", "most": 1}}, Price(10_000, 1_024_000, most=1_000_000)),
        ({"echo": {"header": "X-Cost", "most": "0.5"}}, Price(header="X-Cost", most=500_000)),
    ],
)
def test_the_operators_word_counts_a_name_before_globs_and_of_globs_the_first(tools: dict[str, object], expected: Price) -> None:
    prices = Prices.model_validate({"tools": tools})
    tool = a_tool(price=Price(100))

    assert prices.of(tool) == prices.of(tool) == expected


def test_a_tool_of_unknown_price_costs_the_default_and_never_nothing() -> None:
    assert Prices().of(a_tool(price=None)) == Price(5000, estimated=True)
    assert Prices().token == 2
    for nothing in (0, -1):
        with pytest.raises(Misconfigured, match=r"defaults\.call"):
            checked(Prices, {"defaults": {"call": nothing}}, name="prices.yaml")


@pytest.mark.parametrize(
    ("charge", "message"),
    [
        (-1, "greater than or equal to 0"),
        ({"kilobyte": 1}, "most is needed beside kilobyte and header"),
        ({"header": "X-Cost"}, "most is needed beside kilobyte and header"),
        ({"call": 2, "most": 1}, "most is less than call"),
        ({"token": 1}, "Extra inputs"),
    ],
)
def test_a_price_that_cannot_be_meant_is_refused_wherever_it_stands(charge: object, message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        checked(Prices, {"tools": {"x": charge}}, name="prices.yaml")
    with pytest.raises(Misconfigured, match=message):
        checked(Integration, {"name": "x", "prices": {"default": charge}}, name="integration.yaml")


def test_prices_are_part_of_the_policy_and_of_its_digest(tmp_path: Path) -> None:
    folder = copytree(bundled("policies"), tmp_path / "policies")
    bundled_policy = load_policy(folder)
    (folder / "prices.yaml").write_text("tools: {echo: 0.25}")

    policy = load_policy(folder)

    assert policy.prices.of(a_tool()) == Price(250_000)
    assert policy.digest != bundled_policy.digest
    assert bundled_policy.prices.tools == {}
    assert bundled_policy.prices.defaults == Prices().defaults


def test_a_model_costs_what_is_written_of_it_by_name_before_globs() -> None:
    prices = checked(
        Prices,
        {"models": {"openai/*": {"input": 1, "output": 2}, "openai/gpt-5": {"input": 3, "output": 4, "cached": 0.3}, "local/*": 0}},
        name="prices.yaml",
    )

    found = {model: prices.written(model) for model in ("openai/gpt-5", "openai/gpt-4", "local/llama", "anthropic/claude")}

    assert found == {
        "openai/gpt-5": TokenRates(input=Decimal(3), output=Decimal(4), cached=Decimal("0.3")),
        "openai/gpt-4": TokenRates(input=Decimal(1), output=Decimal(2)),
        "local/llama": TokenRates(input=Decimal(0), output=Decimal(0)),
        "anthropic/claude": None,
    }


@pytest.mark.parametrize("wrong", [1, {"input": 1}, {"input": -1, "output": 1}, {"input": 1, "output": 1, "reasoning": 1}])
def test_rates_that_cannot_be_meant_are_refused(wrong: object) -> None:
    with pytest.raises(Misconfigured, match=r"prices\.yaml"):
        checked(Prices, {"models": {"x/y": wrong}}, name="prices.yaml")
