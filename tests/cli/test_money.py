"""`toolgate usage` and `toolgate budget`: what was spent, by whom, and who may spend how much."""

from __future__ import annotations

import csv
import getpass
import io
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Terminal, declare

ME = f"local:{getpass.getuser()}"
NOTHING = {"usd": "0.000000", "micros": 0}


@pytest.fixture
def priced(shop: Path, shop_url: str) -> None:
    """A shop whose pictures cost a cent each, and whose lists have no known price."""
    declare(shop, base_url=shop_url, prices={"get_picture": 0.01})


def picture(terminal: Terminal) -> Any:
    return terminal("tools", "call", "shop_get_picture", "--json")


@pytest.mark.usefixtures("priced")
def test_usage_tells_what_was_called_and_what_of_its_cost_is_estimated(terminal: Terminal) -> None:
    picture(terminal)
    picture(terminal)
    terminal("tools", "call", "shop_list_items", "kind=tea")

    by_tool, by_user = terminal("usage", "--json"), terminal("usage", "--by", "user", "--by", "integration")

    pictures, lists = by_tool.value["usage"]
    assert pictures == {
        "tool": "shop_get_picture",
        "calls": 2,
        "refused": 0,
        "unknown": 0,
        "cost": {"usd": "0.020000", "micros": 20_000},
        "estimated": NOTHING,
    }
    assert (lists["tool"], lists["cost"], lists["estimated"]["micros"]) == ("shop_list_items", {"usd": "0.005000", "micros": 5000}, 5000)
    assert by_user.out == f"{ME}\tshop\t3\t0\t0\t$0.025\t$0.005\n"


@pytest.mark.usefixtures("priced")
def test_a_call_over_a_budget_ends_with_7_and_says_which(terminal: Terminal) -> None:
    terminal("budget", "set", "user", ME, "0.015", "--period", "day")
    picture(terminal)

    refused = picture(terminal)

    assert (refused.code, refused.error["code"]) == (7, "over_budget")
    assert refused.error["message"].startswith(f"the budget of {ME}, $0.015 a day, has $0.005 left, and shop_get_picture may cost $0.01.")
    assert terminal("usage", "--json").value["usage"][0]["refused"] == 1


@pytest.mark.usefixtures("priced")
def test_budgets_are_set_shown_taken_back_and_reset(terminal: Terminal) -> None:
    picture(terminal)
    before = terminal("budget", "show", "--scope", "user", "--period", "day", "--json").value
    terminal("budget", "set", "user", ME, "none", "--period", "day")
    terminal("budget", "set", "tenant", "acme", "$5", "--period", "month")
    terminal("budget", "set", "session", "s1", "1", "--period", "day", "--user", ME)
    reset = terminal("budget", "reset", "user", ME, "--period", "day")

    shown = {(one["scope"], one["name"], one["every"]): one for one in terminal("budget", "show", "--json").value}

    [one] = before
    assert (one["limit"], one["set_by"], one["spent"]) == (
        {"usd": "20.000000", "micros": 20_000_000},
        "tier",
        {"usd": "0.010000", "micros": 10_000},
    )
    assert reset.err == f"user {ME} had spent $0.01 this day, and starts anew\n"
    me = shown["user", ME, "day"]
    assert (me["limit"], me["set_by"], me["spent"], me["held"]) == (None, "operator", NOTHING, NOTHING)
    assert (shown["tenant", "acme", "month"]["limit"]["micros"], shown["session", "s1", "day"]["user"]) == (5_000_000, ME)
    assert shown["user", ME, "month"]["spent"]["micros"] == 10_000
    terminal("budget", "set", "user", ME, "default", "--period", "day")
    assert terminal("budget", "show", "--scope", "user", "--period", "day", "--json").value[0]["set_by"] == "tier"
    [row] = [row for row in terminal("budget", "show").out.splitlines() if row.startswith("tenant acme")]
    assert row.split("\t")[3:] == ["$5.00 (set)", "$0.00", "$0.00", "$5.00"]


def test_changes_of_budgets_are_written_down_with_who_made_them(terminal: Terminal) -> None:
    terminal("budget", "set", "tenant", "acme", "5", "--period", "month")
    terminal("budget", "set", "tenant", "acme", "default", "--period", "month")
    terminal("budget", "reset", "tool", "echo", "--period", "day")

    lines = [line for line in terminal("audit", "list", "--json").value if line["type"] == "budget.changed"]

    assert [line["details"] for line in reversed(lines)] == [
        {"change": "set", "scope": "tenant", "name": "acme", "period": "month", "limit": 5_000_000},
        {"change": "unset", "scope": "tenant", "name": "acme", "period": "month", "limit": None},
        {"change": "reset", "scope": "tool", "name": "echo", "period": "day", "spent": 0},
    ]
    assert {line["principal"]["id"] for line in lines} == {ME}


@pytest.mark.usefixtures("priced")
def test_a_bill_is_written_as_json_and_as_csv(terminal: Terminal) -> None:
    picture(terminal)

    as_json, as_csv = terminal("usage", "export"), terminal("usage", "export", "--format", "csv")

    line = {"tenant": "default", "user": ME, "tool": "shop_get_picture", "provider": "", "phase": ""}
    counts = {"calls": 1, "refused": 0, "unknown": 0}
    money = {"cost": {"usd": "0.010000", "micros": 10_000}, "estimated": NOTHING}
    assert (as_json.value["currency"], as_json.value["lines"], as_json.value["total"]) == ("USD", [line | counts | money], counts | money)
    [row] = csv.DictReader(io.StringIO(as_csv.out))
    assert row == {**line, "calls": "1", "refused": "0", "unknown": "0", "cost_usd": "0.010000", "estimated_usd": "0.000000"}


def test_nothing_is_said_to_be_nothing(terminal: Terminal) -> None:
    usage, budget = terminal("usage", "--since", "2026-01-01", "--until", "2026-01-31"), terminal("budget", "show")

    assert (usage.code, usage.out, usage.err) == (0, "", "nothing was called from 2026-01-01 to 2026-01-31\n")
    assert (budget.code, budget.out) == (0, "")
    assert terminal("usage", "--json").value["usage"] == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("usage", "--since", "yesterday"), "a day is written as 2026-11-20, today, or 7d for the last seven days"),
        (("budget", "set", "user", "ada", "much", "--period", "day"), "DOLLARS is a number such as 5 or 0.50, none, or default"),
        (("budget", "set", "user", "ada", "NaN", "--period", "day"), "DOLLARS is a number such as 5 or 0.50, none, or default"),
        (("budget", "set", "user", "ada", "1e30", "--period", "day"), "DOLLARS is a number such as 5 or 0.50, none, or default"),
        (("budget", "set", "session", "s", "1", "--period", "day"), "a session is somebody's: say whose with --user ID"),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(terminal: Terminal, words: tuple[str, ...], message: str) -> None:
    ran = terminal(*words)

    assert (ran.code, message in ran.err) == (1, True)
