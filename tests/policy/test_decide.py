"""The semantics of a policy, as laws. Each word of `docs/policy.md` under "What a decision is" has its test here."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.policy.naive import naive
from toolgate.calls import Call, Principal, Tool
from toolgate.policy.conditions import Condition
from toolgate.policy.decide import BOUND, DEFAULT, Decision, decide, visible, visible_of
from toolgate.policy.load import load_policy
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.policy.tiers import Tier
from toolgate.settings import bundled
from toolgate.testing import a_call, a_principal, a_tool

READ, WRITE, SEND = a_tool(name="files_read"), a_tool(name="files_write", reads=False), a_tool(name="mail_send", reads=False)
TOOLS = [READ, WRITE, SEND, a_tool(name="code_run", reads=False, tags=("feature:code_execution", "python"))]
ARGUMENTS: list[dict[str, Any]] = [{}, {"n": 1}, {"n": 9}, {"n": "1"}, {"n": True}, {"owner": "acme"}, {"owner": "acme", "n": 9}]
SCOPES = ["tools:read", "tools:call", "tool:files_*", "tool:mail_send", "tool:[", "openid"]
TIERS = {
    "small": Tier(tools=("files_*", "mail_?end"), max_depth=1),
    "pro": Tier(features=frozenset({"code_execution"})),
    "none": Tier(tools=()),
}

conditions = st.sampled_from(
    [
        Condition(field="args.n", operator="less_than", value=5),
        Condition(field="args.n", operator="equals", value=1),
        Condition(field="args.owner", operator="equals", value="acme"),
        Condition(field="args.owner", operator="exists", value=False),
        Condition(field="args.owner", operator="matches", value="ac.*"),
        Condition(field="tool.read_only", operator="equals", value=True),
        Condition(field="tool.nothing", operator="equals", value=1),
        Condition(field="principal.id", operator="matches", value="local:.*"),
        Condition(field="principal.tier", operator="in", value=["pro", "none"]),
        Condition(field="principal.nothing", operator="contains", value="x"),
        Condition(field="call.depth", operator="greater_than", value=0),
        Condition(field="call.tainted", operator="equals", value=True),
    ]
)
permissions: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    tools=st.sampled_from(["*", "files_*", "*_?end", "mail_send", "[cf]*e*", "nothing"]),
    operations=st.sampled_from([("list",), ("call",), ("list", "call")]),
    effect=st.sampled_from(["allow", "allow", "deny"]),
    conditions=st.lists(conditions, max_size=2),
    obligations=st.sampled_from([(), ("approve",)]),
)
Case = tuple[list[Permission], Call]
rule_lists = st.lists(permissions, max_size=6).map(lambda rules: [Permission(id=f"r{i}", **rule) for i, rule in enumerate(rules)])
principals = st.builds(
    Principal,
    id=st.sampled_from(["local:ada", "bo"]),
    # The first is the usual one, since most laws say nothing of a call that nobody would permit.
    roles=st.sampled_from([*[("developer",)] * 6, ("readonly",), ("readonly", "developer"), ("ghost",), ()]),
    tier=st.sampled_from([*["pro"] * 6, "small", "none", "misspelt"]),
    scopes=st.sampled_from([None, None]) | st.frozensets(st.sampled_from(SCOPES), max_size=2),
    bound_by=st.sampled_from([None, None, None, ("readonly",), ("developer",), ()]),
)
calls = st.builds(a_call, st.sampled_from(TOOLS), st.sampled_from(ARGUMENTS), principals, depth=st.integers(0, 4), tainted=st.booleans())
cases = st.tuples(rule_lists, calls)


def roles_of(rules: Sequence[Permission]) -> Mapping[str, Role]:
    """The even ones for readonly, the odd ones for developer, who inherits the even ones."""
    readonly = Role(role="readonly", permissions=tuple(rules[::2]))
    return {"readonly": readonly, "developer": Role(role="developer", inherits=("readonly",), permissions=tuple(rules[1::2]))}


def policy(rules: Sequence[Permission], tiers: Mapping[str, Tier] = TIERS) -> Policy:
    return Policy(roles_of(rules).values(), tiers)


def permitted(rules: Sequence[Permission], call: Call) -> bool:
    return decide(call, policy(rules)).permitted


def one_role(*rules: Permission, inherited: Sequence[Permission] = ()) -> Policy:
    parent = Role(role="parent", permissions=tuple(inherited))
    return Policy([parent, Role(role="developer", inherits=("parent",), permissions=rules)], TIERS)


@settings(max_examples=1000)
@given(cases)
def test_the_decision_is_the_naive_ones(case: Case) -> None:
    rules, call = case

    assert permitted(rules, call) == naive(call, roles_of(rules), TIERS)


@given(cases)
def test_a_call_is_permitted_only_by_an_allow_and_never_over_a_deny(case: Case) -> None:
    rules, call = case
    decision = decide(call, policy(rules))
    by_id = {rule.id: rule for rule in rules}

    if decision.permitted:
        assert by_id[decision.rule].effect == "allow"
        without_denies = policy([rule if rule.effect == "allow" else rule.model_copy(update={"tools": "nothing"}) for rule in rules])
        assert decide(call, without_denies).permitted
    else:
        assert decision.rule in {DEFAULT, BOUND, "scope"} or decision.rule.startswith("tier.") or by_id[decision.rule].effect == "deny"


@given(rule_lists, calls, st.randoms())
def test_the_order_of_rules_does_not_matter(rules: list[Permission], call: Call, chance: random.Random) -> None:
    one = one_role(*rules)
    other = one_role(*chance.sample(rules, len(rules)))

    assert decide(call, one) == decide(call, other)
    assert visible(call.principal, call.tool, one) == visible(call.principal, call.tool, other)


@given(cases, permissions)
def test_one_more_deny_never_grants_nor_shows(case: Case, more: dict[str, Any]) -> None:
    rules, call = case
    deny = Permission(id="more", **{**more, "effect": "deny"})

    assert permitted([*rules, deny], call) <= permitted(rules, call)
    assert visible(call.principal, call.tool, policy([*rules, deny])) <= visible(call.principal, call.tool, policy(rules))


@given(cases, st.integers(0, 5))
def test_one_allow_less_never_grants_nor_shows(case: Case, which: int) -> None:
    rules, call = case
    fewer = [
        rule.model_copy(update={"tools": "nothing"}) if i == which and rule.effect == "allow" else rule for i, rule in enumerate(rules)
    ]

    assert permitted(fewer, call) <= permitted(rules, call)
    assert visible(call.principal, call.tool, policy(fewer)) <= visible(call.principal, call.tool, policy(rules))


@settings(max_examples=500)
@given(rule_lists, calls, st.sampled_from([("list",), ("call",), ("list", "call")]))
def test_what_may_be_called_is_listed(rules: list[Permission], call: Call, operations: tuple[Any, ...]) -> None:
    everything = Permission(id="everything", tools="*", operations=operations)  # else few would be permitted

    for some in (rules, [everything, *rules], [rule.model_copy(update={"effect": "allow"}) for rule in rules]):
        assert permitted(some, call) <= visible(call.principal, call.tool, policy(some))


@given(cases, st.frozensets(st.sampled_from(SCOPES)))
def test_a_scope_limits_and_never_grants(case: Case, fewer: frozenset[str]) -> None:
    rules, call = case
    unbound = replace(call, principal=replace(call.principal, scopes=None))
    scopes = frozenset(SCOPES) if call.principal.scopes is None else call.principal.scopes
    less = replace(call, principal=replace(call.principal, scopes=scopes & fewer))

    assert permitted(rules, less) <= permitted(rules, call) <= permitted(rules, unbound)
    assert visible(less.principal, call.tool, policy(rules)) <= visible(unbound.principal, call.tool, policy(rules))


@given(cases)
def test_a_tier_limits_and_never_grants(case: Case) -> None:
    rules, call = case
    everything = {call.principal.tier: Tier(max_depth=99, features=frozenset({"code_execution"}))}

    assert permitted(rules, call) <= decide(call, policy(rules, everything)).permitted


@settings(max_examples=1000)
@given(cases, st.sampled_from([("readonly",), ("developer",), ("readonly", "developer"), ()]))
def test_who_is_bound_may_what_both_sets_of_roles_allow_and_is_asked_what_either_asks(case: Case, bound_by: tuple[str, ...]) -> None:
    rules, call = case
    user = replace(call.principal, bound_by=None)
    by_own, by_bound = (replace(call, principal=replace(user, roles=roles)) for roles in (user.roles, bound_by))
    own, bound = (decide(one, policy(rules)) for one in (by_own, by_bound))

    agent = replace(call, principal=replace(user, bound_by=bound_by))
    decision = decide(agent, policy(rules))

    assert decision.permitted is (own.permitted and bound.permitted)
    assert decision.obligations == (tuple({*own.obligations, *bound.obligations}) if decision.permitted else ())
    seen = [visible(one.principal, call.tool, policy(rules)) for one in (by_own, by_bound)]
    assert visible(agent.principal, call.tool, policy(rules)) is all(seen)


@given(cases)
def test_the_fewest_obligations_of_all_allowing_rules_count(case: Case) -> None:
    rules, call = case
    call = replace(call, principal=replace(call.principal, bound_by=None))
    decision = decide(call, policy(rules))
    asking = [rule.model_copy(update={"obligations": ("approve",)}) for rule in rules]

    free = decide(call, policy([rule.model_copy(update={"tools": "nothing"}) if rule.obligations else rule for rule in rules]))
    assert (decision.obligations == ()) == (free.permitted or not decision.permitted)
    assert decide(call, policy(asking)).permitted == decision.permitted


@given(rule_lists, principals)
def test_a_list_holds_what_each_tool_alone_says_in_order(rules: list[Permission], principal: Principal) -> None:
    assert list(visible_of(principal, TOOLS, policy(rules))) == [tool for tool in TOOLS if visible(principal, tool, policy(rules))]


@given(rule_lists, principals, principals)
def test_callers_of_one_view_see_the_same(rules: list[Permission], one: Principal, other: Principal) -> None:
    rule_set = policy(rules)
    assume(rule_set.view(one) == rule_set.view(other))

    assert list(visible_of(one, TOOLS, rule_set)) == list(visible_of(other, TOOLS, rule_set))


OWN = Condition(field="args.owner", operator="equals", value="acme")


@pytest.mark.parametrize(
    ("arguments", "allowed", "denied"),
    [({"owner": "acme"}, True, True), ({"owner": "evil"}, False, False), ({"owner": 7}, False, False), ({}, False, True)],
)
def test_an_allow_needs_its_conditions_true_and_a_deny_fires_unless_they_are_false(
    arguments: dict[str, Any], allowed: bool, denied: bool
) -> None:
    allow, everything = Permission(id="allow", tools="*", conditions=(OWN,)), Permission(id="everything", tools="*")
    deny = Permission(id="deny", tools="*", effect="deny", conditions=(OWN,))

    assert decide(a_call(arguments=arguments), one_role(allow)).permitted is allowed
    assert decide(a_call(arguments=arguments), one_role(everything, deny)).permitted is not denied


@pytest.mark.parametrize("arguments", [{"n": "9"}, {"n": None}, {"n": [9]}, {"n": True}, {}])
def test_no_value_of_another_type_gets_past_a_deny(arguments: dict[str, Any]) -> None:
    large = Condition(field="args.n", operator="greater_than", value=5)
    rules = one_role(Permission(id="all", tools="*"), Permission(id="deny", tools="*", effect="deny", conditions=(large,)))

    assert not decide(a_call(arguments=arguments), rules).permitted


@pytest.mark.parametrize(
    ("tier", "tool", "depth", "scopes", "rule", "seen"),
    [
        ("pro", WRITE, 3, None, "all", True),
        ("pro", WRITE, 4, None, "tier.depth", True),
        ("small", WRITE, 1, None, "all", True),
        ("small", WRITE, 2, None, "tier.depth", True),
        ("small", TOOLS[3], 0, None, "tier.tools", False),
        ("none", READ, 0, None, "tier.tools", False),
        ("misspelt", READ, 0, None, "tier.unknown", True),
        ("pro", TOOLS[3], 0, None, "all", True),
        ("pro", WRITE, 0, {"tools:call"}, "all", True),
        ("pro", WRITE, 0, {"tools:read"}, "scope", True),
        ("pro", READ, 0, {"tools:read"}, "all", True),
        ("pro", WRITE, 0, {"tool:files_*", "openid"}, "all", True),
        ("pro", SEND, 0, {"tool:files_*", "openid"}, "scope", False),
        ("pro", READ, 0, set(), "scope", False),
    ],
)
def test_tiers_and_scopes_are_ordinary_denials_with_ids(
    tier: str, tool: Tool, depth: int, scopes: set[str] | None, rule: str, seen: bool
) -> None:
    principal = replace(a_principal(), tier=tier, scopes=None if scopes is None else frozenset(scopes))
    rules = one_role(Permission(id="all", tools="*"))

    decision = decide(a_call(tool, principal=principal, depth=depth), rules)

    assert (decision.rule, decision.permitted) == (rule, rule == "all")
    assert visible(principal, tool, rules) is seen


def test_a_tool_that_needs_a_feature_is_for_tiers_that_have_it() -> None:
    tiers = {"pro": Tier(), "rich": Tier(features=frozenset({"code_execution"}))}
    rules = Policy([Role(role="developer", permissions=(Permission(id="all", tools="*"),))], tiers)
    pro, rich = a_principal(), replace(a_principal(), tier="rich")

    assert decide(a_call(TOOLS[3], principal=pro), rules) == Decision(False, "tier.feature")
    assert decide(a_call(TOOLS[3], principal=rich), rules) == Decision(True, "all")
    assert [visible(who, TOOLS[3], rules) for who in (pro, rich)] == [False, True]


def test_the_finders_are_within_every_tier_and_any_scope_on_tools() -> None:
    finder = a_tool(name="search_tools", tags=("discovery",), integration="toolgate")
    foreign = a_tool(name="search_shop", tags=("discovery",), integration="shop")
    principal = replace(a_principal(), tier="small", scopes=frozenset({"tool:files_*"}))
    rules = one_role(Permission(id="all", tools="*"))

    assert decide(a_call(finder, principal=principal), rules).permitted
    assert not decide(a_call(foreign, principal=principal), rules).permitted


def test_a_deny_of_list_forbids_the_call_too_for_what_is_hidden_cannot_be_told_from_nothing() -> None:
    rules = one_role(Permission(id="all", tools="*"), Permission(id="hide", tools="*", effect="deny", operations=("list",)))

    assert decide(a_call(), rules) == Decision(False, "hide")
    assert not visible(a_principal(), a_tool(), rules)


@pytest.mark.parametrize(
    ("effect", "operations", "condition", "seen"),
    [
        ("allow", ("list",), None, True),
        ("allow", ("call",), None, True),
        ("allow", ("call",), Condition(field="args.n", operator="equals", value=1), True),
        ("allow", ("call",), Condition(field="principal.nothing", operator="equals", value=1), False),
        ("allow", ("call",), Condition(field="tool.nothing", operator="equals", value=1), False),
        ("deny", ("call",), None, False),
        ("deny", ("call",), Condition(field="args.n", operator="equals", value=1), True),
        ("deny", ("list",), Condition(field="principal.nothing", operator="equals", value=1), False),
        ("deny", ("list",), Condition(field="tool.nothing", operator="equals", value=1), False),
        ("deny", ("list",), Condition(field="principal.id", operator="equals", value="bo"), True),
    ],
)
def test_a_tool_is_shown_when_it_may_be_listed_or_some_call_may_be_allowed(
    effect: Any, operations: Any, condition: Condition | None, seen: bool
) -> None:
    rule = Permission(id="rule", tools="*", effect=effect, operations=operations, conditions=(condition,) if condition else ())
    calling = [Permission(id="calling", tools="*", operations=("call",))] if effect == "deny" else []

    assert visible(a_principal(), a_tool(), one_role(rule, *calling)) is seen


def test_what_a_parent_denies_stays_denied() -> None:
    rules = one_role(Permission(id="all", tools="*"), inherited=[Permission(id="no", tools="*", effect="deny")])

    assert decide(a_call(), rules) == Decision(False, "no")


@given(calls)
def test_the_bundled_roles_grow_from_readonly_to_admin(call: Call) -> None:
    bundle = load_policy(bundled("policies"))
    call = replace(call, depth=0)

    grants = [decide(replace(call, principal=a_principal(role)), bundle).permitted for role in ("readonly", "agent", "developer", "admin")]

    assert grants == sorted(grants)


@pytest.mark.parametrize(
    ("role", "reads", "writes", "sees_writes"),
    [
        ("readonly", True, False, False),
        ("agent", True, False, False),
        ("developer", True, True, True),
        ("admin", True, True, True),
        ("nobody", False, False, False),
    ],
)
def test_the_bundled_roles_let_reads_through_and_writes_for_developers_who_ask_and_admins_who_do_not(
    role: str, reads: bool, writes: bool, sees_writes: bool
) -> None:
    bundle = load_policy(bundled("policies"))
    caller = a_principal(role)

    assert decide(a_call(READ, principal=caller), bundle).permitted is reads
    written = decide(a_call(WRITE, principal=caller), bundle)
    assert (written.permitted, written.obligations) == (writes, ("approve",) if role == "developer" else ())
    assert visible(caller, WRITE, bundle) is sees_writes


@pytest.mark.parametrize(
    ("role", "tool", "expected"),
    [
        ("readonly", READ, (True, ())),
        ("readonly", WRITE, (False, ())),
        ("developer", WRITE, (True, ("approve",))),
        ("admin", READ, (True, ())),
        ("admin", WRITE, (True, ("approve",))),
    ],
)
def test_a_bundled_agent_reads_as_its_user_does_and_a_person_says_yes_to_each_change(
    role: str, tool: Tool, expected: tuple[bool, tuple[str, ...]]
) -> None:
    decision = decide(a_call(tool, principal=a_principal(role).delegate()), load_policy(bundled("policies")))

    assert (decision.permitted, decision.obligations) == expected


def test_an_agent_of_an_agent_is_the_same_agent() -> None:
    agent = a_principal("developer").delegate()

    assert (agent.id, agent.acting_for, agent.user) == ("agent:local:ada", ("local:ada",), "local:ada")
    assert agent.delegate() == agent


def test_a_decision_names_its_rule_and_what_the_author_wants_said() -> None:
    rules = one_role(
        Permission(id="b.allow", tools="*"),
        Permission(id="a.allow", tools="*"),
        Permission(id="a.asks", tools="*", obligations=("approve",)),
        Permission(id="z.deny", tools="mail_*", effect="deny", reason="Mail is closed on Sundays."),
    )

    assert decide(a_call(READ), rules) == Decision(True, "a.allow")
    assert decide(a_call(SEND), rules) == Decision(False, "z.deny", "Mail is closed on Sundays.")
    assert decide(a_call(READ), one_role()) == Decision(False, DEFAULT)
