"""What is regular on every way, and what has to go by the SDK. What comes of it is in the tests of the ways themselves."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from toolgate.server.regular import Envelopes, answer, declared, is_plain, is_request

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
        *((None, False), ([], False), ({"progressToken": 1}, False), ({f"{OURS}logLevel": "debug"}, False), (ENVELOPE, False)),
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
