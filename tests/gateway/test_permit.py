"""What `permit` hands on, and what it says where it does not."""

from __future__ import annotations

from dataclasses import replace

from toolgate.chain import chain
from toolgate.gateway import build_gateway
from toolgate.gateway.permit import Permit
from toolgate.policy.live import Live
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_call, a_principal, a_tool


def policy(*permissions: Permission) -> Policy:
    return Policy([Role(role="developer", permissions=permissions)])


ASKS = Permission(id="dev.asks", tools="*", obligations=("approve",))
DENIES = Permission(id="dev.denies", tools="*", effect="deny", operations=("call",), reason="Closed.")
ALLOWS = Permission(id="dev.allows", tools="*")


async def test_a_permitted_call_goes_on_with_its_obligations_and_the_policys_digest() -> None:
    echo, live = Echo(), Live(policy(ASKS))

    outcome = await chain([Permit(live)], echo)(a_call())

    [seen] = echo.seen
    assert (seen.obligations, seen.policy) == (("approve",), live.current.digest)
    assert (outcome.rule, outcome.notes) == ("dev.asks", {"permit": {"policy": live.current.digest}})


async def test_another_policy_in_force_decides_the_next_call_and_makes_the_next_list() -> None:
    live, journal = Live(policy(ALLOWS)), MemoryJournal()
    gateway = build_gateway([a_tool()], live, memory_stores(journal), Settings())
    caller = a_principal()
    before = await gateway.call("echo", {}, caller)
    assert list(gateway.visible(caller)) == ["echo"]

    first, live.current = live.current, policy(ALLOWS, DENIES)
    after = await gateway.call("echo", {}, caller)

    assert before.ok
    assert after.problem is not None
    assert (after.problem.message, after.rule) == ("local:ada may not call echo: Closed.", "dev.denies")
    assert before.notes == {"permit": {"policy": first.digest}}
    assert after.notes == {"permit": {"policy": live.current.digest}}

    live.current = policy()
    assert list(gateway.visible(caller)) == []


def test_policies_that_say_the_same_have_one_digest_and_others_have_others() -> None:
    assert policy(ALLOWS).digest == policy(ALLOWS).digest
    assert len({policy(ALLOWS).digest, policy(ASKS).digest, policy().digest}) == 3


async def test_a_scope_that_is_missing_is_named_for_programs() -> None:
    caller = replace(a_principal(), scopes=frozenset({"tools:read"}))
    gateway = build_gateway([a_tool(reads=False)], policy(ALLOWS), memory_stores(), Settings())

    outcome = await gateway.call("echo", {}, caller)

    assert outcome.problem is not None
    assert outcome.problem.details == {"rule": "scope", "scopes": ["tool:echo", "tools:call"]}


async def test_a_candidate_changes_nothing_and_is_noted_where_it_would_decide_otherwise() -> None:
    candidate = policy(DENIES)
    live = Live(policy(ALLOWS), candidate)
    gateway = build_gateway([a_tool()], live, memory_stores(), Settings())

    otherwise = await gateway.call("echo", {}, a_principal())
    live.candidate = policy(ALLOWS)
    alike = await gateway.call("echo", {}, a_principal())

    assert (otherwise.ok, alike.ok) == (True, True)
    shadow = {"policy": candidate.digest, "effect": "deny", "rule": "dev.denies", "obligations": []}
    assert otherwise.notes == {"permit": {"policy": live.current.digest}, "shadow": shadow}
    assert alike.notes == {"permit": {"policy": live.current.digest}}
