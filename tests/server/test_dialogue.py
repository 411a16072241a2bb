"""The short way of a stream answers exactly as the SDK does, or is not taken: whole conversations, generated."""

from __future__ import annotations

import io
import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.message import SessionMessage

from toolgate.calls import Binary, Call, Outcome, Problem, Text, Tool
from toolgate.errors import ProtocolError, ToolFailed
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.apps import EXTENSION, MEDIA_TYPE
from toolgate.server.calling import called
from toolgate.server.dialogue import Dialogue, refused
from toolgate.server.handlers import Underway, build_server
from toolgate.server.identify import local
from toolgate.server.lines import Input, Output
from toolgate.server.offered import Offered
from toolgate.server.reply import reply
from toolgate.server.stdio import converse
from toolgate.settings import Caller, Limits, Repeats, Server, Settings
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_tool

OLD, NEW = "2025-11-25", "2026-07-28"
OURS = "io.modelcontextprotocol/"
ANYTHING: dict[str, Any] = {"type": "object"}
# Nothing that is asked often is refused for that.
SETTINGS = Settings(limits=Limits(repeats=Repeats(calls=None)), server=Server(page_size=3), stdio=Caller(roles=("all",)))
EVERYTHING = Permission(id="all.all", tools="*")
ASKS = Permission(id="all.asks", tools="echo", obligations=("approve",))
SHOWS = {"extensions": {EXTENSION: {"mimeTypes": [MEDIA_TYPE]}}}
CAPABILITIES: list[Any] = [{}, {}, {}, {"elicitation": {}}, {"sampling": {}}, {"roots": {"listChanged": True}}, SHOWS]
QUIET = 25
"""Turns of the loop without a word after which nothing more comes: nothing here waits for anything outside."""


async def answer_of(call: Call) -> Outcome:
    """One of the kinds of outcome that there are, as the arguments wish."""
    match call.arguments.get("kind"):
        case "json":
            return Outcome(structured={"a": None, "ü": [1.5, "\u2028"]}, meta={"status": 200})
        case "list":
            return Outcome(structured=[1, None])
        case "picture":
            return Outcome(content=(Binary(b"\x00png", "image/png"), Binary(b"x", "audio/wav"), Text("a picture")))
        case "problem":
            return Outcome(problem=Problem("odd", "That went wrong.", 3.0, {"status": 500}), content=(Text("more"),))
        case "failed":
            raise ToolFailed("it cannot")
        case "bug":
            raise ZeroDivisionError("a secret")
        case "code":
            raise ProtocolError("the server says no", -32002, {"more": 1})
        case "surrogate":
            return Outcome(content=(Text("a\ud800b"),))
    return Outcome(content=(Text(json.dumps(call.arguments, sort_keys=True)),))


async def talk(call: Call) -> Outcome:
    if call.client is not None and call.client.log_level is not None:
        await call.client.tell("notifications/message", {"level": "info", "data": "x"})
    return await answer_of(call)


async def hang(call: Call) -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


