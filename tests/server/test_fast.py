"""The short way answers exactly as the SDK does, or is not taken."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.calls import Binary, Call, Outcome, Passed, Principal, Problem, Text, Tool
from toolgate.errors import InputNeeded, ProtocolError, ToolFailed, UpstreamFailed
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server import waiting
from toolgate.server.http import McpFace
from toolgate.server.ingress import ENCODED, guarded
from toolgate.settings import Limits, Repeats, Server, Settings
from toolgate.standin import serving
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_tool

VERSION = "2026-07-28"
SAFE = sorted((name.decode(), value.decode()) for name, value in ENCODED)
SAFE_NAMES = {name for name, _ in SAFE}
OURS = "io.modelcontextprotocol/"
REQUESTS = 3000
META: dict[str, Any] = {
    f"{OURS}protocolVersion": VERSION,
    f"{OURS}clientInfo": {"name": "test", "version": "1"},
    f"{OURS}clientCapabilities": {},
}
ANYTHING: dict[str, Any] = {"type": "object"}
HEADED: dict[str, Any] = {"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
COUNTED: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


@dataclass
class Answer:
    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    """As they were sent, one that is sent twice too."""
    body: bytes = b""

    @property
    def told(self) -> tuple[int, Sequence[tuple[str, str]], Any]:
        """What a client makes of it: the length of the same JSON is a matter of spelling."""
        headers = sorted((name, value) for name, value in self.headers if name not in ("content-length", "mcp-session-id"))
        if ("content-type", "text/event-stream") in headers:
            events = [event for event in self.body.decode().split("\r\n\r\n") if event and not event.startswith(":")]
            assert all(event.startswith("event: message\r\ndata: ") for event in events)
            return self.status, headers, [json.loads(event.partition("data: ")[2]) for event in events]
        if ("content-type", "application/json") not in headers:
            return self.status, headers, self.body
        said = json.loads(self.body)
        if isinstance(said, dict) and "requestState" in said.get("result", {}):
            said["result"]["requestState"] = "sealed"  # another time, another seal
        return self.status, headers, said


class Once:
    """An application that says how often it was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.asked += 1
        await self._app(scope, receive, send)


@dataclass
class Both:
    """The SDK alone, and with the short way before it; each has a gateway of its own, so that neither remembers the other's calls."""

    gateway: Gateway
    """Behind the short way."""
    slow: ASGIApp
    quick: ASGIApp
    sdk: Once
    """What the short way leaves to the SDK comes by here."""
    asking: str = "ada"
    """Who is."""


@asynccontextmanager
async def both(tools: Sequence[Tool], policy: Policy | None = None) -> AsyncIterator[Both]:
    policy = policy or Policy([Role(role="all", permissions=(Permission(id="all.all", tools="*"),))])
    # Nothing that is asked often is refused for that.
    settings, server = Settings(limits=Limits(repeats=Repeats(calls=None))), Server(page_size=3)

    async def identify(_scope: Scope) -> Principal:
        return Principal(ways.asking, ("all",))

    one, other = (build_gateway(tools, policy, memory_stores(), settings) for _ in range(2))
    plain, before = McpFace(one, server), McpFace(other, server)
    sdk = Once(Starlette(routes=before.routes()))
    async with plain.lifespan(), before.lifespan():
        slow = guarded(Starlette(routes=plain.routes()), server, identify)
        ways = Both(other, slow, guarded(before.fast(sdk), server, identify), sdk)
        yield ways


async def ask(app: ASGIApp, body: bytes, headers: Sequence[tuple[str, str]], leave_after: float | None = None) -> Answer:
    """The answer to a POST; its caller leaves after so many seconds."""
    answer, told = Answer(), False
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8765),
        "state": {},
    }

    async def receive() -> Message:
        nonlocal told
        if told:
            await (anyio.sleep_forever() if leave_after is None else anyio.sleep(leave_after))
            return {"type": "http.disconnect"}
        told = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = [(name.decode(), value.decode()) for name, value in message["headers"]]
        answer.body += message.get("body", b"")

    with anyio.fail_after(60):
        await app(scope, receive, send)
    return answer


def a_message(method: str = "tools/call", *, id: Any = 1, **params: Any) -> dict[str, Any]:
    named = {"name": "echo", "arguments": {"n": 1}} if method == "tools/call" else {}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": {**named, "_meta": dict(META), **params}}


