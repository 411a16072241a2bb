"""What the specification of 2026-07-28 wants of a server, asked in plain HTTP; `docs/conformance.md` says which sentence each is for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import httpx2
import pytest

from tests.server.conftest import Serve
from toolgate.calls import Outcome, Text
from toolgate.gateway import Gateway
from toolgate.testing import a_tool

VERSION = "2026-07-28"
OURS = "io.modelcontextprotocol/"
META: Mapping[str, Any] = {f"{OURS}protocolVersion": VERSION, f"{OURS}clientCapabilities": {}}
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def asked(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False, timeout=60)


def request(
    method: str, params: Mapping[str, Any] | None = None, *, meta: Mapping[str, Any] = META, **headers: str | None
) -> dict[str, Any]:
    """What `post` takes for a request; a header that is None is left out."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**(params or {}), "_meta": meta}}
    said = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": method,
        "mcp-name": (params or {}).get(NAMED.get(method, "")),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return {"json": body, "headers": {name: value for name, value in said.items() if value is not None}}


def told(answer: httpx2.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json().get("error", {}).get("code")


async def test_discover_says_versions_capabilities_and_how_long_that_is_good(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        result = (await client.post("/mcp", **request("server/discover"))).json()["result"]

    assert VERSION in result["supportedVersions"]
    assert "2025-11-25" not in result["supportedVersions"]  # those begin with a handshake
    assert {"tools", "resources", "prompts", "completions"} <= set(result["capabilities"])
    assert isinstance(result["instructions"], str)
    assert result["ttlMs"] >= 0
    assert result["cacheScope"] in ("private", "public")


@pytest.mark.parametrize("missing", ["protocolVersion", "clientCapabilities"])
@pytest.mark.parametrize("method", ["tools/list", "tools/call", "prompts/list"])
async def test_a_request_that_does_not_say_version_and_capabilities_is_an_invalid_one(serve: Serve, missing: str, method: str) -> None:
    meta = {key: value for key, value in META.items() if not key.endswith(missing)}
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request(method, {"name": "echo"} if method == "tools/call" else {}, meta=meta))

    assert told(answer) == (400, -32602)


async def test_a_client_need_not_say_who_it_is(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}))

    assert told(answer) == (200, None)


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/list", {}),
        ("resources/list", {}),
        ("resources/templates/list", {}),
        ("prompts/list", {}),
        ("server/discover", {}),
        ("tools/call", {"name": "echo", "arguments": {}}),
    ],
)
async def test_every_result_says_that_it_is_complete_and_who_answers(serve: Serve, method: str, params: dict[str, Any]) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        result = (await client.post("/mcp", **request(method, params))).json()["result"]

    assert result["resultType"] == "complete"
    assert result["_meta"][f"{OURS}serverInfo"]["name"] == "toolgate"
    if method != "tools/call":
        assert result["ttlMs"] >= 0
        assert result["cacheScope"] == "private"


@pytest.mark.parametrize(
    "headers",
    [
        {"mcp_method": "tools/list"},
        {"mcp_method": None},
        {"mcp_name": "other"},
        {"mcp_name": None},
        {"mcp_name": "=?base64?b3RoZXI=?="},
        {"mcp_protocol_version": "2099-01-01"},
    ],
)
async def test_headers_that_do_not_repeat_the_body_are_refused(serve: Serve, headers: dict[str, str | None]) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}, meta=META, **headers))

    assert answer.status_code == 400
    assert told(answer)[1] in (-32020, -32022)


async def test_a_name_in_a_header_may_be_encoded(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}, mcp_name="=?base64?ZWNobw==?="))

    assert told(answer) == (200, None)


async def test_headers_for_arguments_that_no_tool_asks_for_are_passed_over(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}, mcp_param_stray="x"))

    assert told(answer) == (200, None)


async def test_an_unknown_method_and_an_unknown_version_say_what_there_is(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        method = await client.post("/mcp", **request("tools/unknown"))
        other = {**META, f"{OURS}protocolVersion": "2099-01-01"}
        version = await client.post("/mcp", **request("tools/list", meta=other, mcp_protocol_version="2099-01-01"))

    assert told(method) == (404, -32601)
    assert told(version) == (400, -32022)
    assert VERSION in version.json()["error"]["data"]["supported"]


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"])
async def test_what_the_new_version_no_longer_has_is_not_there(serve: Serve, method: str) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request(method, {"uri": "x", "level": "info"}))

    assert told(answer) == (404, -32601)


