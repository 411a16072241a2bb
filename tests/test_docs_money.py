"""What docs/money.md shows is so: its YAML is read, its commands are run, its refusal is said."""

from __future__ import annotations

import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from toolgate.cli import main
from toolgate.gateway.spend import over_budget
from toolgate.integration import Integration
from toolgate.money import Price
from toolgate.policy.prices import Prices, TokenRates
from toolgate.settings import Settings
from toolgate.stores import Account, Shortage
from toolgate.testing import a_tool

PAGE = (Path(__file__).parents[1] / "docs" / "money.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_its_prices_are_prices() -> None:
    told, models, settings = blocks("yaml")
    assert Settings(**yaml.safe_load(settings)).ledger is not None

    prices = Prices.model_validate(yaml.safe_load(told))

    found = {name: prices.of(a_tool(name=name)) for name in ("internal_x", "maps_geocode", "maps_route", "search_web")}
    assert found == {
        "internal_x": Price(),
        "maps_geocode": Price(5000),
        "maps_route": Price(1000, 102_400, most=50_000),
        "search_web": Price(header="X-Request-Cost", most=20_000),
    }
    rates = Prices.model_validate(yaml.safe_load(models))
    assert rates.written("openai/gpt-5") == TokenRates(input=Decimal("1.25"), output=Decimal(10), cached=Decimal("0.125"))
    assert rates.written("ollama/llama3") == TokenRates(input=Decimal(0), output=Decimal(0))
    [inline] = re.findall(r"`prices: (\{.*\})`", PAGE)
    Integration.model_validate({"name": "x", "prices": yaml.safe_load(inline)})


def test_its_commands_do_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    for block in blocks("console"):
        for command, said in re.findall(r"^\$ toolgate (.*)\n((?:[^$].*\n)*)", block, re.MULTILINE):
            assert main(shlex.split(command)) == 0, command
            assert said in ("", capsys.readouterr().err), command


def test_its_refusal_is_the_one_that_is_said() -> None:
    [said] = blocks("text")
    short = Shortage(Account("user", "default", "local:ada"), "day", 500_000, 497_000, 0, 5000, renews=1_795_219_200)

    assert str(over_budget(short, "maps_geocode", 0.0)) == said.strip().replace("\n", " ")