def heads(message: Mapping[str, Any], **changed: str | None) -> list[tuple[str, str]]:
    """The headers that belong to `message`, with some changed (`mcp_name`), or left out (None)."""
    headers: dict[str, str | None] = {
        "host": "127.0.0.1:8765",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "content-length": "1",
        "mcp-protocol-version": VERSION,
        "mcp-method": str(message.get("method")),
    }
    if message.get("method") == "tools/call":
        headers["mcp-name"] = str(message["params"].get("name"))
    headers |= {name.replace("_", "-"): value for name, value in changed.items()}
    return [(name, value) for name, value in headers.items() if value is not None]


async def answer_of(call: Call) -> Outcome:
    """One of the kinds of outcome that there are, as the arguments wish."""
    kind = call.arguments.get("kind")
    match kind:
        case "json":
            value = {"a": None, "ü": [None, 1.5, {"b": "\u2028"}], "n": call.arguments.get("n")}
            return Outcome(structured=value, meta={"status": 200, "next": None})
        case "null" | "list" | "number":
            return Outcome(structured={"null": None, "list": [1, None], "number": 7}[kind])
        case "both":
            return Outcome(content=(Text("a"), Text("b")), structured={"x": 1})
        case "picture":
            thing = Binary(b"x", "application/x-thing", "toolgate:thing")
            return Outcome(content=(Binary(b"\x00png", "image/png"), Text("a picture"), thing))
        case "surrogate":
            return Outcome(content=(Text("a\ud800b"),))
        case "problem":
            return Outcome(problem=Problem("odd", "That went wrong.", 3.0, {"status": 500}), content=(Text("more"),))
        case "raised":
            raise UpstreamFailed("it is down", status=503)
        case "failed":
            raise ToolFailed("it cannot")
        case "bug":
            raise ZeroDivisionError("a secret")
        case "asks":
            form = {"message": "Sure?", "requestedSchema": {"type": "object", "properties": {}}}
            question = {"method": "elicitation/create", "params": form}
            raise InputNeeded("it asks first", {"inputRequests": {"q": question}, "requestState": "s"})
        case "asks badly":
            raise InputNeeded("it asks first", {"inputRequests": 7})
        case "code":
            number = call.arguments.get("n")
            raise ProtocolError("the server says no", number if type(number) is int else -32002, {"more": 1})
        case "passed":
            blocks = (Passed("a link", {"type": "resource_link", "uri": "a:b", "name": "n"}), Passed("odd", {"type": "no such", "x": 1}))
            return Outcome(content=blocks, structured={"x": 1}, passed={"vendor.example/a": 1})
        case "meta" if call.client is not None:
            return Outcome(structured={"meta": dict(call.client.meta), "can": dict(call.client.capabilities), "log": call.client.log_level})
        case "tells" if call.client is not None:
            await call.client.tell("notifications/message", {"level": "info", "data": "x"})
    return Outcome(content=(Text(json.dumps(call.arguments, sort_keys=True)),))


