from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit.event import about, what, who
from toolgate.calls import Call
from toolgate.policy.conditions import Condition
from toolgate.policy.decide import decide
from toolgate.policy.explain import word
from toolgate.policy.replay import Flip, Replayed, possible, replay
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.testing import a_call, a_tool

OWN = Condition(field="args.owner", operator="equals", value="acme")
GIVEN = Condition(field="args.owner", operator="exists")
TOOL = a_tool(reads=False)


def policy(*rules: Permission) -> Policy:
    return Policy([Role(role="developer", permissions=rules)])


def event(call: Call, type: Any = "call.denied", **arguments: Any) -> dict[str, Any]:
    return {
        **about(type, call, "here", who(call.principal), what(call.tool)),
        "decision": {"policy": ""},
        "arguments": arguments or {"values": dict(call.arguments)},
    }


ALL = policy(Permission(id="all", tools="*"))
ASKS = policy(Permission(id="asks", tools="*", obligations=("approve",)))
OWNED = policy(Permission(id="owned", tools="*", conditions=(OWN,)))
NAMED = policy(Permission(id="named", tools="*", conditions=(GIVEN,)))
NONE = policy()


@pytest.mark.parametrize(
    ("arguments", "before", "after", "decided"),
    [
        ({"values": {}}, ALL, NONE, ("allow", "deny")),
        ({"values": {}}, NONE, ASKS, ("deny", "approve")),
        ({"values": {"owner": "acme"}}, NONE, OWNED, ("deny", "allow")),
        ({"values": {"owner": "evil"}}, ALL, OWNED, ("allow", "deny")),
        ({"values": {"owner": "evil"}}, NONE, OWNED, None),
        ({"values": {"owner": "[redacted]"}}, NONE, OWNED, "unknown"),
        ({"values": {"owner": "x" * 5000}}, NONE, OWNED, "unknown"),
        ({"values": {"cut": ["owner"]}}, NONE, OWNED, "unknown"),
        ({"names": ["owner"]}, NONE, OWNED, "unknown"),
        ({"names": ["owner"]}, NONE, NAMED, ("deny", "allow")),
        ({"names": []}, NONE, NAMED, None),
        ({"names": ["owner"]}, OWNED, OWNED, None),
    ],
)
def test_a_recorded_call_flips_stays_or_cannot_be_told(arguments: Any, before: Policy, after: Policy, decided: Any) -> None:
    found = replay([event(a_call(TOOL), **arguments)], {"echo": TOOL}, before, after)

    flips = (Flip("local:ada", ("developer",), "echo", decided[0], decided[1], 1),) if isinstance(decided, tuple) else ()
    assert found == Replayed(1, int(decided is None), flips, {"echo": 1} if decided == "unknown" else {})


def test_what_the_old_policy_let_through_it_did_not_deny() -> None:
    recorded = event(a_call(TOOL), "call.intent", names=["owner"]) | {"decision": {"policy": OWNED.digest}}

    assert replay([recorded], {"echo": TOOL}, OWNED, NONE).flips[0].before == "allow"


def test_calls_alike_are_counted_and_other_events_passed_over() -> None:
    recorded = event(a_call(TOOL))
    others = [{"type": "policy.changed"}, {**recorded, "type": "call.outcome"}, event(a_call(a_tool(integration="unknown")))]

    found = replay([recorded, *others, recorded, event(a_call(a_tool(name="gone")))], {"echo": TOOL}, ALL, NONE)

    assert found == Replayed(3, 0, (Flip("local:ada", ("developer",), "echo", "allow", "deny", 2),), {"gone": 1})


rules = st.lists(
    st.builds(
        lambda effect, conditions, obligations: {"effect": effect, "conditions": conditions, "obligations": obligations},
        st.sampled_from(["allow", "allow", "deny"]),
        st.lists(st.sampled_from([OWN, GIVEN, Condition(field="args.n", operator="less_than", value=5)]), max_size=2),
        st.sampled_from([(), ("approve",)]),
    ),
    max_size=4,
).map(lambda some: policy(*(Permission(id=f"r{i}", tools="*", **rule) for i, rule in enumerate(some))))
arguments = st.fixed_dictionaries({}, optional={"owner": st.sampled_from(["acme", "evil", 7]), "n": st.sampled_from([1, 9, "1"])})


@given(rules, arguments)
def test_what_the_policy_decides_is_always_among_what_is_possible(some: Policy, given: dict[str, Any]) -> None:
    call = a_call(TOOL, given)
    truth = word(decide(call, some))

    assert truth in possible(a_call(TOOL), {"names": list(given)}, some)
    assert possible(call, {"names": list(given), "values": given}, some) == {truth}
