"""What a refused caller reads. The sentences are a contract: models act on them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from toolgate.policy.conditions import Condition
from toolgate.policy.decide import decide
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.policy.tiers import Tier
from toolgate.policy.words import why
from toolgate.testing import a_call, a_principal, a_tool

OWN = Condition(field="args.owner", operator="equals", value="acme")
FEW = Condition(field="args.n", operator="less_than", value=5)
SECRET = Condition(field="args.path", operator="matches", value=r"(.*/)?\.env")
FREE = Condition(field="principal.tier", operator="equals", value="enterprise")


def said(arguments: dict[str, Any], *rules: Permission, reads: bool = True, depth: int = 0, **caller: Any) -> str:
    tiers = {"pro": Tier(), "free": Tier()}
    policy = Policy([Role(role="developer", permissions=rules)], tiers)
    call = a_call(a_tool(reads=reads), arguments, replace(a_principal(), **caller), depth=depth)
    decision = decide(call, policy)
    assert not decision.permitted
    return why(call, decision, policy)


def test_the_nearest_of_several_allows_says_what_would_be_allowed() -> None:
    far = Permission(id="far", tools="*", conditions=(OWN, FEW))
    near = Permission(id="near", tools="*", conditions=(OWN,))
    others = Permission(id="others", tools="*", conditions=(FREE,))

    text = said({"owner": "secret-value", "n": 9}, far, near, others)

    assert text == 'local:ada may not call echo: rule near allows it where owner equals "acme"'


def test_several_conditions_are_all_told() -> None:
    text = said({}, Permission(id="both", tools="*", conditions=(OWN, FEW)))

    assert text == 'local:ada may not call echo: rule both allows it where owner equals "acme" and n is less than 5'


@pytest.mark.parametrize(
    ("operator", "value", "words"),
    [
        ("in", ["a", "b"], 'x is one of ["a","b"]'),
        ("contains", "a", 'x contains "a"'),
        ("matches", "a+", 'x matches, as a whole, the pattern "a+"'),
        ("greater_than", 2, "x is greater than 2"),
        ("exists", True, "x is given"),
    ],
)
def test_each_operator_has_its_words(operator: Any, value: Any, words: str) -> None:
    condition = Condition(field="args.x", operator=operator, value=value)

    assert (
        said({}, Permission(id="r", tools="*", conditions=(condition,))) == f"local:ada may not call echo: rule r allows it where {words}"
    )


def test_a_deny_says_what_it_does_not_hold_against() -> None:
    everything = Permission(id="all", tools="*")
    plain = Permission(id="no.env", tools="*", effect="deny", conditions=(SECRET,))
    told = plain.model_copy(update={"reason": "Secrets stay here."})
    rest = r'It does not where path is given and is text that does not match, as a whole, the pattern "(.*/)?\\.env"'

    assert said({"path": "a/.env"}, everything, plain) == f"local:ada may not call echo so; rule no.env forbids it. {rest}"
    assert said({"path": 7}, everything, told) == f"local:ada may not call echo: Secrets stay here. {rest}"


def test_a_deny_of_everything_gives_its_reason_alone() -> None:
    everything = Permission(id="all", tools="*")

    assert said({}, everything, Permission(id="shut", tools="*", effect="deny", operations=("call",))) == (
        "local:ada may not call echo; rule shut forbids it"
    )
    assert said({}, everything, Permission(id="shut", tools="*", effect="deny", operations=("call",), reason="Closed.")) == (
        "local:ada may not call echo: Closed."
    )


def test_tiers_and_scopes_say_what_would_do() -> None:
    everything = Permission(id="all", tools="*")

    assert said({}, everything, scopes=frozenset({"openid"})) == (
        "local:ada may not call echo: the scopes of the credential do not cover it; one of these would: tool:echo, tools:read, tools:call"
    )
    assert said({}, everything, reads=False, scopes=frozenset({"tools:read"})) == (
        "local:ada may not call echo: the scopes of the credential do not cover it; one of these would: tool:echo, tools:call"
    )
    assert said({}, everything, depth=4) == (
        "local:ada may not call echo: it would be call 4 within calls, and the tier pro allows 3; call it directly"
    )
    assert said({}, everything, tier="gold") == (
        "local:ada may not call echo: the tier gold is not defined; the operator's tiers.yaml defines free, pro"
    )


def test_where_no_argument_would_help_the_operator_is_named() -> None:
    sees = Permission(id="sees", tools="*", operations=("list",))

    assert said({}, sees, reads=False).startswith("local:ada may not call echo: it changes things, and nothing allows developer that.")
    assert said({}, sees).startswith("local:ada may not call echo: nothing allows developer this call.")