TOOLS = [
    a_tool(answer_of, name="echo", schema=ANYTHING, quiet=True, remote=False),
    a_tool(answer_of, name="talks", schema=ANYTHING, remote=False),
    a_tool(answer_of, name="counted", schema=COUNTED, quiet=True, remote=False),
    a_tool(answer_of, name="headed", schema=HEADED, quiet=True, remote=False),
    a_tool(answer_of, name="hidden", schema=ANYTHING, quiet=True, remote=False, listed=False),
]
KINDS = [
    "json",
    "null",
    "list",
    "number",
    "both",
    "picture",
    "surrogate",
    "problem",
    "failed",
    "bug",
    "asks",
    "asks badly",
    "code",
    "passed",
]
ODD: list[Any] = [None, True, False, 0, -1, 1.0, 1.5, "", "x", "ü", [], [1], {}, {"x": 1}, 2**53, 2**63, "a" * 300]
KEYS = [f"{OURS}protocolVersion", f"{OURS}clientCapabilities", f"{OURS}clientInfo", f"{OURS}logLevel", f"{OURS}other"]
BESIDE = ["progressToken", "progress_token", "traceparent", "baggage", "toolgate", "vendor.example/id", "other", "name", "_meta"]
HEADERS = [
    *("accept", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region"),
    *("mcp-session-id", "content-type", "x-other", "origin"),
]
VALUES = [
    *("", "x", "*/*", "application/json", "text/event-stream;q=0.5, application/*", "TEXT/EVENT-STREAM,APPLICATION/JSON", "a,b"),
    *(VERSION, "2025-11-25", "2099-01-01", "tools/call", "tools/list", "echo", "headed", "eu"),
    *("=?base64?ZWNobw==?=", "=?base64?!?=", "=?base64?ZWNobx==?="),
]
CAPABILITIES: list[Any] = [
    {"elicitation": {}},
    {"elicitation": {"form": {}}},
    {"sampling": {}},
    {"roots": {"listChanged": True}},
    {"extensions": {"a/b": {}}},
]
METHODS = [*["tools/call"] * 6, *["tools/list"] * 2, "server/discover", "prompts/list", "ping", "no/such", "initialize"]
NAMES = [*["echo"] * 4, "talks", "talks", "counted", "headed", "hidden", "call_tool", "search_tools", "nothing", "ünknown"]


def generated(chance: random.Random) -> tuple[bytes, list[tuple[str, str]]]:
    """A request that is regular, or was so before something was done to it, or several things."""
    method = chance.choice(METHODS)
    message = a_message(method, id=chance.choice([1, 2**40, "a", "", "ü", -5]))
    params = message["params"]
    if method == "tools/call":
        params["name"] = chance.choice(NAMES)
        params["arguments"] = {"n": chance.choice(ODD), **({"kind": chance.choice(KINDS)} if chance.random() < 0.7 else {})}
        if params["name"] == "call_tool":
            inner = chance.choice(["echo", "hidden", "talks", "nothing", "call_tool", 7])
            params["arguments"] = {"name": inner, "arguments": chance.choice([params["arguments"], {}, [], None])}
        if params["name"] == "talks" and chance.random() < 0.5:
            params["arguments"]["kind"] = "tells"
    headers = heads(message)
    for _ in range(chance.choice([0, 0, 0, 1, 1, 1, 2, 3])):
        spoiled(message, headers, chance)
    text = json.dumps(message, separators=chance.choice([(",", ":"), (", ", ": ")]), ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.03:
        twice = text.replace('"method"', '"method":"ping","method"')
        text = chance.choice([f"[{text}]", text[:-1], twice, text.replace("1", "1" * 30), "null", "1", ""])
    return text.encode(errors="replace"), headers


def spoiled(message: dict[str, Any], headers: list[tuple[str, str]], chance: random.Random) -> None:
    """Change one thing in the request, sensibly or not."""
    params = message["params"] if isinstance(message.get("params"), dict) else {}
    meta = params["_meta"] if isinstance(params.get("_meta"), dict) else {}
    match chance.randrange(10):
        case 0:
            message[chance.choice(["jsonrpc", "id", "method", "params", "result", "error"])] = chance.choice(ODD)
        case 1:
            message.pop(chance.choice(["jsonrpc", "id", "params"]), None)
        case 2:
            names = ["name", "arguments", "_meta", "cursor", "inputResponses", "requestState", "task", "more"]
            params[chance.choice(names)] = chance.choice(ODD)
        case 3:
            params.pop(chance.choice(["name", "arguments", "_meta"]), None)
        case 4:
            said = [*ODD, *CAPABILITIES, "debug", {"idempotency_key": "k"}, {"approval": "a" * 32}]
            meta[chance.choice(KEYS + BESIDE)] = chance.choice(said)
        case 5:
            meta.pop(chance.choice(KEYS), None)
        case 6:
            meta[f"{OURS}clientCapabilities"] = chance.choice(CAPABILITIES)
        case 7 if headers:
            at = chance.randrange(len(headers))
            headers[at] = (headers[at][0], chance.choice(["{} ", " {}", "\t{}\t", "{}x", "{}"]).format(headers[at][1]))
        case 8:
            headers.append((chance.choice(HEADERS), chance.choice(VALUES)))
        case _:
            name = chance.choice(HEADERS)
            kept = [(each, value) for each, value in headers if each != name or chance.random() < 0.7]
            headers[:] = [(each, chance.choice(VALUES) if each == name else value) for each, value in kept]
            if "mcp-name" in dict(headers) and chance.random() < 0.3:
                encoded = base64.b64encode(str(params.get("name")).encode()).decode()
                headers[:] = [(each, f"=?base64?{encoded}?=" if each == "mcp-name" else value) for each, value in headers]


@pytest.mark.parametrize("seed", range(4))
async def test_thousands_of_requests_are_answered_as_the_sdk_answers_them(seed: int) -> None:
    chance = random.Random(seed)
    taken = 0
    async with both(TOOLS) as ways:
        for _ in range(REQUESTS // 4):
            body, headers = generated(chance)
            before = ways.sdk.asked

            expected = await ask(ways.slow, body, headers)
            answer = await ask(ways.quick, body, headers)

            taken += ways.sdk.asked == before and answer.status == 200
            assert answer.told == expected.told, (body, headers)
            if ("content-type", "text/event-stream") not in answer.headers:  # such may not be kept, in words of their own
                assert sorted(header for header in answer.headers if header[0] in SAFE_NAMES) == SAFE
    assert taken > REQUESTS // 4 / 5  # else it was the SDK compared with itself


async def test_a_regular_call_never_comes_by_the_sdk() -> None:
    async with both(TOOLS) as ways:
        for message in (a_message(), a_message(id="a"), a_message(name="hidden"), a_message(arguments={}), a_message(name="talks")):
            assert (await ask(ways.quick, json.dumps(message).encode(), heads(message))).status == 200
        wrapped = a_message(name="call_tool", arguments={"name": "hidden", "arguments": {"n": 2}})
        answer = await ask(ways.quick, json.dumps(wrapped).encode(), heads(wrapped))

    assert json.loads(answer.body)["result"]["content"] == [{"type": "text", "text": '{"n": 2}'}]
    assert ways.sdk.asked == 0


@pytest.mark.parametrize(
    "message",
    [
        a_message(name="headed", arguments={"region": "eu"}),
        a_message(name="nothing"),
        a_message(requestState="x"),
        a_message(id=1.0),
        a_message(_meta={**META, "progressToken": 1.0}),
        a_message(_meta={**META, f"{OURS}logLevel": "loud"}),
    ],
)
async def test_what_is_not_regular_is_left_to_the_sdk(message: dict[str, Any]) -> None:
    async with both(TOOLS) as ways:
        await ask(ways.quick, json.dumps(message).encode(), heads(message))

    assert ways.sdk.asked == 1


async def test_what_a_client_carries_to_its_next_round_is_sealed_for_the_sdk() -> None:
    message = a_message(name="talks", arguments={"kind": "asks"})
    async with both(TOOLS) as ways:
        first = json.loads((await ask(ways.quick, json.dumps(message).encode(), heads(message))).body)["result"]
        assert (ways.sdk.asked, first["resultType"]) == (0, "input_required")
        assert first["requestState"] != "s"
        again = a_message(name="talks", arguments={"kind": "asks"}, requestState=first["requestState"])
        other = a_message(name="talks", arguments={"kind": "other"}, requestState=first["requestState"])
        answer, refused = [json.loads((await ask(ways.quick, json.dumps(one).encode(), heads(one))).body) for one in (again, other)]

    assert answer["result"]["resultType"] == "input_required"
    assert refused["error"]["code"] == -32602


async def test_what_a_client_says_beside_reaches_a_tool_that_passes_it_on() -> None:
    message = a_message(name="talks", arguments={"kind": "meta"}, _meta={**META, "vendor.example/id": 7})
    async with both(TOOLS) as ways:
        body, headers = json.dumps(message).encode(), heads(message)
        answer, expected = await ask(ways.quick, body, headers), await ask(ways.slow, body, headers)

    assert json.loads(answer.body)["result"]["structuredContent"] == {"meta": message["params"]["_meta"], "can": {}, "log": None}
    assert (answer.told, ways.sdk.asked) == (expected.told, 0)


async def test_a_person_is_asked_by_the_answer_and_the_sdk_reads_what_comes_back() -> None:
    able = {**META, f"{OURS}clientCapabilities": {"elicitation": {}}}
    message = a_message(_meta=able)
    policy = Policy([Role(role="all", permissions=(Permission(id="all.all", tools="*", obligations=("approve",)),))])
    async with both(TOOLS, policy) as ways:
        first = json.loads((await ask(ways.quick, json.dumps(message).encode(), heads(message))).body)["result"]
        assert (ways.sdk.asked, first["resultType"], list(first["inputRequests"])) == (0, "input_required", ["approval"])
        yes = {"approval": {"action": "accept", "content": {"approve": True}}}
        again = a_message(_meta=able, inputResponses=yes, requestState=first["requestState"])
        answer = await ask(ways.quick, json.dumps(again).encode(), heads(again))

    assert json.loads(answer.body)["result"]["content"] == [{"type": "text", "text": '{"n": 1}'}]


async def test_who_wants_to_be_told_what_happens_is_told_as_by_the_sdk() -> None:
    async def tells(call: Call) -> Outcome:
        assert call.client is not None
        assert call.progress is not None
        await call.client.tell("notifications/message", {"level": call.client.log_level, "data": "x"})
        await call.progress(1, 2, "half")
        return Outcome(content=(Text("done"),))

    meta = {**META, f"{OURS}clientCapabilities": {"sampling": {}}, f"{OURS}logLevel": "info", "progressToken": "t"}
    message = a_message(_meta=meta)
    async with both([a_tool(tells, schema=ANYTHING, remote=False)]) as ways:
        answer, expected = [await ask(app, json.dumps(message).encode(), heads(message)) for app in (ways.quick, ways.slow)]

    assert answer.told == expected.told
    assert len(answer.told[2]) == 3
    assert ways.sdk.asked == 0


async def test_a_list_is_made_once_and_again_when_the_policy_changes() -> None:
    message = a_message("tools/list")
    async with both(TOOLS) as ways:
        bodies = [json.dumps({**message, "id": number}).encode() for number in (1, "b")]
        first, again = [await ask(ways.quick, body, heads(message)) for body in bodies]
        made = ways.sdk.asked
        ways.gateway.live.current = Policy([Role(role="all", permissions=(Permission(id="all.echo", tools="echo"),))])
        other = await ask(ways.quick, json.dumps(message).encode(), heads(message))

    assert made == 1
    assert json.loads(again.body) == {**json.loads(first.body), "id": "b"}
    assert dict(again.headers)["content-length"] == str(len(again.body))
    assert [tool["name"] for tool in json.loads(other.body)["result"]["tools"]] == ["echo"]


async def test_a_caller_who_leaves_ends_its_call_and_hears_no_more() -> None:
    ended: list[str] = []

    async def slow(call: Call) -> Outcome:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            ended.append(call.id)
            raise
        raise AssertionError

    async with both([a_tool(slow, schema=ANYTHING, quiet=True, remote=False)]) as ways:
        message = a_message()
        answer = await ask(ways.quick, json.dumps(message).encode(), heads(message), leave_after=0.01)

    assert len(ended) == 1
    assert (answer, ways.sdk.asked) == (Answer(), 0)


async def test_a_call_that_takes_long_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WATCHED", 0.0)
    monkeypatch.setattr(waiting, "SILENCE", 0.02)

    async def slow(call: Call) -> Outcome:
        await anyio.sleep(0.1)
        return Outcome(content=(Text("late"),))

    async with both([a_tool(slow, schema=ANYTHING, quiet=True, remote=False)]) as ways:
        message = a_message()
        answer = await ask(ways.quick, json.dumps(message).encode(), heads(message))

    *pings, event, end = answer.body.split(b"\r\n\r\n")
    assert dict(answer.headers)["content-type"] == "text/event-stream"
    assert set(pings) == {b": ping"}
    assert end == b""
    assert json.loads(event.removeprefix(b"event: message\r\ndata: "))["result"]["content"] == [{"type": "text", "text": "late"}]


@pytest.mark.parametrize(
    "message", [a_message(), a_message("tools/list"), a_message(name="nothing"), a_message(arguments={"kind": "raised"})]
)
async def test_over_a_connection_both_ways_send_the_same_headers_once(message: dict[str, Any]) -> None:
    said: list[tuple[int, list[tuple[bytes, bytes]], Any]] = []
    async with both(TOOLS) as ways, serving(ways.slow) as slow, serving(ways.quick) as quick, httpx2.AsyncClient() as client:
        for url in (slow, quick):
            own = [(name, value) for name, value in heads(message) if name not in ("host", "content-length")]
            for _ in range(2):  # the second finds what the first has put together
                answer = await client.post(f"{url}/mcp", content=json.dumps(message), headers=own)
            kept = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in (b"date", b"content-length")]
            said.append((answer.status_code, sorted(kept), answer.json()))

    assert said[0] == said[1]
    assert sorted(header for header in said[1][1] if header[0].decode() in SAFE_NAMES) == sorted(ENCODED)
