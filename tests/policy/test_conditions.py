from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from toolgate.policy.conditions import Condition, holds, principal_facts, same, tool_facts
from toolgate.testing import a_principal, a_tool

ARGS = {"owner": "acme", "n": 5, "ok": True, "labels": ["bug", 1], "deep": {"a.b": {"c": "x"}}, "none": None, "f": 1.0}


@pytest.mark.parametrize(
    ("field", "operator", "value", "truth"),
    [
        ("args.owner", "equals", "acme", True),
        ("args.owner", "equals", "ACME", False),
        ("args.n", "equals", 5.0, True),
        ("args.ok", "equals", 1, False),
        ("args.none", "equals", None, True),
        ("args.missing", "equals", None, None),
        ("args.owner", "contains", "cm", True),
        ("args.owner", "contains", 1, None),
        ("args.labels", "contains", "bug", True),
        ("args.labels", "contains", True, False),
        ("args.n", "contains", "5", None),
        ("args.owner", "matches", "a[a-z]+", True),
        ("args.owner", "matches", "ac", False),
        ("args.n", "matches", "5", None),
        ("args.owner", "in", ["acme", "b"], True),
        ("args.f", "in", [1], True),
        ("args.f", "in", [True], False),
        ("args.n", "less_than", 6, True),
        ("args.n", "less_than", 5, False),
        ("args.n", "greater_than", 4.5, True),
        ("args.ok", "greater_than", 0, None),
        ("args.owner", "less_than", 1, None),
        ("args.owner", "exists", True, True),
        ("args.owner", "exists", False, False),
        ("args.missing", "exists", None, False),
        ("args.missing", "exists", False, True),
        ("args.deep.a.b.c", "equals", "x", True),
        ("args.owner.x", "equals", "x", None),
        ("principal.roles", "contains", "developer", True),
        ("tool.read_only", "equals", True, True),
        ("call.depth", "equals", 0, None),
    ],
)
def test_each_operator_says_true_false_or_not_known(field: str, operator: Any, value: Any, truth: bool | None) -> None:
    facts = {"args": ARGS, "principal": principal_facts(a_principal()), "tool": tool_facts(a_tool())}

    assert Condition(field=field, operator=operator, value=value).check(facts) is truth


@pytest.mark.parametrize(
    "arguments",
    [
        {"repo": {"owner": "evil"}, "repo.owner": "acme"},
        {"repo": {"owner": "acme"}, "repo.owner": "evil"},
        {"repo": {"owner": "evil", "owner.x": 1}, "repo.owner": "evil"},
    ],
)
@pytest.mark.parametrize(("operator", "value"), [("equals", "acme"), ("in", ["evil"]), ("matches", ".*"), ("exists", True)])
def test_an_argument_that_is_spelled_twice_is_not_known(arguments: dict[str, Any], operator: Any, value: Any) -> None:
    assert Condition(field="args.repo.owner", operator=operator, value=value).check({"args": arguments}) is None


def test_arguments_are_not_known_while_a_list_is_made() -> None:
    assert Condition(field="args.owner", operator="exists", value=True).check({}) is None


@pytest.mark.parametrize(
    "condition",
    [
        {"field": "owner", "operator": "equals"},
        {"field": "args.", "operator": "equals"},
        {"field": "args.x", "operator": "matches", "value": "("},
        {"field": "args.x", "operator": "matches", "value": "(?=x)"},
        {"field": "args.x", "operator": "matches", "value": 7},
        {"field": "args.x", "operator": "in", "value": "x"},
        {"field": "args.x", "operator": "less_than", "value": "1"},
        {"field": "args.x", "operator": "less_than", "value": True},
        {"field": "args.x", "operator": "like", "value": "1"},
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused_at_load(condition: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Condition(**condition)


def test_a_full_match_is_meant_newlines_included() -> None:
    condition = Condition(field="args.x", operator="matches", value="acme/x")

    assert condition.check({"args": {"x": "acme/x\n"}}) is False


@pytest.mark.parametrize(
    ("pattern", "text", "truth"),
    [
        (".*rm .*", "rm -r /\n", None),
        ("ls .*", "ls x\nrm -r /", None),
        ("ls .*", "cat x\nls y", False),
        ("(?s)ls .*", "ls x\nrm -r /", True),
        ("[^;]*", "a\nb", True),
    ],
)
def test_a_line_feed_gets_nothing_past_a_dot_and_nothing_let_through_by_it(pattern: str, text: str, truth: bool | None) -> None:
    assert Condition(field="args.x", operator="matches", value=pattern).check({"args": {"x": text}}) is truth


def test_half_a_surrogate_pair_is_not_text_to_match() -> None:
    assert Condition(field="args.x", operator="matches", value=".*").check({"args": {"x": "\ud800"}}) is None


truths = st.sampled_from([True, False, None])


@given(st.lists(truths, max_size=5))
def test_several_conditions_are_kleenes_and(values: list[bool | None]) -> None:
    kinds = {True: 1, False: 2, None: "text"}
    facts = {"args": {f"k{i}": kinds[value] for i, value in enumerate(values)}}
    conditions = [Condition(field=f"args.k{i}", operator="less_than", value=2) for i in range(len(values))]

    expected = False if False in values else None if None in values else True

    assert holds([condition.check for condition in conditions], facts) is expected


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json, json)
def test_equal_means_equal_and_of_one_type(left: Any, right: Any) -> None:
    assert same(left, left)
    assert same(left, right) == same(right, left)
    assert not same(left, right) or repr(left) == repr(right) or left == right
