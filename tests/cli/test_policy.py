"""`toolgate policy`, in a folder with a shop and a policy of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Terminal
from toolgate.settings import bundled

ROLE: dict[str, Any] = {
    "role": "developer",
    "permissions": [
        {"id": "dev.reads", "tools": "shop_*", "conditions": [{"field": "tool.read_only", "operator": "equals", "value": True}]},
        {"id": "dev.tea", "tools": "shop_add_item", "conditions": [{"field": "args.name", "operator": "equals", "value": "tea"}]},
    ],
}
CASES = [
    {
        "name": "tea may be sold",
        "principal": {"roles": ["developer"]},
        "call": {"tool": "shop_add_item", "args": {"name": "tea"}},
        "expect": {"decision": "allow", "rule": "dev.tea"},
    },
    {
        "name": "rum may not",
        "principal": {"roles": ["developer"]},
        "call": {"tool": "shop_add_item", "args": {"name": "rum"}},
        "expect": {"decision": "deny"},
    },
]
READS = {
    "name": "all may be read",
    "principal": {"roles": ["developer"]},
    "call": {"tool": "shop_list_items", "read_only": True},
    "expect": {"decision": "allow", "listed": True},
}


@pytest.fixture
def policies(shop: Path, tmp_path: Path) -> Path:
    (tmp_path / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "policies": "policies"}')
    return write(tmp_path / "policies", ROLE, [*CASES, READS])


def write(folder: Path, role: dict[str, Any], cases: list[dict[str, Any]]) -> Path:
    for name in ("roles", "tests"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "roles" / "developer.yaml").write_text(json.dumps(role))
    (folder / "tests" / "cases.yaml").write_text(json.dumps(cases))
    return folder


def test_a_policy_that_decides_its_cases_passes_and_covers_its_rules(terminal: Terminal, policies: Path) -> None:
    ran = terminal("policy", "test", "--coverage", "--json")

    assert ran.code == 0
    assert [case["passed"] for case in ran.value["cases"]] == [True, True, True]
    assert ran.value["coverage"] == {"never_hit": [], "never_missed": []}


def test_a_case_decided_otherwise_is_shown_and_ends_with_one(terminal: Terminal, policies: Path) -> None:
    write(policies, ROLE, [{**CASES[1], "expect": {"decision": "allow", "rule": "dev.tea"}}])

    ran = terminal("policy", "test")

    assert (ran.code, ran.out) == (1, "rum may not\tdecision allow, rule dev.tea\tdecision deny, rule default\n")
    assert ran.err == "0 of 1 cases are decided as they expect\n"


def test_a_rule_that_no_case_tries_ends_with_one_where_coverage_is_asked_for(terminal: Terminal, policies: Path) -> None:
    write(policies, ROLE, CASES)

    assert terminal("policy", "test").code == 0
    ran = terminal("policy", "test", "--coverage")
    assert (ran.code, ran.out) == (1, "dev.reads\thit by no case\n")


def test_lint_names_the_rule_and_what_follows(terminal: Terminal, policies: Path) -> None:
    wrong = {"id": "dev.typo", "tools": "shop_add_itm", "effect": "deny"}
    write(policies, {**ROLE, "permissions": [*ROLE["permissions"], wrong]}, [])

    ran = terminal("policy", "lint", "--json")

    assert ran.code == 1
    assert {
        "level": "error",
        "where": "dev.typo",
        "code": "unknown-tool",
        "message": "there is no tool shop_add_itm; did you mean shop_add_item or shop_list_items?",
    } in ran.value
    assert {finding["where"] for finding in ran.value if finding["code"] == "unknown-role"} == {"anonymous"}


def test_the_bundled_policies_pass_their_cases_cover_their_rules_and_lint_without_errors(terminal: Terminal, shop: Path) -> None:
    assert terminal("policy", "test", "--coverage").code == 0
    assert terminal("policy", "lint").code == 0


def test_a_decision_is_explained_condition_by_condition(terminal: Terminal, policies: Path) -> None:
    ran = terminal("policy", "explain", "--as", "ada:developer", "--json", "shop_add_item", "name=rum")

    assert ran.code == 0
    assert ran.value == {
        "principal": {"id": "ada", "roles": ["developer"], "tier": "pro"},
        "tool": "shop_add_item",
        "decision": "deny",
        "rule": "default",
        "obligations": [],
        "listed": True,
        "bound": None,
        "considered": [
            {
                "rule": "dev.reads",
                "effect": "allow",
                "tools": "shop_*",
                "operations": ["list", "call"],
                "obligations": [],
                "conditions": [{"field": "tool.read_only", "operator": "equals", "value": True, "verdict": "false"}],
                "fires": False,
            },
            {
                "rule": "dev.tea",
                "effect": "allow",
                "tools": "shop_add_item",
                "operations": ["list", "call"],
                "obligations": [],
                "conditions": [{"field": "args.name", "operator": "equals", "value": "tea", "verdict": "false"}],
                "fires": False,
            },
        ],
    }


@pytest.mark.parametrize(
    ("words", "last"),
    [
        (("shop_add_item", "name=tea"), "allow, by dev.tea; listed"),
        (("shop_add_item", "name=rum"), 'local:ada may not call shop_add_item: rule dev.tea allows it where name equals "tea"'),
        (("--scope", "tools:read", "shop_add_item", "name=tea"), "one of these would: tool:shop_add_item, tools:call"),
        (("--as", "local:bo:guest", "shop_add_item", "name=tea"), "the caller is told that there is no such tool"),
    ],
)
def test_an_explanation_ends_with_what_the_caller_is_told(terminal: Terminal, policies: Path, words: tuple[str, ...], last: str) -> None:
    ran = terminal("policy", "explain", "--as", "local:ada:developer", *words)

    assert ran.code == 0
    assert ran.out.splitlines()[-1].endswith(last)


def test_an_unknown_tool_is_told_with_its_nearest(terminal: Terminal, policies: Path) -> None:
    ran = terminal("policy", "explain", "shop_add", "--json")

    assert (ran.code, ran.error["hint"]) == (1, "did you mean shop_add_item?")


def test_a_change_is_told_by_rule_and_by_what_roles_may_do(terminal: Terminal, policies: Path, tmp_path: Path) -> None:
    asking = {**ROLE["permissions"][1], "conditions": [], "obligations": ["approve"]}
    new = write(tmp_path / "new", {**ROLE, "permissions": [ROLE["permissions"][0], asking]}, [])

    ran = terminal("policy", "diff", str(policies), str(new), "--json")

    rule, role = ran.value["changes"]
    assert (rule["what"], rule["name"], rule["after"]["obligations"]) == ("rule", "dev.tea", ["approve"])
    assert role == {"what": "role", "name": "developer", "tool": "shop_add_item", "before": "allow or deny", "after": "approve"}
    assert ran.value["replay"] is None


def test_recorded_calls_that_would_flip_are_told(terminal: Terminal, policies: Path, tmp_path: Path) -> None:
    terminal("tools", "call", "shop_list_items", "kind=tea")
    terminal("tools", "call", "shop_add_item", "name=rum")
    new = write(tmp_path / "new", {"role": "developer", "permissions": [{"id": "all", "tools": "shop_add_item"}]}, [])

    ran = terminal("policy", "diff", str(policies), str(new), "--replay", "--json")

    told = ran.value["replay"]
    assert {(flip["tool"], flip["before"], flip["after"], flip["calls"]) for flip in told["flips"]} == {
        ("shop_list_items", "allow", "deny", 1),
        ("shop_add_item", "deny", "allow", 1),
    }
    assert (told["calls"], told["same"], told["unknown"]) == (2, 0, {})
    assert terminal("audit", "list", "--json").value[0]["details"]["by"] == "policy diff"


def test_without_a_change_there_is_nothing_to_tell(terminal: Terminal, policies: Path, tmp_path: Path) -> None:
    same = shutil.copytree(bundled("policies"), tmp_path / "same")

    ran = terminal("policy", "diff", str(bundled("policies")), str(same))

    assert (ran.code, ran.out, ran.err) == (0, "", "both say the same\n")
