"""The gate as a whole: what goes through, what does not, and what is written down of either."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest

from toolgate.calls import Call, Outcome, Principal, Problem, Text, Tool
from toolgate.errors import AuditUnavailable, EgressBlocked, TimedOut, Unreachable, UpstreamFailed
from toolgate.gateway import Gateway, build_gateway
from toolgate.money import Price
from toolgate.policy.load import load_policy
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings, bundled
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_principal, a_tool

NUMBER = {"type": "object", "properties": {"n": {"type": "integer", "maximum": 9}}, "required": ["n"], "additionalProperties": False}


def a_gateway(*tools: Tool, journal: MemoryJournal | None = None, policy: Policy | None = None) -> Gateway:
    return build_gateway(tools, policy or load_policy(bundled("policies")), memory_stores(journal), Settings())


async def events(journal: MemoryJournal) -> list[dict[str, Any]]:
    """Newest first."""
    return [dict(entry.body) for entry in await journal.read("audit")]


async def endings(journal: MemoryJournal) -> list[dict[str, Any]]:
    """How calls ended, newest first."""
    return [event for event in await events(journal) if event["type"].startswith("call.") and event["type"] != "call.intent"]


async def test_a_permitted_call_reaches_the_tool_once_and_leaves_one_line() -> None:
    journal, echo = MemoryJournal(), Echo()
    gateway = a_gateway(a_tool(echo, name="count", schema=NUMBER, integration="maths", fingerprint="f1"), journal=journal)

    outcome = await gateway.call("count", {"n": 3}, a_principal(), trace_parent="00-aa-bb-01")

    assert outcome == Outcome(
        content=(Text("count was called"),),
        structured={"n": 3},
        rule="readonly.reads",
        notes={"permit": {"policy": gateway.live.current.digest}},
    )
    [ended, intent] = await events(journal)
    assert ended.pop("ms") > 0
    assert len({ended.pop("id"), intent.pop("id")}) == 2
    assert ended["result"].pop("digest") != intent["arguments"].pop("digest")
    assert ended.pop("notes").keys() <= {"spend"}
    about = {
        "version": 1,
        "tenant": "default",
        "instance": journal.instance,
        "call": echo.seen[0].id,
        "parent": None,
        "depth": 0,
        "tainted": False,
        "principal": {
            "id": "local:ada",
            "roles": ["developer"],
            "tier": "pro",
            "via": "terminal",
            "credential": None,
            "acting_for": [],
            "bound_by": None,
            "scopes": None,
        },
        "tool": {"name": "count", "integration": "maths", "fingerprint": "f1"},
        "approval": None,
        "trace": "00-aa-bb-01",
    }
    policy = gateway.live.current.digest
    assert intent == about | {
        "type": "call.intent",
        "decision": {"effect": "allow", "rule": "readonly.reads", "policy": policy},
        "arguments": {"values": {"n": 3}},
    }
    assert ended.pop("money")["settled"] == outcome.cost
    assert ended == about | {
        "type": "call.outcome",
        "decision": {"effect": "allow", "rule": "readonly.reads", "policy": policy},
        "result": {"ending": "ok", "code": None, "status": None, "effect": "done", "replayed": False, "bytes": len(b"count was called")},
    }


async def test_a_write_is_refused_with_a_sentence_and_audited_and_never_runs() -> None:
    journal, echo = MemoryJournal(), Echo()
    seeing = Permission(id="dev.sees", tools="*", operations=("list",))
    policy = Policy([Role(role="developer", permissions=(seeing,))])
    gateway = a_gateway(a_tool(echo, name="drop", reads=False), journal=journal, policy=policy)

    outcome = await gateway.call("drop", {}, a_principal())

    assert outcome.problem == Problem(
        "not_permitted",
        "local:ada may not call drop: it changes things, and nothing allows developer that. Tools that only read may be called. "
        "An operator allows it with a permission in the policies' roles folder",
        details={"rule": "default"},
    )
    assert echo.seen == []
    [event] = await events(journal)
    assert (event["type"], event["decision"]["effect"], event["decision"]["rule"]) == ("call.denied", "deny", "default")
    assert event["result"] == {"ending": "refused", "code": "not_permitted", "status": None, "effect": "none", "replayed": False}
    assert event["arguments"]["values"] == {}


async def test_a_hidden_tool_cannot_be_told_from_one_that_does_not_exist_whatever_is_sent() -> None:
    journal = MemoryJournal()
    gateway = a_gateway(a_tool(name="hidden", reads=False, schema=NUMBER, integration="secret"), a_tool(name="shown"), journal=journal)
    caller = a_principal("readonly")

    for arguments in ({}, {"n": 1}, {"n": "x", "extra": 1}):
        hidden = await gateway.call("hidden", arguments, caller)
        absent = await gateway.call("absent", arguments, caller)
        assert hidden.problem is not None
        assert absent.problem is not None
        assert hidden.problem.message.replace("hidden", "absent") == absent.problem.message
        assert (hidden.problem.code, hidden.problem.details) == (absent.problem.code, absent.problem.details)

    assert list(gateway.visible(caller)) == ["shown"]
    assert [event["tool"]["integration"] for event in await events(journal)] == ["unknown", "secret"] * 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, 'arguments: "n" is a required property; expected {"required":["n"]}.'),
        ({"n": "secret"}, '/n: the value is not of type "integer"; expected {"type":"integer","maximum":9}.'),
        ({"n": 10}, '/n: the value is greater than the maximum of 9; expected {"type":"integer","maximum":9}.'),
        ({"n": 1, "m": 2}, 'arguments: Additional properties are not allowed (\'m\' was unexpected); expected {"properties":["n"]}.'),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_with_what_would(arguments: dict[str, Any], message: str) -> None:
    outcome = await a_gateway(a_tool(name="count", schema=NUMBER)).call("count", arguments, a_principal())

    assert outcome.problem is not None
    assert (outcome.problem.code, outcome.refused) == ("invalid_arguments", True)
    assert outcome.problem.message == f"count cannot take these arguments. {message}"


async def test_the_piece_of_schema_behind_a_reference_is_quoted() -> None:
    schema = {"type": "object", "properties": {"x": {"$ref": "#/$defs/a~1b"}}, "$defs": {"a/b": {"type": "string", "minLength": 2}}}

    outcome = await a_gateway(a_tool(name="count", schema=schema)).call("count", {"x": 1}, a_principal())

    assert outcome.problem is not None
    assert outcome.problem.details["problems"][0]["schema"] == {"type": "string", "minLength": 2}


@pytest.mark.parametrize(
    ("error", "ending", "effect"),
    [
        (Unreachable("nobody there"), "failed", "none"),
        (TimedOut("too late"), "failed", "unknown"),
        (UpstreamFailed("broke", 500), "failed", "unknown"),
        (EgressBlocked("not there"), "refused", "none"),
    ],
)
async def test_a_tools_expected_error_becomes_an_outcome_with_the_rule_that_let_it_run(error: Exception, ending: str, effect: str) -> None:
    journal = MemoryJournal()

    async def fail(call: Call) -> Outcome:
        raise error

    outcome = await a_gateway(a_tool(fail, name="w", reads=False), journal=journal).call("w", {}, a_principal("admin"))

    assert outcome.problem is not None
    assert outcome.problem.message == str(error)
    [event] = await endings(journal)
    assert (event["result"]["ending"], event["decision"]["rule"], event["result"]["effect"]) == (ending, "admin.everything", effect)


async def test_a_bug_passes_through_and_is_audited() -> None:
    journal = MemoryJournal()

    async def stumble(call: Call) -> Outcome:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await a_gateway(a_tool(stumble), journal=journal).call("echo", {}, a_principal())

    assert [event["result"]["ending"] for event in await endings(journal)] == ["ZeroDivisionError"]


async def test_a_cancelled_call_is_audited_before_the_cancellation_goes_on() -> None:
    journal, started = MemoryJournal(), asyncio.Event()

    async def wait(call: Call) -> Outcome:
        started.set()
        await asyncio.Event().wait()
        raise AssertionError

    task = asyncio.create_task(a_gateway(a_tool(wait), journal=journal).call("echo", {}, a_principal()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [event["result"]["ending"] for event in await endings(journal)] == ["CancelledError"]


async def test_a_tool_that_takes_too_long_is_stopped_at_its_deadline() -> None:
    outcome = await a_gateway(a_tool(lambda call: anyio.sleep(60), timeout=0.01)).call("echo", {}, a_principal())

    assert outcome.problem == Problem("timed_out", "echo did not answer within 0.01 s")


async def test_without_an_audit_there_is_no_answer() -> None:
    class Full(MemoryJournal):
        async def append(self, stream: str, body: Any, *, opens: str | None = None, closes: str | None = None) -> int:
            raise AuditUnavailable("disk full")

    outcome = await a_gateway(a_tool(), journal=Full()).call("echo", {}, a_principal())

    assert outcome.content == ()
    assert outcome.problem is not None
    assert outcome.problem.code == "audit_unavailable"


async def test_a_tools_price_is_the_cost_of_a_call_that_went_well() -> None:
    async def fail(call: Call) -> Outcome:
        raise Unreachable("nobody")

    gateway = a_gateway(a_tool(name="a", price=Price(1500)), a_tool(fail, name="b", price=Price(1500)))

    assert (await gateway.call("a", {}, a_principal())).cost == 1500
    assert (await gateway.call("b", {}, a_principal())).cost == 0


async def test_a_tool_that_calls_another_goes_one_deeper_and_keeps_caller_and_deadline() -> None:
    journal, echo = MemoryJournal(), Echo()
    gateway: Gateway

    async def delegate(call: Call) -> Outcome:
        return await gateway.call("inner", {}, call.principal, parent=call)

    gateway = a_gateway(a_tool(delegate, name="outer", timeout=5), a_tool(echo, name="inner", timeout=50), journal=journal)

    await gateway.call("outer", {}, a_principal())

    outer, inner = await endings(journal)
    assert (inner["depth"], inner["parent"], inner["principal"]["id"]) == (1, outer["call"], "local:ada")
    assert 0 < echo.seen[0].seconds_left() <= 5


class TestDiscovery:
    def gateway(self, journal: MemoryJournal | None = None) -> Gateway:
        return a_gateway(
            a_tool(name="list_issues", description="List issues.", listed=False, details="List issues.\nAll of them.", schema=NUMBER),
            a_tool(name="delete_issue", description="Delete an issue.", reads=False, listed=False),
            journal=journal,
        )

    async def test_a_search_finds_only_what_the_caller_may_see(self) -> None:
        gateway = self.gateway()

        seen = await gateway.call("search_tools", {"query": "issue"}, a_principal("readonly"))
        all_of_it = await gateway.call("search_tools", {"query": "issue"}, a_principal("admin"))

        assert [tool["name"] for tool in seen.structured["tools"]] == ["list_issues"]
        assert seen.structured["tools"] == [
            {"name": "list_issues", "description": "List issues.", "arguments": "n: integer", "effect": "reads"}
        ]
        assert {tool["name"] for tool in all_of_it.structured["tools"]} == {"list_issues", "delete_issue"}

    async def test_a_tool_is_described_in_full_and_a_hidden_one_not_at_all(self) -> None:
        gateway = self.gateway()

        shown = await gateway.call("describe_tool", {"name": "list_issues"}, a_principal("readonly"))
        hidden = await gateway.call("describe_tool", {"name": "delete_issue"}, a_principal("readonly"))

        assert shown.structured["inputSchema"] == NUMBER
        assert shown.structured["description"] == "List issues.\nAll of them."
        assert hidden.problem == Problem("unknown_tool", "there is no tool called 'delete_issue'; did you mean list_issues?")

    async def test_call_tool_passes_the_gate_under_the_real_name_once(self) -> None:
        journal = MemoryJournal()
        gateway = self.gateway(journal)

        fine = await gateway.call("call_tool", {"name": "list_issues", "arguments": {"n": 1}}, a_principal())
        refused = await gateway.call("call_tool", {"name": "delete_issue"}, a_principal())
        invalid = await gateway.call("call_tool", {"name": "list_issues", "arguments": {"n": "x"}}, a_principal())

        assert fine.structured == {"n": 1}
        assert refused.problem is not None
        assert refused.problem.code == "approval_needed"
        assert invalid.problem is not None
        assert invalid.problem.code == "invalid_arguments"
        assert [event["tool"]["name"] for event in await endings(journal)] == ["list_issues", "delete_issue", "list_issues"]

    @pytest.mark.parametrize(
        "arguments", [{}, {"name": 5}, {"name": "list_issues", "arguments": []}, {"name": "call_tool"}, {"name": "x", "y": 1}]
    )
    async def test_a_malformed_call_tool_is_refused_and_never_runs(self, arguments: dict[str, Any]) -> None:
        outcome = await self.gateway().call("call_tool", arguments, a_principal())

        assert outcome.problem is not None
        assert outcome.problem.code == "invalid_arguments"

    def test_the_finders_are_there_only_when_something_is_not_listed(self) -> None:
        assert set(a_gateway(a_tool()).visible(a_principal())) == {"echo"}
        assert {"search_tools", "describe_tool", "call_tool"} <= set(self.gateway().visible(a_principal()))


async def test_a_rule_on_arguments_decides_on_validated_ones() -> None:
    own = Permission(id="own.repo", tools="*", conditions=[{"field": "args.owner", "operator": "equals", "value": "acme"}])  # type: ignore[arg-type]
    gateway = a_gateway(a_tool(reads=False), policy=Policy([Role(role="developer", permissions=(own,))]))

    allowed = await gateway.call("echo", {"owner": "acme"}, a_principal())
    refused = await gateway.call("echo", {"owner": "evil"}, a_principal())

    assert allowed.ok
    assert refused.problem is not None
    assert "may not call echo" in refused.problem.message


def test_lists_are_kept_for_a_bounded_number_of_kinds_of_callers() -> None:
    gateway = a_gateway(a_tool())

    for n in range(1000):
        gateway.visible(Principal(id="user:ada", roles=("readonly", f"team{n}")))

    assert len(gateway._visible) <= 256


def test_callers_whom_the_policy_does_not_tell_apart_share_a_list() -> None:
    gateway = a_gateway(a_tool())

    assert gateway.visible(a_principal(id="local:ada")) is gateway.visible(a_principal(id="local:bo"))
