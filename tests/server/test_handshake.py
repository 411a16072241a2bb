"""Calls in sessions are answered exactly as the SDK answers them, on the short way too; and they end when they should."""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import ASGIApp, Message, Scope

from toolgate.calls import Call, Outcome, Text, Tool
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server import handshake, waiting
from toolgate.testing import a_tool

from .test_fast import ANYTHING, BESIDE, KINDS, NAMES, ODD, TOOLS, Both, both

VERSION = "2025-11-25"
REQUESTS = 2000
SPOKEN = [kind for kind in KINDS if kind != "surrogate"]
"""In a stream, the SDK loses an answer with a lone surrogate and the client waits for ever."""
ASKING = Policy([Role(role="all", permissions=(Permission(id="all.all", tools="*", obligations=("approve",)),))])


@dataclass
class Told:
    """What a client hears of one request."""

    status: int
    headers: Mapping[str, str]
    messages: Sequence[Any]
    """JSON-RPC, in order; the last is the answer."""


class Exchange:
    """A request that is under way, for its test to look at what has been sent by now."""

    def __init__(self, app: ASGIApp, method: str, body: bytes, headers: Mapping[str, str]) -> None:
        self._app = app
        self._body = body
        self._scope: Scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 5),
            "server": ("127.0.0.1", 8765),
            "state": {},
        }
        self.leaves = anyio.Event()
        self._asked = False
        self._status, self._sent = 0, b""
        self._headers: dict[str, str] = {}
        self.came = anyio.Event()
        """Something has been sent."""

    async def run(self) -> None:
        with anyio.fail_after(60):
            await self._app(self._scope, self._receive, self._send)

    async def _receive(self) -> Message:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self._sent += message.get("body", b"")
        if message.get("body"):
            self.came.set()

    @property
    def told(self) -> Told:
        if self._headers.get("content-type") != "text/event-stream":
            return Told(self._status, self._headers, [json.loads(self._sent)] if self._sent else [])
        events = [event for event in self._sent.decode().split("\r\n\r\n") if event and not event.startswith(":")]
        assert all(event.startswith("event: message\r\ndata: ") for event in events)
        return Told(self._status, self._headers, [json.loads(event.partition("data: ")[2]) for event in events])


class Client:
    """A client of one of the handshake eras, in its session."""

    def __init__(self, app: ASGIApp, version: str, session: str) -> None:
        self.app = app
        self.headers = {
            "host": "127.0.0.1:8765",
            "content-type": "application/json",
            "accept": "application/json, text/event-stream",
            "content-length": "1",
            "mcp-protocol-version": version,
            "mcp-session-id": session,
        }

    def exchange(self, message: Any, method: str = "POST", changed: Mapping[str, str | None] | None = None) -> Exchange:
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {**self.headers, **(changed or {})}
        return Exchange(self.app, method, body, {name: value for name, value in headers.items() if value is not None})

    async def ask(self, message: Any, method: str = "POST", changed: Mapping[str, str | None] | None = None) -> Told:
        exchange = self.exchange(message, method, changed)
        await exchange.run()
        return exchange.told


async def opened(app: ASGIApp, version: str = VERSION, capabilities: Mapping[str, Any] | None = None) -> Client:
    hello = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": {"name": "test", "version": "1"}}
    first = Client(app, version, "")
    answer = await first.ask(a_message("initialize", **hello), changed={"mcp-session-id": None, "mcp-protocol-version": None})
    assert answer.messages[-1]["result"]["protocolVersion"] == version
    client = Client(app, version, answer.headers["mcp-session-id"])
    assert (await client.ask({"jsonrpc": "2.0", "method": "notifications/initialized"})).status == 202
    return client