TOOLS = [
    a_tool(answer_of, name="echo", schema=ANYTHING, quiet=True, remote=False),
    a_tool(answer_of, name="hidden", schema=ANYTHING, quiet=True, remote=False, listed=False),
    a_tool(talk, name="talks", schema=ANYTHING, remote=False),
    a_tool(hang, name="hang", schema=ANYTHING, quiet=True, remote=False, timeout=600.0),
    a_tool(hang, name="hang_slow", schema=ANYTHING, remote=False, timeout=600.0),
]
KINDS = ["json", "list", "picture", "problem", "failed", "bug", "code", "other", "surrogate"]
ODD: list[Any] = [None, True, 0, 1.5, "", "x", [], [1], {}, {"x": 1}, 2**63]
LINES = [b"", b" ", b"\xff{}", b"nonsense", b"[]", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":9,"result":{}}', b"1" * 30]


class Said(Input):
    """Blocks of input, given by hand."""

    def __init__(self) -> None:
        self._send, self._blocks = anyio.create_memory_object_stream[bytes](100)

    def say(self, block: bytes) -> None:
        self._send.send_nowait(block)

    def end(self) -> None:
        self._send.close()

    async def read(self, hear: Callable[[bytes], None], output: Output) -> None:
        with self._blocks:
            async for block in self._blocks:
                for line in block.split(b"\n"):
                    hear(line)


class Heard(Output):
    """Lines of output, kept."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line)

    async def drained(self) -> None:
        pass

    async def flushed(self) -> None:
        pass

    async def run(self) -> None:
        pass

    async def settled(self) -> list[Any]:
        """What was said since, once nothing more comes."""
        quiet, before = 0, len(self.lines)
        while quiet < QUIET:
            await anyio.sleep(0)
            quiet = quiet + 1 if len(self.lines) == before else 0
            before = len(self.lines)
        said, self.lines = self.lines, []
        return sorted((told(json.loads(line)) for line in said), key=lambda each: json.dumps(each, sort_keys=True))


def told(message: Any) -> Any:
    """What a client makes of a message."""
    if isinstance(message.get("error"), dict) and message["error"].get("data") is None:
        message["error"].pop("data", None)  # the SDK writes a null
    if "requestState" in message.get("result", {}):
        message["result"]["requestState"] = "sealed"  # another time, another seal
    return message


def a_gateway(asks: bool, tools: Sequence[Tool] = TOOLS) -> Gateway:
    permissions = (EVERYTHING, ASKS) if asks else (EVERYTHING,)
    return build_gateway(tools, Policy([Role(role="all", permissions=permissions)]), memory_stores(), SETTINGS)


@asynccontextmanager
async def by_the_sdk(gateway: Gateway) -> AsyncIterator[tuple[Said, Heard]]:
    """A conversation with the SDK alone, over a transport that reads and writes as its own does."""
    said, heard = Said(), Heard()
    principal = local(SETTINGS.stdio, "stdio")
    offered = Offered(gateway, lambda _context: principal, SETTINGS.server.page_size, called)
    server = build_server(
        gateway,
        lambda _context: principal,
        page_size=SETTINGS.server.page_size,
        schema_of=lambda _name: None,
        underway=Underway(),
        offered=offered,
    )
    hand, reader = anyio.create_memory_object_stream[SessionMessage | Exception](100)
    writer, saying = anyio.create_memory_object_stream[SessionMessage](0)

    def hear(line: bytes) -> None:
        for text in io.TextIOWrapper(io.BytesIO(line + b"\n"), encoding="utf-8", errors="replace"):
            try:
                hand.send_nowait(SessionMessage(types.jsonrpc_message_adapter.validate_json(text, by_name=False)))
            except ValueError:  # of which the SDK says nothing
                if (refusal := refused(text.encode())) is not None:
                    heard.write(refusal)

    async def tell() -> None:
        async with saying:
            async for each in saying:
                # Not in its own words: a lone surrogate ended the process.
                heard.write(json.dumps(each.message.model_dump(by_alias=True, exclude_unset=True)).encode())

    async with offered.changes.telling(), anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        tasks.start_soon(server.run, reader, writer, server.create_initialization_options())

        async def read() -> None:
            await said.read(hear, heard)
            hand.close()

        tasks.start_soon(read)
        yield said, heard
        said.end()


@asynccontextmanager
async def by_both(gateway: Gateway) -> AsyncIterator[tuple[Said, Heard]]:
    said, heard = Said(), Heard()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(converse, gateway, SETTINGS, said, heard)
        yield said, heard
        said.end()


def a_request(method: str, id: Any, params: Any, *, modern: bool, capabilities: Any = None) -> dict[str, Any]:
    if modern and isinstance(params, dict):
        envelope = {f"{OURS}protocolVersion": NEW, f"{OURS}clientCapabilities": capabilities or {}}
        params = {**params, "_meta": {**params.get("_meta", {}), **envelope}}
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def an_opening(chance: random.Random, modern: bool) -> list[Any]:
    """What a client begins with, mostly as it should."""
    if modern:
        return [[], [a_request("server/discover", 0, {}, modern=True)]][chance.random() < 0.5]
    hello = a_hello(chance, 0)
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    return chance.choice([[hello, begun]] * 6 + [[hello], [begun], [], [{**begun, "params": {}}, hello]])


def a_hello(chance: random.Random, id: Any) -> dict[str, Any]:
    version = chance.choice([OLD, OLD, "2025-06-18", "2025-03-26", "2024-11-05", "2099-01-01", NEW])
    params = {"protocolVersion": version, "capabilities": chance.choice(CAPABILITIES), "clientInfo": {"name": "t", "version": "1"}}
    return a_request("initialize", id, {} if chance.random() < 0.1 else params, modern=False)


def a_step(chance: random.Random, modern: bool, hanging: list[Any]) -> list[Any]:
    """Messages that are sent at once. What is given up is only what would hang: else both could be right."""
    number = chance.choice([1, 2, 3, "1", "a", "", 2**40, chance.randrange(1000, 10**6)])
    capabilities = chance.choice(CAPABILITIES)
    match chance.randrange(20):
        case 0 | 1:
            method, params = "tools/list", chance.choice([{}, {}, {"cursor": None}, {"cursor": "x"}, {"cursor": "YWZ0ZXIgaGFuZw=="}])
        case 2:
            method, params = chance.choice(["ping", "prompts/list", "no/such", "logging/setLevel"]), {"level": "error"}
        case 3 | 4:
            hanging.append(number)
            method, params = "tools/call", {"name": chance.choice(["hang", "hang", "hang_slow"]), "arguments": {}}
        case 5 | 6 if hanging:
            which = chance.choice(hanging)
            which = str(which) if chance.random() < 0.2 else which
            return [{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": which, "reason": "tired"}}]
        case 7:
            notes = [("notifications/cancelled", {"requestId": 77}), ("notifications/cancelled", {}), ("notifications/progress", {})]
            method, params = chance.choice([*notes, ("notifications/initialized", {})])
            return [{"jsonrpc": "2.0", "method": method, "params": params}]
        case 8 if chance.random() < 0.4:
            return [a_hello(chance, number)]
        case 9:
            return [chance.choice(LINES)]
        case _:
            name = chance.choice(["echo", "echo", "hidden", "talks", "call_tool", "nothing"])
            arguments: Any = {"n": chance.choice(ODD), "kind": chance.choice(KINDS)}
            if name == "call_tool":
                arguments = {"name": chance.choice(["hidden", "echo", "talks", 7]), "arguments": arguments}
            method, params = "tools/call", {"name": name, "arguments": arguments}
    message = a_request(method, number, params, modern=modern, capabilities=capabilities)
    if chance.random() < 0.25:
        spoil(message, chance)
    return [message]


def spoil(message: dict[str, Any], chance: random.Random) -> None:
    params = message["params"]
    meta = params.setdefault("_meta", {})
    match chance.randrange(6):
        case 0:
            message[chance.choice(["jsonrpc", "id", "method", "params", "more"])] = chance.choice(ODD)
        case 1:
            message.pop(chance.choice(["jsonrpc", "params"]))
        case 2:
            params[chance.choice(["name", "arguments", "_meta", "cursor", "task", "more"])] = chance.choice(ODD)
        case 3:
            said = [*ODD, "debug", {"idempotency_key": "k"}, {"approval": "a" * 32}, {"approval": "x"}]
            meta[chance.choice(["progressToken", "traceparent", "toolgate", "v.example/id", f"{OURS}logLevel"])] = chance.choice(said)
        case 4:
            params.pop(chance.choice(["name", "arguments", "_meta", "cursor"]), None)
        case _:  # a message of the other era
            if f"{OURS}protocolVersion" in meta:
                del params["_meta"]
            else:
                meta |= {f"{OURS}protocolVersion": NEW, f"{OURS}clientCapabilities": {}}


def a_line(message: Any, chance: random.Random) -> bytes:
    if isinstance(message, bytes):
        return message
    text = json.dumps(message, separators=chance.choice([(",", ":"), (", ", ": ")]), ensure_ascii=chance.random() < 0.5)
    if chance.random() < 0.02:
        text = chance.choice([f"[{text}]", text[:-1], text.replace('"method"', '"method":"ping","method"'), text + "\r" + text])
    return text.encode(errors="replace") + chance.choice([b"", b"", b"", b"\r"])


@pytest.mark.parametrize("seed", range(4))
async def test_whole_conversations_are_answered_as_the_sdk_answers_them(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    taken = 0

    async def counted(*args: Any, **named: Any) -> Any:
        nonlocal taken
        taken += 1
        return await reply(*args, **named)

    monkeypatch.setattr("toolgate.server.dialogue.reply", counted)
    monkeypatch.setattr("toolgate.server.stdio.GRACE", 0.0)
    for _ in range(60):
        modern, asks = chance.random() < 0.4, chance.random() < 0.2
        hanging: list[Any] = []
        steps = [an_opening(chance, modern), *(a_step(chance, modern, hanging) for _ in range(16))]
        blocks = [[a_line(message, chance) for message in step] for step in steps]
        while chance.random() < 0.5 and len(blocks) > 2:  # more at once, as far as nothing is given up there
            at = chance.randrange(len(blocks) - 1)
            if not any(b"cancelled" in line for line in blocks[at + 1]):
                blocks[at : at + 2] = [blocks[at] + blocks[at + 1]]
        async with by_the_sdk(a_gateway(asks)) as (ask, expected), by_both(a_gateway(asks)) as (say, heard):
            for lines in blocks:
                for each in (ask, say):
                    each.say(b"\n".join(lines))
                assert await heard.settled() == await expected.settled(), (seed, blocks)
            ask.end()
            say.end()
            assert await heard.settled() == await expected.settled(), (seed, blocks)
    assert taken > 60  # else it was the SDK compared with itself


class Between:
    """A dialogue, what it hands to the SDK, and what it writes."""

    def __init__(self, tools: Sequence[Tool] = TOOLS, *, asks: bool = False) -> None:
        self.gateway = a_gateway(asks, tools)
        self.handed: list[Any] = []
        self.written: list[Any] = []
        principal = local(SETTINGS.stdio, "stdio")
        self.dialogue = Dialogue(self.gateway, principal, {"us": 1}, self._write, self._hand)

    def _write(self, line: bytes) -> None:
        self.written.append(json.loads(line))

    def _hand(self, message: SessionMessage) -> None:
        self.handed.append(message.message.model_dump(exclude_unset=True))

    def hear(self, *messages: Any) -> None:
        for message in messages:
            self.dialogue.hear(json.dumps(message).encode())

    def answer(self, id: int | str, result: dict[str, Any]) -> None:
        """As the SDK would."""
        self.dialogue.tell(types.JSONRPCResponse(jsonrpc="2.0", id=id, result=result))

    def shake_hands(self, capabilities: Any = None, id: int = 0) -> None:
        self.hear(a_request("initialize", id, hello(capabilities), modern=False))
        self.answer(id, {"protocolVersion": OLD})
        self.handed.clear()
        self.written.clear()


def hello(capabilities: Any = None) -> dict[str, Any]:
    return {"protocolVersion": OLD, "capabilities": capabilities or {}, "clientInfo": {"name": "t", "version": "1"}}


def a_call(id: Any = 1, name: str = "echo", *, modern: bool = False, **arguments: Any) -> dict[str, Any]:
    return a_request("tools/call", id, {"name": name, "arguments": arguments}, modern=modern)


async def written(between: Between, number: int) -> list[Any]:
    with anyio.fail_after(10):
        while len(between.written) < number:
            await anyio.sleep(0)
    return between.written


# JSON-RPC 2.0, 5: an error answers by the id, or by null where that could not be detected; 4.1: a notification is never answered.
@pytest.mark.parametrize(
    ("line", "id", "code"),
    [
        (rb'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"a":"\ud800"}}}', 7, -32600),
        (rb'{"jsonrpc":"2.0","id":"b","method":"ping","params":{"a":"\udc00\ud83d"}}', "b", -32600),
        (rb'{"jsonrpc":"2.0","id":"\ud800","method":"ping"}', None, -32600),
        (b'{"jsonrpc":"2.0","id":7,"method":3}', 7, -32600),
        (b'{"jsonrpc":"2.0","id":%d,"method":3}' % 2**70, None, -32600),
        (b"[]", None, -32600),
        (b"nonsense\xff", None, -32700),
        (b"[" * 100_000, None, -32700),
        (b'{"id":' + b"1" * 10_000 + b"}", None, -32700),
    ],
)
async def test_what_is_no_message_is_refused_and_the_conversation_goes_on(line: bytes, id: Any, code: int) -> None:
    between = Between()
    between.shake_hands()

    between.dialogue.hear(line)
    between.hear(a_call(8))

    refusal, answered = await written(between, 2)
    assert (refusal["jsonrpc"], refusal["id"], refusal["error"]["code"]) == ("2.0", id, code)
    assert (answered["id"], between.handed) == (8, [])


@pytest.mark.parametrize(
    "line",
    [
        rb'{"jsonrpc":"2.0","method":"notifications/progress","params":{"message":"\ud800"}}',
        rb'{"jsonrpc":"2.0","id":1,"result":{"text":"\ud800"}}',
        b" \t",
    ],
)
async def test_what_wants_no_answer_gets_none(line: bytes) -> None:
    assert refused(line) is None


async def test_a_call_with_bytes_that_are_no_utf_8_is_served() -> None:
    between = Between()
    between.shake_hands()

    between.dialogue.hear(json.dumps(a_call(7, a="?")).encode().replace(b"?", b"\xff"))

    assert [message["params"]["arguments"] for message in between.handed] == [{"a": "\ufffd"}]


@pytest.mark.parametrize("modern", [False, True])
async def test_a_regular_call_never_comes_by_the_sdk(modern: bool) -> None:
    between = Between()
    between.hear(a_request("server/discover", 0, {}, modern=True)) if modern else between.shake_hands()
    between.handed.clear()

    between.hear(a_call("a", n=1, modern=modern), a_call(2, "hidden", modern=modern))
    answers = await written(between, 2)

    assert between.handed == []
    assert [answer["id"] for answer in answers] == ["a", 2]
    assert answers[0]["result"]["content"] == [{"type": "text", "text": '{"n": 1}'}]
    assert answers[0]["result"].get("_meta") == ({"us": 1} if modern else None)


@pytest.mark.parametrize("modern", [False, True])
async def test_who_wants_to_hear_of_progress_goes_by_the_sdk_for_tools_that_may_tell(modern: bool) -> None:
    between = Between()
    between.hear(a_request("server/discover", 0, {}, modern=True)) if modern else between.shake_hands()
    between.handed.clear()
    params = [{"name": name, "arguments": {}, "_meta": {"progressToken": "t"}} for name in ("echo", "talks")]

    between.hear(*(a_request("tools/call", number, each, modern=modern) for number, each in enumerate(params, 1)))
    answers = await written(between, 1)

    assert [answer["id"] for answer in answers] == [1]
    assert [message["id"] for message in between.handed] == [2]


async def test_nothing_is_taken_before_client_and_sdk_agree() -> None:
    between = Between()

    between.hear(a_call(5), a_request("initialize", 0, hello(), modern=False), a_call(6))
    between.answer(0, {"protocolVersion": OLD})
    between.hear(a_call(7))
    await written(between, 2)

    assert [message["id"] for message in between.handed] == [5, 0, 6]


async def test_while_hands_are_shaken_again_the_old_terms_do_not_count() -> None:
    between = Between(asks=True)
    between.shake_hands()

    between.hear(a_request("initialize", 8, hello({"elicitation": {}}), modern=False), a_call(9))
    between.answer(8, {"protocolVersion": OLD})
    between.hear(a_call(10))  # there is somebody to ask now

    assert [message["id"] for message in between.handed] == [8, 9, 10]


async def test_a_call_that_is_given_up_ends_and_is_not_answered() -> None:
    ended: list[str] = []

    async def slow(call: Call) -> Outcome:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(call.tool.name)
        raise AssertionError

    between = Between([a_tool(slow, name="slow", schema=ANYTHING, quiet=True, remote=False), *TOOLS])
    between.shake_hands()
    between.hear(a_call(1, "slow"), a_call(2, "slow"))
    await anyio.sleep(0.05)

    between.hear({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "1"}}, a_call(3))
    answers = list(await written(between, 1))
    before = list(ended)
    await between.dialogue.end()

    assert (between.handed, before) == ([], ["slow"])
    assert [answer["id"] for answer in answers] == [3]
    assert between.written[1:] == [{"jsonrpc": "2.0", "id": 2, "error": {"code": -32000, "message": "Connection closed"}}]


async def test_a_list_is_made_by_the_sdk_once_and_again_when_the_policy_changes() -> None:
    between = Between()
    between.shake_hands()

    between.hear(a_request("tools/list", 1, {}, modern=False))
    between.answer(1, {"tools": ["made"]})
    between.hear(a_request("tools/list", "b", {}, modern=False))
    between.gateway.live.current = Policy([Role(role="all", permissions=(Permission(id="all.echo", tools="echo"),))])
    between.hear(a_request("tools/list", 3, {}, modern=False))

    assert [message["id"] for message in between.handed] == [1, 3]
    assert between.written[1] == {"jsonrpc": "2.0", "id": "b", "result": {"tools": ["made"]}}


async def test_a_list_whose_id_is_used_twice_at_once_is_not_kept() -> None:
    between = Between()
    between.shake_hands()

    between.hear(a_request("tools/list", 1, {}, modern=False), a_request("tools/list", 1, {"cursor": "x"}, modern=False))
    between.answer(1, {"tools": ["of one page"]})
    between.hear(a_request("tools/list", 2, {"cursor": "x"}, modern=False), a_request("tools/list", 3, {}, modern=False))

    assert [message["id"] for message in between.handed] == [1, 1, 2, 3]


async def test_a_list_takes_its_id_from_a_call_as_it_would_by_the_sdk() -> None:
    between = Between()
    between.shake_hands()
    between.hear(a_request("tools/list", 1, {}, modern=False))
    between.answer(1, {"tools": []})

    between.hear(a_call(5, "hang"), a_request("tools/list", 5, {}, modern=False))
    between.hear({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}})
    before = [answer["id"] for answer in between.written]
    await between.dialogue.end()

    assert before == [1, 5]
    assert [(answer["id"], "error" in answer) for answer in between.written[2:]] == [(5, True)]  # it was not given up
