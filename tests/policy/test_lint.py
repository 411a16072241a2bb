from __future__ import annotations

from typing import Any

import pytest

from toolgate.policy.conditions import Condition
from toolgate.policy.lint import Finding, lint, lint_callers
from toolgate.policy.load import load_policy
from toolgate.policy.models import Models
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.policy.tiers import Budgets, Rates, Tier
from toolgate.settings import bundled
from toolgate.testing import a_tool

SCHEMA = {
    "type": "object",
    "properties": {
        "owner": {"type": "string"},
        "n": {"type": "integer"},
        "state": {"type": "string", "enum": ["open", "closed"]},
        "deep": {"type": "object", "properties": {"x": {"type": "boolean"}}, "additionalProperties": False},
    },
    "additionalProperties": False,
}
LIMITED = Tier(limits=Rates(per_minute=1), budgets=Budgets(day=1))  # type: ignore[arg-type]
TOOLS = [
    a_tool(name="shop_list", schema=SCHEMA),
    a_tool(name="shop_drop", schema={"type": "object", "properties": {}, "additionalProperties": False}, reads=False),
]


def when(field: str, operator: Any, value: Any = None) -> tuple[Condition, ...]:
    return (Condition(field=field, operator=operator, value=value),)


def codes(*rules: Permission, inherited: tuple[Permission, ...] = ()) -> list[tuple[str, str, str]]:
    parent, child = Role(role="parent", permissions=inherited), Role(role="child", inherits=("parent",), permissions=rules)
    return [(found.level, found.where, found.code) for found in lint(Policy([parent, child], {"pro": LIMITED}), TOOLS)]


READS = when("tool.read_only", "equals", True)


@pytest.mark.parametrize(
    ("tools", "conditions", "found"),
    [
        ("shop_list", when("args.owner", "equals", "acme"), []),
        ("shop_lisp", (), [("error", "r", "unknown-tool")]),
        ("mail_*", (), [("warning", "r", "no-tools")]),
        ("shop_list", when("args.ovner", "equals", "acme"), [("error", "r", "unknown-field")]),
        ("shop_*", when("args.owner", "equals", "acme"), [("warning", "r", "unknown-field")]),
        ("shop_list", when("principal.name", "equals", "x"), [("error", "r", "unknown-field")]),
        ("shop_list", when("args.owner", "equals", 5), [("error", "r", "type")]),
        ("shop_list", when("args.n", "equals", 5.0), [("error", "r", "type")]),
        ("shop_list", when("args.n", "matches", "5"), [("error", "r", "type")]),
        ("shop_list", when("args.owner", "less_than", 5), [("error", "r", "type")]),
        ("shop_list", when("args.n", "contains", 5), [("error", "r", "type")]),
        ("shop_list", when("args.state", "equals", "shut"), [("error", "r", "type")]),
        ("shop_list", when("args.state", "in", ["shut", "open"]), []),
        ("shop_list", when("args.deep.x", "equals", True), []),
        ("shop_list", when("args.deep.y", "equals", True), [("error", "r", "unknown-field")]),
        ("shop_list", when("args.owner", "matches", "^a$"), [("warning", "r", "pattern")]),
        ("shop_list", when("args.owner", "matches", ".*"), [("warning", "r", "pattern")]),
        ("shop_*", (), [("warning", "r", "wildcard")]),
        ("*", READS, []),
        ("shop_drop", (), []),
    ],
)
def test_each_finding_has_its_code(tools: str, conditions: tuple[Condition, ...], found: list[tuple[str, str, str]]) -> None:
    assert codes(Permission(id="r", tools=tools, conditions=conditions)) == found


def test_an_allow_that_asks_a_person_may_be_wide() -> None:
    assert codes(Permission(id="r", tools="shop_*", obligations=("approve",))) == []


SHADOWED = [("warning", "x", "shadowed")]
OWN = when("args.owner", "equals", "acme")


@pytest.mark.parametrize(
    ("rule", "other", "found"),
    [
        ({"tools": "shop_list"}, {"tools": "*", "effect": "deny"}, SHADOWED),
        ({"tools": "shop_list", "conditions": OWN}, {"tools": "shop_l*", "conditions": READS}, []),
        ({"tools": "shop_list", "conditions": OWN}, {"tools": "shop_l*"}, SHADOWED),
        ({"tools": "shop_list"}, {"tools": "shop_l*", "obligations": ("approve",)}, []),
        ({"tools": "shop_list", "effect": "deny"}, {"tools": "shop_l*"}, []),
        ({"tools": "shop_list"}, {"tools": "*", "effect": "deny", "operations": ("list",)}, []),
    ],
)
def test_a_rule_that_another_leaves_nothing_to_decide_is_told(rule: Any, other: Any, found: Any) -> None:
    assert codes(Permission(id="x", **rule), inherited=(Permission(id="other", **other),)) == found


def test_a_tier_without_limits_and_callers_without_roles_are_told() -> None:
    policy = Policy([Role(role="developer")], {"open": Tier(tools=("mail_*",)), "pro": LIMITED})

    assert [(found.level, found.where, found.code) for found in lint(policy, TOOLS)] == [
        ("warning", "tier open", "no-limits"),
        ("warning", "tier open", "no-budget"),
        ("warning", "tier open", "no-tools"),
    ]
    assert list(lint_callers(policy, {"stdio": (("develper",), "prp"), "anonymous": (("developer",), "pro")})) == [
        Finding("error", "stdio", "unknown-role", "there is no role develper; did you mean developer?"),
        Finding("error", "stdio", "unknown-tier", "there is no tier prp; did you mean pro?; every call would be refused"),
    ]


def test_a_message_names_the_tools_and_what_follows() -> None:
    deny = Permission(id="r", tools="shop_*", effect="deny", conditions=OWN)
    policy = Policy([Role(role="developer", permissions=(deny,))])

    assert list(lint(policy, TOOLS)) == [
        Finding("warning", "r", "unknown-field", "shop_drop: no argument owner, so the rule denies every call")
    ]


def test_a_deny_of_calls_that_have_an_argument_is_told_only_where_none_can_have_it() -> None:
    def found(tools: str) -> list[Finding]:
        asking = (*OWN, Condition(field="args.owner", operator="exists"))
        deny = Permission(id="r", tools=tools, effect="deny", conditions=asking)
        return list(lint(Policy([Role(role="developer", permissions=(deny,))]), TOOLS))

    assert found("shop_*") == []
    assert found("shop_drop") == [Finding("error", "r", "unknown-field", "shop_drop: no argument owner, so the rule never denies a call")]


def test_the_bundled_policies_have_no_errors() -> None:
    assert [found for found in lint(load_policy(bundled("policies")), TOOLS) if found.level == "error"] == []


def test_rules_about_models_that_never_apply_or_contradict_themselves_are_found() -> None:
    rules = [
        {"id": "a", "roles": ["chlid"], "tiers": ["pr*"]},
        {"id": "a", "models": ["gpt"], "deny": ["acme/*"]},
        {"id": "b", "models": ["acme/*"], "deny": ["acme/*"]},
        {"id": "fine", "roles": ["child"], "models": ["*"]},
    ]
    policy = Policy([Role(role="child")], {"pro": LIMITED}, models=Models.model_validate({"rules": rules}))

    found = [(each.where, each.code, each.message) for each in lint(policy, ())]

    assert [each[:2] for each in found] == [
        ("models.yaml a", "unknown-role"),
        ("models.yaml a", "twins"),
        ("models.yaml a", "model"),
        ("models.yaml b", "contradiction"),
    ]
    assert found[0][2].endswith("did you mean child?")
