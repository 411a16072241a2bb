"""The SDK's own client against a real listener, in every era and transport over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent
from starlette.types import Scope

from toolgate.calls import Call, Outcome, Principal, Text
from toolgate.errors import NotIdentified, Unreachable
from toolgate.gateway import Gateway
from toolgate.server import http
from toolgate.server.http import McpFace
from toolgate.settings import Server
from toolgate.stores.memory import MemoryJournal
from toolgate.testing import Echo, a_tool

Serve = Callable[..., AbstractAsyncContextManager[str]]
GatewayOf = Callable[..., Gateway]

WAYS = ["2026-07-28", "handshake", "sse"]
every_way = pytest.mark.parametrize("way", WAYS)


@asynccontextmanager
async def connected(url: str, way: str) -> AsyncIterator[Client]:
    target: Any = sse_client(f"{url}/sse") if way == "sse" else f"{url}/mcp"
    with anyio.fail_after(20):
        async with Client(target, mode="2026-07-28" if way == "2026-07-28" else "legacy", cache=None) as client:
            yield client


def text(result: CallToolResult) -> str:
    return "".join(block.text for block in result.content if isinstance(block, TextContent))


async def all_pages(client: Client) -> list[list[str]]:
    pages, cursor = list[list[str]](), None
    while True:
        page = await client.list_tools(cursor=cursor)
        pages.append([tool.name for tool in page.tools])
        cursor = page.next_cursor
        if cursor is None:
            return pages


@every_way
async def test_a_client_sees_what_is_listed_and_permitted_in_order_page_by_page(serve: Serve, way: str) -> None:
    names = ["echo", "secret_files", "alpha", "frozen_lake", "delta"]
    tools = [*(a_tool(name=name) for name in names), a_tool(name="bravo", listed=False)]
    async with serve(tools, Server(port=0, page_size=3)) as url, connected(url, way) as client:
        pages = await all_pages(client)

    assert pages == [["alpha", "call_tool", "delta"], ["describe_tool", "echo", "frozen_lake"], ["search_tools"]]


@every_way
async def test_a_cursor_that_we_did_not_give_is_an_invalid_parameter(serve: Serve, way: str) -> None:
    async with serve([a_tool()]) as url, connected(url, way) as client:
        for cursor in ("", "x", "YWZ0ZXIgZWNobw=="):
            with pytest.raises(MCPError) as refused:
                await client.list_tools(cursor=cursor)

            assert refused.value.code == -32602


@every_way
async def test_a_list_is_the_same_each_time_and_for_each_session(serve: Serve, way: str) -> None:
    async with serve([a_tool(name="alpha"), a_tool(name="bravo")], Server(port=0, page_size=1)) as url:
        lists = []
        for _ in range(2):
            async with connected(url, way) as client:
                lists += [await client.list_tools(), await client.list_tools()]

    assert [tool.name for tool in lists[0].tools] == ["alpha"]
    assert lists == [lists[0]] * 4


async def test_a_list_that_is_asked_for_without_an_id_spoils_none_that_follows(serve: Serve) -> None:
    asked = {"jsonrpc": "2.0", "method": "tools/list"}
    async with serve([a_tool()], identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        opened = await client.post("/mcp", headers=headers("ada"), json=INITIALIZE)
        session = headers("ada", mcp_session_id=opened.headers["mcp-session-id"])
        await client.post("/mcp", headers=session, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        unasked = await client.post("/mcp", headers=session, json=asked)
        answer = await client.post("/mcp", headers=session, json=asked | {"id": 2})

    assert unasked.status_code == 202
    assert [tool["name"] for tool in json.loads(answer.text.split("data: ")[1])["result"]["tools"]] == ["echo"]


async def test_a_list_may_be_kept_for_a_while_but_not_shared(serve: Serve) -> None:
    async with serve([a_tool()]) as url, connected(url, "2026-07-28") as client:
        page = await client.list_tools()

    assert (page.ttl_ms, page.cache_scope) == (60_000, "private")


@every_way
async def test_a_tool_that_clients_cannot_take_is_left_out_alone(serve: Serve, way: str, caplog: pytest.LogCaptureFixture) -> None:
    tools = [a_tool(name="alpha"), a_tool(name="bad", schema={"type": "array"}), a_tool(name="charlie")]
    async with serve(tools) as url, connected(url, way) as client:
        pages = await all_pages(client)

    assert pages == [["alpha", "charlie"]]
    assert [record.getMessage().split(" for ")[0] for record in caplog.records if "left" in record.message] == ["left bad out of the list"]


KEYED: Any = {"toolgate": {"idempotency_key": "k1"}}


@every_way
async def test_a_call_passes_the_gate_and_its_answer_comes_back(serve: Serve, gateway_of: GatewayOf, way: str) -> None:
    echo, journal = Echo(), MemoryJournal()
    async with serve(gateway_of([a_tool(echo, name="alpha")], journal)) as url, connected(url, way) as client:
        result = await client.call_tool("alpha", {"a": [1, None]}, meta=KEYED)

    (call,) = echo.seen
    line, _intent = await journal.read("audit")
    assert (text(result), result.structured_content, result.is_error) == ("alpha was called", {"a": [1, None]}, False)
    assert (call.arguments, call.idempotency_key) == ({"a": [1, None]}, "k1")
    assert call.principal == Principal(id="anonymous", roles=("reader",), via="loopback")
    assert (line.body["tool"]["name"], line.body["principal"]["id"], line.body["result"]["ending"]) == ("alpha", "anonymous", "ok")


@every_way
async def test_a_key_that_cannot_be_kept_is_an_invalid_parameter(serve: Serve, way: str) -> None:
    echo = Echo()
    keyed: Any = {"toolgate": {"idempotency_key": 7}}
    async with serve([a_tool(echo, name="alpha")]) as url, connected(url, way) as client:
        with pytest.raises(MCPError) as refused:
            await client.call_tool("alpha", {}, meta=keyed)

    assert (refused.value.code, echo.seen) == (-32602, [])


@every_way
async def test_a_refusal_is_an_answer_that_says_why(serve: Serve, way: str) -> None:
    async with serve([a_tool(name="frozen_lake")]) as url, connected(url, way) as client:
        result = await client.call_tool("frozen_lake", {})

    assert (text(result), result.is_error) == ("anonymous may not call frozen_lake: it is frozen until Monday", True)
    assert (result.meta or {})["toolgate"] == {"code": "not_permitted", "rule": "reader.not.frozen"}


@every_way
async def test_a_hidden_tool_is_not_told_apart_from_none(serve: Serve, way: str) -> None:
    errors = []
    async with serve([a_tool(name="secret_x", schema={"type": "object", "required": ["a"]})]) as url, connected(url, way) as client:
        for name in ("secret_x", "nothing_x"):
            with pytest.raises(MCPError) as refused:
                await client.call_tool(name, {})
            errors.append((refused.value.code, refused.value.message.replace(name, "NAME"), refused.value.data))

    assert errors[0] == errors[1]
    assert errors[0][0] == -32602


@every_way
async def test_an_unknown_name_inside_call_tool_is_an_answer_not_a_protocol_error(serve: Serve, way: str) -> None:
    async with serve([a_tool(name="bravo", listed=False)]) as url, connected(url, way) as client:
        unknown = await client.call_tool("call_tool", {"name": "nothing"})
        known = await client.call_tool("call_tool", {"name": "bravo", "arguments": {"a": 1}})

    assert (unknown.is_error, (unknown.meta or {})["toolgate"]["code"]) == (True, "unknown_tool")
    assert (known.is_error, text(known)) == (False, "bravo was called")


@every_way
async def test_a_bug_in_a_tool_is_an_internal_error_and_others_go_on(serve: Serve, way: str) -> None:
    async def broken(_call: Call) -> Outcome:
        raise ZeroDivisionError("the secret is 42")

    async with serve([a_tool(broken, name="broken"), a_tool(name="alpha")]) as url, connected(url, way) as client:
        with pytest.raises(MCPError) as failed:
            await client.call_tool("broken", {})
        result = await client.call_tool("alpha", {})

    assert (failed.value.code, "42" in str(failed.value)) == (-32603, False)
    assert text(result) == "alpha was called"


@every_way
async def test_progress_is_told_to_whoever_asks_only_ever_rising(serve: Serve, way: str) -> None:
    async def slow(call: Call) -> Outcome:
        if call.progress is None:
            return Outcome(content=(Text("nobody listens"),))
        for done in (1, 1, 0, 4):
            await call.progress(done, 4, f"step {done}")
        return Outcome(content=(Text("done"),))

    told: list[tuple[float, float | None, str | None]] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with serve([a_tool(slow, name="slow")]) as url, connected(url, way) as client:
        quiet = await client.call_tool("slow", {})
        result = await client.call_tool("slow", {}, progress_callback=listen)

    assert (text(quiet), text(result)) == ("nobody listens", "done")
    assert told == [(1, 4, "step 1"), (4, 4, "step 4")]


@every_way
async def test_a_call_that_is_given_up_is_cancelled_and_written_down(serve: Serve, gateway_of: GatewayOf, way: str) -> None:
    began, ended, journal = anyio.Event(), anyio.Event(), MemoryJournal()

    async def endless(_call: Call) -> Outcome:
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()
        raise AssertionError

    async with serve(gateway_of([a_tool(endless, name="endless"), a_tool(name="alpha")], journal)) as url, connected(url, way) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "endless", {})
            await began.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(20):
            await ended.wait()
        after = await client.call_tool("alpha", {})

    assert text(after) == "alpha was called"
    endings = [line.body for line in await journal.read("audit") if line.body["type"] == "call.outcome"]
    assert [(event["tool"]["name"], event["result"]["ending"]) for event in endings] == [
        ("alpha", "ok"),
        ("endless", "CancelledError"),
    ]


async def test_a_client_that_vanishes_from_its_sse_stream_takes_its_calls_along(serve: Serve, gateway_of: GatewayOf) -> None:
    began, journal = anyio.Event(), MemoryJournal()

    async def endless(_call: Call) -> Outcome:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "endless", "arguments": {}}}
    gateway = gateway_of([a_tool(endless, name="endless")], journal)
    async with serve(gateway, identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        async with client.stream("GET", "/sse", headers=headers("ada")) as stream:
            lines = stream.aiter_lines()
            endpoint = await endpoint_of(lines)
            for message in (INITIALIZE, {"jsonrpc": "2.0", "method": "notifications/initialized"}, call):
                await client.post(endpoint, headers=headers("ada"), json=message)
            with anyio.fail_after(20):
                await began.wait()
        with anyio.fail_after(20):
            while len(written := await journal.read("audit")) < 2:
                await anyio.sleep(0.01)

    assert [line.body.get("result", {}).get("ending") for line in written] == ["CancelledError", None]


async def endpoint_of(lines: AsyncIterator[str]) -> str:
    """Where an SSE stream wants its messages posted; the first thing that it says. The stream ends with its `lines`."""
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return line.removeprefix("data: ")


async def test_64_clients_with_the_same_request_ids_each_get_their_own_answers(serve: Serve) -> None:
    async def canary(call: Call) -> Outcome:
        await anyio.lowlevel.checkpoint()
        return Outcome(content=(Text(str(call.arguments["canary"])),))

    answers: dict[int, list[str]] = {}

    async def one(client: httpx2.AsyncClient, url: str, number: int) -> None:
        headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        modern = number % 2 == 0
        if modern:
            headers |= {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "canary"}
        else:
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
            opened = await client.post(url, headers=headers, json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
            headers |= {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
            await client.post(url, headers=headers, json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
        for request_id in (1, 2, 3):
            params = {"name": "canary", "arguments": {"canary": f"{number}.{request_id}"}, **({"_meta": meta} if modern else {})}
            body = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
            answer = await client.post(url, headers=headers, json=body)
            message = answer.json()
            answers.setdefault(number, []).append(f"{message['id']}:{message['result']['content'][0]['text']}")

    limits = httpx2.Limits(max_connections=64)
    async with (
        serve([a_tool(canary, name="canary")]) as url,
        httpx2.AsyncClient(trust_env=False, limits=limits, timeout=20) as client,
        anyio.create_task_group() as tasks,
    ):
        for number in range(64):
            tasks.start_soon(one, client, f"{url}/mcp", number)

    assert answers == {number: [f"{request}:{number}.{request}" for request in (1, 2, 3)] for number in range(64)}


async def by_name(scope: Scope) -> Principal:
    """Believe whatever name a request gives itself."""
    name = dict(scope["headers"]).get(b"x-user")
    if name is None:
        raise NotIdentified("say your name")
    return Principal(id=name.decode(), roles=("reader",))


def headers(user: str, **more: str) -> dict[str, str]:
    base = {"x-user": user, "accept": "application/json, text/event-stream"}
    return base | {name.replace("_", "-"): value for name, value in more.items()}


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}},
}
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}


async def test_a_session_is_used_by_nobody_but_the_principal_that_opened_it(serve: Serve) -> None:
    async with serve([a_tool()], identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        opened = await client.post("/mcp", headers=headers("ada"), json=INITIALIZE)
        session = opened.headers["mcp-session-id"]
        own = await client.post("/mcp", headers=headers("ada", mcp_session_id=session), json=PING)
        others = await client.post("/mcp", headers=headers("eve", mcp_session_id=session), json=PING)
        unknown = await client.post("/mcp", headers=headers("eve", mcp_session_id="0" * 32), json=PING)
        ended = await client.delete("/mcp", headers=headers("eve", mcp_session_id=session))
        still = await client.post("/mcp", headers=headers("ada", mcp_session_id=session), json=PING)

    assert [own.status_code, others.status_code, ended.status_code, still.status_code] == [200, 404, 404, 200]
    assert (others.text, others.status_code) == (unknown.text, unknown.status_code)


@pytest.mark.parametrize("path", ["/mcp", "/mcp/"])
async def test_who_begins_anew_gets_a_session_whatever_one_they_name(serve: Serve, path: str) -> None:
    async with serve([a_tool()], identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        opened = await client.post(path, headers=headers("ada"), json=INITIALIZE)
        anew = [
            await client.post(path, headers=headers(name, mcp_session_id=session), json=INITIALIZE)
            for name in ("ada", "eve")
            for session in (opened.headers["mcp-session-id"], "0" * 32)
        ]
        names = {answer.headers["mcp-session-id"] for answer in (opened, *anew)}
        pinged = await client.post(path, headers=headers("eve", mcp_session_id=anew[-1].headers["mcp-session-id"]), json=PING)

    assert [answer.status_code for answer in (opened, *anew, pinged)] == [200] * 6
    assert len(names) == 5


async def test_who_does_not_say_what_they_take_gets_what_there_is(serve: Serve) -> None:
    async with serve([a_tool()], identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        del client.headers["accept"]
        silent = {name: value for name, value in headers("ada").items() if name.lower() != "accept"}
        opened = await client.post("/mcp", headers=silent, json=INITIALIZE)

    assert "accept" not in opened.request.headers
    assert opened.status_code == 200


async def test_without_sessions_any_process_answers_an_older_client(serve: Serve, gateway_of: GatewayOf) -> None:
    gateway, server = gateway_of([a_tool(name="alpha")]), Server(port=0, sessions=False)
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "alpha", "arguments": {}}}
    newest = {"mcp-protocol-version": "2025-11-25"}
    async with serve(gateway, server) as one, serve(gateway, server) as other, httpx2.AsyncClient(trust_env=False) as client:
        opened = await client.post(f"{one}/mcp", headers=headers("x"), json=INITIALIZE)
        called = [await client.post(f"{url}/mcp", headers=headers("x") | newest, json=call) for url in (other, one)]
        stale = await client.post(f"{other}/mcp", headers=headers("x", mcp_session_id="0" * 32) | newest, json=call)

    assert "mcp-session-id" not in opened.headers
    assert [answer.status_code for answer in (opened, *called, stale)] == [200] * 4
    assert all("alpha was called" in answer.text for answer in (*called, stale))


async def test_an_sse_session_is_used_by_nobody_but_the_principal_that_opened_it(serve: Serve) -> None:
    async with (
        serve([a_tool()], identify=by_name) as url,
        httpx2.AsyncClient(base_url=url, trust_env=False) as client,
        client.stream("GET", "/sse", headers=headers("ada")) as stream,
    ):
        lines = stream.aiter_lines()
        endpoint = await endpoint_of(lines)
        others = await client.post(endpoint, headers=headers("eve"), json=PING)
        own = await client.post(endpoint, headers=headers("ada"), json=PING)
        unknown = await client.post("/messages/?session_id=" + "0" * 32, headers=headers("eve"), json=PING)

    assert (own.status_code, others.status_code, others.text) == (202, 404, unknown.text)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD"])
async def test_no_route_answers_somebody_unknown(serve: Serve, gateway_of: GatewayOf, method: str) -> None:
    paths = [route.path for route in McpFace(gateway_of([]), Server()).routes()]  # type: ignore[attr-defined]
    async with serve([a_tool()], identify=by_name) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        answers = [await client.request(method, path, headers={"content-type": "application/json"}) for path in [*paths, "/nowhere"]]

    assert paths == ["/mcp", "/mcp/", "/sse", "/messages"]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="toolgate"'}


def modern(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments, "_meta": meta}}


REGION = {"region": {"type": "string", "x-mcp-header": "Region"}}
REGIONAL = {"type": "object", "properties": {"where": {"type": "object", "properties": REGION}}}


@pytest.mark.parametrize(
    ("name", "region", "status", "code"),
    [("regional", "eu", 200, None), ("regional", "us", 400, -32020), ("secret_regional", "us", 400, -32602), ("none", "us", 400, -32602)],
)
async def test_headers_that_repeat_arguments_are_checked_only_for_tools_that_the_caller_sees(
    serve: Serve, name: str, region: str, status: int, code: int | None
) -> None:
    tools = [a_tool(name="regional", schema=REGIONAL), a_tool(name="secret_regional", schema=REGIONAL)]
    repeated = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": name, "mcp-param-region": region}
    async with serve(tools) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        answer = await client.post("/mcp", headers=headers("x") | repeated, json=modern(name, {"where": {"region": "eu"}}))

    assert (answer.status_code, answer.json().get("error", {}).get("code")) == (status, code)


async def test_a_page_of_another_origin_may_read_every_answer(serve: Serve) -> None:
    page = "https://chat.example.com"
    newest = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "alpha"}
    server = Server(port=0, allowed_origins=(page,))
    async with serve([a_tool(name="alpha")], server) as url, httpx2.AsyncClient(base_url=url, trust_env=False) as client:
        client.headers["origin"] = page
        opened = await client.post("/mcp", headers=headers("x"), json=INITIALIZE)
        session = headers("x", mcp_session_id=opened.headers["mcp-session-id"])
        in_session = [await client.post("/mcp", headers=session, json=PING) for _ in range(2)]
        called = [await client.post("/mcp", headers=headers("x") | newest, json=modern("alpha", {})) for _ in range(2)]

    answers = [opened, *in_session, *called]
    assert [(answer.status_code, answer.headers.get("access-control-allow-origin")) for answer in answers] == [(200, page)] * 5


async def test_white_space_around_a_routing_header_is_none_of_its_value(serve: Serve) -> None:
    body = json.dumps(modern("alpha", {})).encode()
    async with serve([a_tool(name="alpha")]) as url:
        host = httpx2.URL(url).netloc.decode()
        lines = [
            "POST /mcp HTTP/1.1",
            f"Host: {host}",
            "Accept: application/json, text/event-stream",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "MCP-Protocol-Version: 2026-07-28\t",
            "Mcp-Method:  tools/call ",
            "Mcp-Name: alpha  ",
            "Connection: close",
        ]
        async with await anyio.connect_tcp("127.0.0.1", httpx2.URL(url).port or 0) as stream:
            await stream.send("\r\n".join([*lines, "", ""]).encode() + body)
            answered = b"".join([chunk async for chunk in stream])

    assert answered.startswith(b"HTTP/1.1 200 ")
    assert json.loads(answered.split(b"\r\n\r\n")[1])["result"]["content"] == [{"type": "text", "text": "alpha was called"}]


async def test_a_last_answer_still_comes_out_of_an_sse_stream_when_the_server_ends(serve: Serve) -> None:
    all_began, go_on, began = anyio.Event(), anyio.Event(), list[Call]()
    answers: list[str] = []

    async def slow(call: Call) -> Outcome:
        began.append(call)
        if len(began) == len(WAYS):
            all_began.set()
        await go_on.wait()
        return Outcome(content=(Text("the last answer"),))

    async def ask(url: str, way: str) -> None:
        async with connected(url, way) as client:
            await client.list_tools()  # it would ask after the call, to hold the answer against an output schema
            answers.append(text(await client.call_tool("slow", {})))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, serve([a_tool(slow, name="slow")]) as url:
            for way in WAYS:
                tasks.start_soon(ask, url, way)
            await all_began.wait()
            # Leaving the block tells the server to stop; the calls end a little later.
            tasks.start_soon(_later, go_on)

    assert answers == ["the last answer"] * 3


async def _later(event: anyio.Event) -> None:
    await anyio.sleep(0.2)
    event.set()


@every_way
async def test_a_stream_ends_when_its_caller_would_be_let_in_no_longer(
    serve: Serve, gateway_of: GatewayOf, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "LOOKED", 0.05)
    valid, unknown = [True], [False]

    async def ada(_scope: Scope) -> Principal:
        if unknown[0]:
            raise Unreachable("the issuer does not answer")
        if not valid[0]:
            raise NotIdentified("it was revoked")
        return Principal(id="ada", roles=("reader",))

    kind = {"accept": "application/json, text/event-stream", "mcp-protocol-version": way if way == WAYS[0] else "2025-11-25"}
    async with serve([a_tool()], identify=ada) as url, httpx2.AsyncClient(base_url=url, headers=kind, timeout=20) as client:
        if way == WAYS[0]:
            body = modern("", {}) | {"method": "subscriptions/listen"}
            body["params"] = {"_meta": body["params"]["_meta"], "notifications": {"toolsListChanged": True}}
            asked = client.stream("POST", "/mcp", json=body, headers={"mcp-method": "subscriptions/listen"})
        elif way == "handshake":
            hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            begun = await client.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello})
            asked = client.stream("GET", "/mcp", headers={"mcp-session-id": begun.headers["mcp-session-id"]})
        else:
            asked = client.stream("GET", "/sse")
        opened, ended = anyio.Event(), anyio.Event()

        async def read() -> None:
            async with asked as stream:
                assert stream.status_code == 200
                opened.set()
                async for _ in stream.aiter_raw():  # which raises where the connection breaks off
                    pass
            ended.set()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await opened.wait()
                unknown[0] = True
                await anyio.sleep(0.5)
                stayed = not ended.is_set()
                unknown[0] = valid[0] = False
                await ended.wait()

    assert stayed
