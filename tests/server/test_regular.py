"""What is regular on every way, and what has to go by the SDK. What comes of it is in the tests of the ways themselves."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from toolgate.calls import Principal
from toolgate.gateway import build_gateway
from toolgate.policy.conditions import Condition
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.regular import Calls, Envelopes, Said, answer, declared, is_plain, is_request
from toolgate.settings import Settings
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_tool

OURS = "io.modelcontextprotocol/"
CALL: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}}
ODD_IDS: list[Any] = [None, True, 1.0, []]
ODD_CALLS: list[Any] = [None, [], {}, {"name": 1}, {"name": "e", "arguments": None}, {"name": "e", "task": {}}]
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": "a", "method": "tools/list", "params": {}}
ENVELOPE: dict[str, Any] = {f"{OURS}protocolVersion": "2026-07-28", f"{OURS}clientCapabilities": {}}


@pytest.mark.parametrize(
    "message",
    [
        *(CALL, LIST, {**CALL, "params": {"name": "echo"}}, {**CALL, "params": {"name": "echo", "_meta": None}}),
        {**LIST, "params": {"cursor": "x", "_meta": {}}},
        {**LIST, "params": {"cursor": None}},
    ],
)
def test_calls_and_lists_are_requests(message: Any) -> None:
    assert is_request(message)


@pytest.mark.parametrize(
    "message",
    [
        *(None, [], [CALL], {}, "x", {**CALL, "more": 1}, {**CALL, "jsonrpc": "1.0"}, {**CALL, "method": "ping"}),
        *({**CALL, "id": odd} for odd in ODD_IDS),
        *({**CALL, "params": params} for params in ODD_CALLS),
        *({**LIST, "params": params} for params in ({"cursor": 1}, {"name": "x"})),
    ],
)
def test_what_lacks_something_or_has_more_is_not(message: Any) -> None:
    assert not is_request(message)


@pytest.mark.parametrize(
    ("meta", "plain"),
    [
        *(({}, True), ({"traceparent": "x"}, True), ({"vendor.example/id": {}}, True), ({"toolgate": {"idempotency_key": "k"}}, True)),
        *(
            (None, False),
            ([], False),
            ({"progressToken": 1}, True),
            ({"progressToken": True}, False),
            ({"progressToken": 1.5}, False),
            ({f"{OURS}logLevel": "debug"}, False),
            (ENVELOPE, False),
        ),
    ],
)
def test_a_request_of_a_session_is_plain_when_its_session_need_not_know_of_it(meta: Any, plain: bool) -> None:
    assert is_plain({"_meta": meta}) is plain


def test_a_client_says_once_or_with_each_request_whether_it_has_a_person() -> None:
    able: dict[str, Any] = {"elicitation": {}}
    envelopes = Envelopes()
    mute, asked = envelopes.said(ENVELOPE), envelopes.said({**ENVELOPE, f"{OURS}clientCapabilities": able})
    before = declared(types.ClientCapabilities.model_validate(able))

    assert (mute.person, mute.mute) == (False, True) if mute else False
    assert (asked.person, asked.mute) == (True, False) if asked else False
    assert (before.person, before.mute, declared(None).person) == (True, False, False)


@pytest.mark.parametrize(
    "meta",
    [
        *(None, {}, {f"{OURS}protocolVersion": "2026-07-28"}, {**ENVELOPE, f"{OURS}protocolVersion": "2025-11-25"}),
        *({**ENVELOPE, "progressToken": 1}, {**ENVELOPE, f"{OURS}logLevel": "info"}, {**ENVELOPE, f"{OURS}clientInfo": 7}),
        {**ENVELOPE, f"{OURS}clientCapabilities": {"x": "y" * 5000}},
    ],
)
def test_an_envelope_that_the_sdk_would_refuse_or_heed_is_not_regular(meta: Any) -> None:
    assert Envelopes().said(meta) is None


def test_an_answer_repeats_the_id_as_it_came() -> None:
    assert answer('a"ü', b'"result":{}') == '{"jsonrpc":"2.0","id":"a\\"ü","result":{}}'.encode()


async def test_who_could_be_asked_goes_by_the_sdk_for_those_tools_before_which_the_policy_asks() -> None:
    changes = Condition(field="tool.read_only", operator="equals", value=False)
    writes = Permission(id="all.writes", tools="*", conditions=(changes,), obligations=("approve",))
    policy = Policy([Role(role="all", permissions=(Permission(id="all.all", tools="*"),)), Role(role="careful", permissions=(writes,))])
    tools = [a_tool(name=name, quiet=True, reads=name == "reads") for name in ("reads", "writes")]
    calls = Calls(build_gateway(tools, policy, memory_stores(), Settings()))
    free, careful = Principal("ada", ("all",)), Principal("bob", ("all", "careful"))
    bound = Principal("agent:ada", ("all",), bound_by=("all", "careful"))
    person, nobody = Said(person=True, mute=False), Said(person=False, mute=False)

    def taken(principal: Principal, said: Said) -> list[str]:
        return [tool.name for tool in tools if calls.tool({"name": tool.name}, principal, said) is tool]

    assert taken(free, person) == ["reads", "writes"]
    assert taken(careful, person) == taken(bound, person) == ["reads"]
    assert taken(careful, nobody) == ["reads", "writes"]