async def test_our_own_codes_are_outside_what_the_specification_keeps(serve: Serve, gateway_of: Callable[..., Gateway]) -> None:
    async with serve(gateway_of([a_tool(name="frozen")])) as url, asked(url) as client:
        unknown = await client.post("/mcp", **request("tools/call", {"name": "none", "arguments": {}}))
        resource = await client.post("/mcp", **request("resources/read", {"uri": "test://none"}))
        prompt = await client.post("/mcp", **request("prompts/get", {"name": "none"}))
        denied = await client.post("/mcp", **request("tools/call", {"name": "frozen", "arguments": {}}))

    assert [told(each)[1] for each in (unknown, resource, prompt)] == [-32602] * 3  # never -32002 or -32042
    assert denied.json()["result"]["isError"] is True  # no error of the protocol: a model may repair it


async def test_what_an_argument_has_wrong_is_a_result_and_not_an_error_of_the_protocol(serve: Serve) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    async with serve([a_tool(schema=schema)]) as url, asked(url) as client:
        answer = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {"n": "x"}}))

    assert answer.json()["result"]["isError"] is True
    assert "n:" in answer.json()["result"]["content"][0]["text"]


async def test_a_structured_answer_is_in_words_too(serve: Serve) -> None:
    async def run(_call: Any) -> Outcome:
        return Outcome(structured=[1, 2])

    async with serve([a_tool(run)]) as url, asked(url) as client:
        result = (await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}))).json()["result"]

    assert result["structuredContent"] == json.loads(result["content"][0]["text"]) == [1, 2]


async def test_nothing_is_kept_of_one_request_for_the_next(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        first = await client.post("/mcp", **request("tools/list"))
        without = await client.post("/mcp", **request("tools/list", meta={}))

    assert "mcp-session-id" not in first.headers
    assert told(without) == (400, -32602)


async def test_progress_and_log_are_told_only_to_who_asked(serve: Serve) -> None:
    async def run(call: Any) -> Outcome:
        if call.progress is not None:
            await call.progress(1, 2, "half")
        return Outcome((Text("done"),))

    async with serve([a_tool(run)]) as url, asked(url) as client:
        quiet = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}))
        loud = await client.post("/mcp", **request("tools/call", {"name": "echo", "arguments": {}}, meta={**META, "progressToken": "p"}))

    assert quiet.headers["content-type"] == "application/json"
    events = [json.loads(line[6:]) for line in loud.text.splitlines() if line.startswith("data: {")]
    assert events[0]["params"]["progressToken"] == "p"
    assert events[-1]["result"]["content"] == [{"type": "text", "text": "done"}]


async def test_who_listens_is_acknowledged_first_and_told_only_what_was_asked_for(serve: Serve, gateway_of: Callable[..., Gateway]) -> None:
    gateway = gateway_of([a_tool(name="one")])
    body = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    frames: list[dict[str, Any]] = []
    async with serve(gateway) as url, asked(url) as client:
        with anyio.fail_after(60):
            async with client.stream("POST", "/mcp", **body) as answer:
                async for line in answer.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    frames.append(json.loads(line[6:]))
                    if len(frames) == 1:
                        gateway.news.publish(_prompts())
                        gateway.serve([a_tool(name="one"), a_tool(name="two")])
                    else:
                        break

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert [frame["method"] for frame in frames] == ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"]
    assert {frame["params"]["_meta"][f"{OURS}subscriptionId"] for frame in frames} == {1}


def _prompts() -> Any:
    from toolgate.news import Change

    return Change("prompts")


async def test_an_answer_ends_the_stream_and_a_get_is_not_there_without_a_session(serve: Serve) -> None:
    async with serve([a_tool()]) as url, asked(url) as client:
        headers = {"accept": "text/event-stream", "mcp-protocol-version": VERSION}
        got = await client.get("/mcp", headers=headers)
        deleted = await client.delete("/mcp", headers=headers)

    assert {got.status_code, deleted.status_code} == {405}
