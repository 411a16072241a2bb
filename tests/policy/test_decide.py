"""The semantics of a policy, as laws."""

from __future__ import annotations

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Tool
from toolgate.policy.conditions import Condition, holds, principal_facts, tool_facts
from toolgate.policy.decide import DEFAULT, Decision, decide, visible
from toolgate.policy.load import load_policy
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import bundled
from toolgate.testing import a_call, a_principal, a_tool

TOOLS = [a_tool(name="files_read"), a_tool(name="files_write", reads=False), a_tool(name="mail_send", reads=False)]
ARGUMENTS: list[dict[str, Any]] = [{}, {"n": 1}, {"n": 9}, {"n": "1"}, {"owner": "acme"}, {"owner": "acme", "n": 9}]

conditions = st.sampled_from(
    [
        Condition(field="args.n", operator="less_than", value=5),
        Condition(field="args.owner", operator="equals", value="acme"),
        Condition(field="args.owner", operator="exists", value=False),
        Condition(field="tool.read_only", operator="equals", value=True),
        Condition(field="principal.id", operator="matches", value="local:.*"),
        Condition(field="call.depth", operator="greater_than", value=0),
        Condition(field="tool.nothing", operator="equals", value=1),
    ]
)
permissions = st.builds(
    lambda tools, operations, effect, some: {"tools": tools, "operations": operations, "effect": effect, "conditions": some},
    st.sampled_from(["*", "files_*", "mail_send", "nothing"]),
    st.sampled_from([("list",), ("call",), ("list", "call")]),
    st.sampled_from(["allow", "allow", "deny"]),
    st.lists(conditions, max_size=2),
)
rule_lists = st.lists(permissions, max_size=6).map(lambda rules: [Permission(id=f"r{i}", **rule) for i, rule in enumerate(rules)])


def policy(rules: Sequence[Permission]) -> Policy:
    return Policy([Role(role="developer", permissions=tuple(rules))])


def naive(rules: Sequence[Permission], tool: Tool, arguments: dict[str, Any]) -> bool:
    """The semantics said once more, as slowly and plainly as can be."""
    facts = {
        "args": arguments,
        "tool": tool_facts(tool),
        "principal": principal_facts(a_principal()),
        "call": {"depth": 0},
    }
    meant = [rule for rule in rules if "call" in rule.operations and fnmatchcase(tool.name, rule.tools)]
    if any(holds(rule.conditions, facts) is not False for rule in meant if rule.effect == "deny"):
        return False
    return any(holds(rule.conditions, facts) is True for rule in meant if rule.effect == "allow")


def permitted(rules: Sequence[Permission], tool: Tool, arguments: dict[str, Any]) -> bool:
    return decide(a_call(tool, arguments), policy(rules)).permitted


cases = st.tuples(rule_lists, st.sampled_from(TOOLS), st.sampled_from(ARGUMENTS))


@given(cases)
def test_the_decision_is_the_naive_ones(case: tuple[list[Permission], Tool, dict[str, Any]]) -> None:
    assert permitted(*case) == naive(*case)


@given(cases, st.randoms())
def test_the_order_of_rules_does_not_matter(case: tuple[list[Permission], Tool, dict[str, Any]], chance: random.Random) -> None:
    rules, tool, arguments = case
    shuffled = chance.sample(rules, len(rules))

    assert decide(a_call(tool, arguments), policy(rules)).permitted == decide(a_call(tool, arguments), policy(shuffled)).permitted


@given(cases, permissions)
def test_one_more_deny_never_grants(case: tuple[list[Permission], Tool, dict[str, Any]], more: dict[str, Any]) -> None:
    rules, tool, arguments = case
    deny = Permission(id="more", **{**more, "effect": "deny"})

    assert permitted([*rules, deny], tool, arguments) <= permitted(rules, tool, arguments)


@given(cases, st.integers(0, 5))
def test_one_allow_less_never_grants(case: tuple[list[Permission], Tool, dict[str, Any]], which: int) -> None:
    rules, tool, arguments = case
    fewer = [rule for i, rule in enumerate(rules) if i != which or rule.effect == "deny"]

    assert permitted(fewer, tool, arguments) <= permitted(rules, tool, arguments)


@given(cases)
def test_what_may_be_called_is_shown_unless_listing_is_denied(case: tuple[list[Permission], Tool, dict[str, Any]]) -> None:
    rules, tool, arguments = case
    listing_denied = any(rule.effect == "deny" and "list" in rule.operations for rule in rules)

    if permitted(rules, tool, arguments) and not listing_denied:
        assert visible(a_principal(), tool, policy(rules))


@pytest.mark.parametrize(
    ("role", "reads", "writes", "sees_writes"),
    [
        ("readonly", True, False, False),
        ("agent", True, False, False),
        ("developer", True, False, True),
        ("admin", True, True, True),
        ("nobody", False, False, False),
    ],
)
def test_the_bundled_roles_let_reads_through_and_writes_only_for_admins(role: str, reads: bool, writes: bool, sees_writes: bool) -> None:
    bundle = load_policy(bundled("policies"))
    caller, read, write = a_principal(role), TOOLS[0], TOOLS[1]

    assert decide(a_call(read, principal=caller), bundle).permitted is reads
    assert decide(a_call(write, principal=caller), bundle).permitted is writes
    assert visible(caller, write, bundle) is sees_writes


def test_a_decision_names_its_rule_and_what_the_author_wants_said() -> None:
    rules = [
        Permission(id="b.allow", tools="*"),
        Permission(id="a.allow", tools="*"),
        Permission(id="z.deny", tools="mail_*", effect="deny", reason="Mail is closed on Sundays."),
    ]

    assert decide(a_call(TOOLS[0]), policy(rules)) == Decision(True, "a.allow")
    assert decide(a_call(TOOLS[2]), policy(rules)) == Decision(False, "z.deny", "Mail is closed on Sundays.")
    assert decide(a_call(TOOLS[0]), policy([])) == Decision(False, DEFAULT)
