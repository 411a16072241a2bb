from __future__ import annotations

from typing import Any

import pytest

from toolgate.policy.compare import Change, compare, may
from toolgate.policy.conditions import Condition
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.policy.tiers import Tier
from toolgate.testing import a_tool

OWN = Condition(field="args.owner", operator="equals", value="acme")
ALL, SEES = Permission(id="all", tools="*"), Permission(id="sees", tools="*", operations=("list",))
OWNED = Permission(id="owned", tools="*", conditions=(OWN,))
ASKS = Permission(id="asks", tools="*", obligations=("approve",))
NO = Permission(id="no", tools="*", effect="deny", conditions=(OWN,))


def policy(*rules: Permission, **tiers: Tier) -> Policy:
    return Policy([Role(role="developer", permissions=rules)], tiers)


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        ((), "hidden"),
        ((SEES,), "deny"),
        ((ALL,), "allow"),
        ((ASKS,), "approve"),
        ((OWNED,), "allow or deny"),
        ((OWNED, ASKS), "allow or approve"),
        ((ALL, NO), "allow or deny"),
    ],
)
def test_what_a_role_may_do_is_a_word_for_each_end_that_arguments_may_lead_to(rules: Any, word: str) -> None:
    assert may("developer", a_tool(), policy(*rules)) == word


def test_rules_tiers_and_roles_that_differ_are_told() -> None:
    changes = list(compare(policy(ALL, pro=Tier()), policy(ALL, NO, pro=Tier(max_depth=1)), [a_tool()]))

    condition = {"field": "args.owner", "operator": "equals", "value": "acme"}
    assert changes == [
        Change("rule", "no", None, None, {"role": "developer", "id": "no", "tools": "*", "effect": "deny", "conditions": [condition]}),
        Change("tier", "pro", None, {}, {"max_depth": 1}),
        Change("role", "developer", "echo", "allow", "allow or deny"),
    ]