def a_message(method: str = "tools/call", *, id: Any = 1, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def a_call(name: str = "echo", *, id: Any = 1, meta: Mapping[str, Any] | None = None, **arguments: Any) -> dict[str, Any]:
    said: dict[str, Any] = {} if meta is None else {"_meta": meta}
    return a_message(id=id, name=name, arguments=arguments, **said)


@dataclass
class Clients:
    """The same client, once of the SDK alone and once with the short way before it."""

    ways: Both
    slow: Client
    quick: Client


@asynccontextmanager
async def clients(
    tools: Sequence[Tool] = TOOLS, policy: Policy | None = None, version: str = VERSION, capabilities: Mapping[str, Any] | None = None
) -> AsyncIterator[Clients]:
    async with both(tools, policy) as ways:
        pair = [await opened(app, version, capabilities) for app in (ways.slow, ways.quick)]
        ways.sdk.asked = 0
        yield Clients(ways, *pair)


def generated(chance: random.Random) -> tuple[Any, dict[str, str | None]]:
    """A message in a session that is regular, or was so before something was done to it."""
    method = chance.choice([*["tools/call"] * 8, *["tools/list"] * 2, "ping", "prompts/list", "no/such", "notifications/cancelled"])
    message = a_message(method, id=chance.choice([1, 2**40, "a", "7", "", "ü", -5]))
    params: Any = message["params"]
    if method == "tools/call":
        params["name"] = chance.choice(NAMES)
        params["arguments"] = {"n": chance.choice(ODD), **({"kind": chance.choice(SPOKEN)} if chance.random() < 0.7 else {})}
        if params["name"] == "call_tool":
            inner = chance.choice(["echo", "hidden", "talks", "nothing", "call_tool", 7])
            params["arguments"] = {"name": inner, "arguments": chance.choice([params["arguments"], {}, [], None])}
        if params["name"] == "talks" and chance.random() < 0.5:
            params["arguments"]["kind"] = "tells"
    changed: dict[str, str | None] = {}
    for _ in range(chance.choice([0, 0, 0, 1, 1, 2])):
        meta = params.setdefault("_meta", {}) if isinstance(params, dict) else {}
        match chance.randrange(7):
            case 0:
                message[chance.choice(["jsonrpc", "id", "method", "params", "result", "error"])] = chance.choice(ODD)
                params = message.get("params")
            case 1:
                message.pop(chance.choice(["jsonrpc", "id", "params"]), None)
            case 2 if isinstance(params, dict):
                names = ["name", "arguments", "_meta", "cursor", "requestState", "task", "more", "requestId"]
                params[chance.choice(names)] = chance.choice(ODD)
            case 3 if isinstance(params, dict):
                params.pop(chance.choice(["name", "arguments"]), None)
            case 4 if isinstance(meta, dict):
                keys = [*BESIDE, "progressToken", "io.modelcontextprotocol/related-task"]
                meta[chance.choice(keys)] = chance.choice([*ODD, "debug", {"idempotency_key": "k"}, {"approval": "a" * 32}])
            case 5:
                name = chance.choice(["accept", "mcp-protocol-version", "mcp-session-id", "mcp-method", "content-type"])
                changed[name] = chance.choice(["", "x", "*/*", "application/json", VERSION, "2024-11-05", "2099-01-01", None])
            case 6:
                changed["accept"] = chance.choice(["text/event-stream;q=0.5, application/*", "TEXT/EVENT-STREAM,APPLICATION/JSON"])
    return message, changed


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
async def test_thousands_of_requests_are_answered_as_the_sdk_answers_them(version: str) -> None:
    chance = random.Random(version)
    taken = 0
    async with clients(version=version) as pair:
        for _ in range(REQUESTS // len(HANDSHAKE_PROTOCOL_VERSIONS)):
            message, changed = generated(chance)
            before = pair.ways.sdk.asked

            expected = await pair.slow.ask(message, changed=changed)
            answer = await pair.quick.ask(message, changed=changed)

            taken += pair.ways.sdk.asked == before and answer.status == 200
            assert (answer.status, answer.messages) == (expected.status, expected.messages), (message, changed)
    assert taken > REQUESTS / len(HANDSHAKE_PROTOCOL_VERSIONS) / 3  # else it was the SDK compared with itself


async def test_a_regular_call_never_comes_by_the_sdk_and_is_answered_in_json() -> None:
    async with clients() as pair:
        told = [await pair.quick.ask(message) for message in (a_call(), a_call(id="a"), a_call("talks", kind="json"), a_call("hidden"))]
        wrapped = await pair.quick.ask(a_message(name="call_tool", arguments={"name": "hidden", "arguments": {"n": 2}}))

    assert {answer.headers["content-type"] for answer in told} == {"application/json"}
    assert wrapped.messages[0]["result"]["content"] == [{"type": "text", "text": '{"n": 2}'}]
    assert pair.ways.sdk.asked == 0


async def test_a_text_with_half_a_character_is_answered() -> None:
    async with clients() as pair:
        answer = await pair.quick.ask(a_call(kind="surrogate"))

    assert answer.messages[0]["result"]["content"] == [{"type": "text", "text": "a\ud800b"}]


async def test_what_a_tool_tells_comes_before_its_answer() -> None:
    async def tells(call: Call) -> Outcome:
        assert call.client is not None
        await call.client.tell("notifications/message", {"level": "info", "data": "a"})
        if call.progress is not None:
            await call.progress(1, 2, "half")
        return Outcome(content=(Text("done"),))

    async with clients([a_tool(tells, name="tells", schema=ANYTHING, remote=False), *TOOLS]) as pair:
        message = a_call("tells", id=5, meta={"progressToken": "t"})
        answer, expected = await pair.quick.ask(message), await pair.slow.ask(message)

    assert [one.get("method") for one in answer.messages] == ["notifications/message", "notifications/progress", None]
    assert answer.messages == expected.messages
    assert pair.ways.sdk.asked == 0


@pytest.mark.parametrize("version", ["2025-06-18", VERSION])
async def test_a_person_is_asked_on_the_connection_of_the_call(version: str) -> None:
    async with clients(policy=ASKING, version=version, capabilities={"elicitation": {}}) as pair:
        questions = []
        for client in (pair.quick, pair.slow):
            for said in ({"action": "accept", "content": {"approve": True}}, {"action": "decline"}):
                exchange = client.exchange(a_call(id=9))
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(exchange.run)
                    await exchange.came.wait()
                    question = exchange.told.messages[0]
                    taken = await client.ask({"jsonrpc": "2.0", "id": question["id"], "result": said})
                questions.append(
                    (question["method"], set(question["params"]), taken.status, exchange.told.messages[-1]["result"]["isError"])
                )

    assert [outcome[-1] for outcome in questions] == [False, True, False, True]
    assert questions[:2] == questions[2:]
    assert pair.ways.sdk.asked == 0


async def test_an_error_for_an_answer_is_no_yes() -> None:
    async with clients(policy=ASKING, capabilities={"elicitation": {}}) as pair:
        exchange = pair.quick.exchange(a_call(id=9))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run)
            await exchange.came.wait()
            number = exchange.told.messages[0]["id"]
            await pair.quick.ask({"jsonrpc": "2.0", "id": number, "error": {"code": -32603, "message": "no screen"}})

    assert exchange.told.messages[-1]["result"]["isError"]
    assert pair.ways.sdk.asked == 0


class Slow:
    """A tool that takes until it is let go."""

    def __init__(self) -> None:
        self.began, self.go = anyio.Event(), anyio.Event()
        self.cancelled = 0

    async def __call__(self, _call: Call) -> Outcome:
        self.began.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return Outcome(content=(Text("late"),))

    @asynccontextmanager
    async def under_way(self, exchange: Exchange) -> AsyncIterator[None]:
        """While `exchange`, a call of it, has begun; afterwards it has been answered."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(exchange.run)
            await self.began.wait()
            yield

    @property
    def tools(self) -> list[Tool]:
        return [a_tool(self, name="slow", schema=ANYTHING, remote=False), *TOOLS]


@pytest.mark.parametrize("number", [3, "3"])
async def test_a_cancelled_call_ends_and_says_so(number: int | str) -> None:
    slow = Slow()
    async with clients(slow.tools) as pair:
        exchange = pair.quick.exchange(a_call("slow", id=3))
        async with slow.under_way(exchange):
            other = await pair.quick.ask({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 4}})
            taken = await pair.quick.ask({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})

    assert (slow.cancelled, other.status, taken.status) == (1, 202, 202)
    assert exchange.told.messages == [{"jsonrpc": "2.0", "id": 3, "error": {"code": -32800, "message": "Request cancelled"}}]
    assert pair.ways.sdk.asked == 1  # of what it did not know, the SDK hears


async def test_a_caller_who_leaves_does_not_end_its_call() -> None:
    slow = Slow()
    async with clients(slow.tools) as pair:
        exchange = pair.quick.exchange(a_call("slow"))
        async with slow.under_way(exchange):
            exchange.leaves.set()
            await anyio.sleep(waiting.WATCHED * 3)
            slow.go.set()

    assert slow.cancelled == 0
    assert exchange.told.messages[0]["result"]["content"][0]["text"] == "late"


async def test_the_end_of_a_session_ends_its_calls() -> None:
    slow = Slow()
    async with clients(slow.tools) as pair:
        exchange = pair.quick.exchange(a_call("slow"))
        async with slow.under_way(exchange):
            ended = await pair.quick.ask(b"", "DELETE", {"accept": None, "content-type": None})
        after = await pair.quick.ask(a_call())

    assert (slow.cancelled, ended.status, exchange.told.status, after.status) == (1, 200, 404, 404)


async def test_nobody_else_may_use_or_end_a_session() -> None:
    slow = Slow()
    async with clients(slow.tools) as pair:
        exchange = pair.quick.exchange(a_call("slow", id=3))
        async with slow.under_way(exchange):
            pair.ways.asking = "eve"
            cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}}
            refused = [await pair.quick.ask(a_call()), await pair.quick.ask(cancel), await pair.quick.ask(b"", "DELETE")]
            pair.ways.asking = "ada"
            slow.go.set()
        answer = await pair.quick.ask(a_call())

    assert [one.status for one in refused] == [404, 404, 404]
    assert exchange.told.messages[0]["result"]["content"][0]["text"] == "late"
    assert answer.status == 200


async def test_the_sdk_sees_a_call_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    async with clients() as pair:
        monkeypatch.setattr(handshake, "SEEN", 0.0)
        await pair.quick.ask(a_call())
        monkeypatch.setattr(handshake, "SEEN", 60.0)
        await pair.quick.ask(a_call())

    assert pair.ways.sdk.asked == 1


async def test_a_list_is_made_once_for_a_version() -> None:
    async with clients() as pair:
        told = [(await pair.quick.ask(a_message("tools/list", id=number))).messages[0] for number in (1, "b")]
        expected = (await pair.slow.ask(a_message("tools/list", id="b"))).messages[0]

    assert pair.ways.sdk.asked == 1
    assert told[1] == expected
    assert "ttlMs" not in told[1]["result"]


async def test_two_calls_with_one_id_are_not_mixed_up() -> None:
    slow = Slow()
    async with clients(slow.tools) as pair:
        exchange = pair.quick.exchange(a_call("slow", id=3))
        async with slow.under_way(exchange):
            other = await pair.quick.ask(a_call(id=3, n=1))
            slow.go.set()

    assert other.messages[-1]["result"]["content"][0]["text"] == '{"n": 1}'
    assert exchange.told.messages[0]["result"]["content"][0]["text"] == "late"
    assert pair.ways.sdk.asked == 1
