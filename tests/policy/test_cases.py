from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.errors import Misconfigured
from toolgate.policy.cases import Case, Coverage, Result, coverage, run
from toolgate.policy.conditions import Condition
from toolgate.policy.load import load_cases, load_policy
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import bundled

OWN = Condition(field="args.owner", operator="equals", value="acme")
POLICY = Policy(
    [
        Role(role="readonly", permissions=(Permission(id="all", tools="*"),)),
        Role(role="developer", permissions=(Permission(id="own", tools="x_*", conditions=(OWN,), obligations=("approve",)),)),
    ]
)


def a_case(role: str, tool: str, decision: str, **more: object) -> Case:
    call = {"tool": tool, "args": more.pop("args", {})}
    return Case.model_validate(
        {"name": f"{role} {tool}", "principal": {"roles": [role]}, "call": call, "expect": {"decision": decision, **more}}
    )


def test_a_case_passes_when_all_that_it_expects_is_so() -> None:
    cases = [
        a_case("readonly", "x_a", "allow", rule="all", listed=True),
        a_case("developer", "x_a", "approve", args={"owner": "acme"}),
        a_case("developer", "y", "deny", rule="default", listed=True),
    ]

    assert run(cases, POLICY) == [
        Result("readonly x_a", {"decision": "allow", "rule": "all", "listed": True}, {"decision": "allow", "rule": "all", "listed": True}),
        Result("developer x_a", {"decision": "approve"}, {"decision": "approve"}),
        Result(
            "developer y",
            {"decision": "deny", "rule": "default", "listed": True},
            {"decision": "deny", "rule": "default", "listed": False},
        ),
    ]
    assert [result.passed for result in run(cases, POLICY)] == [True, True, False]


@pytest.mark.parametrize(
    ("cases", "untried"),
    [
        ([], Coverage(("all", "own"), ("all", "own"))),
        ([a_case("readonly", "x_a", "allow")], Coverage(("own",), ("all", "own"))),
        ([a_case("developer", "x_a", "approve", args={"owner": "acme"})], Coverage(("all",), ("own",))),
        ([a_case("developer", "x_a", "deny")], Coverage(("all", "own"), ())),
        (
            [
                a_case("readonly", "x_a", "allow"),
                a_case("developer", "x_a", "approve", args={"owner": "acme"}),
                a_case("developer", "y", "deny"),
            ],
            Coverage((), ()),
        ),
    ],
)
def test_a_rule_is_covered_when_it_was_hit_and_missed_by_callers_who_have_it(cases: list[Case], untried: Coverage) -> None:
    found = coverage(cases, POLICY)

    assert found == untried
    assert found.full is (untried == Coverage((), ()))


def test_a_tool_may_destroy_unless_the_case_says_otherwise() -> None:
    assert a_case("x", "y", "deny").as_call().tool.annotations.destructive
    reading = Case.model_validate(
        {"name": "n", "principal": {"roles": ["x"]}, "call": {"tool": "t", "read_only": True}, "expect": {"decision": "deny"}}
    )
    assert not reading.as_call().tool.annotations.destructive


def test_the_bundled_policies_pass_their_own_cases_which_try_every_rule() -> None:
    policy, cases = load_policy(bundled("policies")), load_cases(bundled("policies"))

    assert [result for result in run(cases, policy) if not result.passed] == []
    assert coverage(cases, policy) == Coverage((), ())


def test_a_file_of_cases_that_cannot_be_meant_is_named(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "a.yaml").write_text("name: x")

    with pytest.raises(Misconfigured, match=r"a\.yaml must hold a list of cases"):
        load_cases(tmp_path)
