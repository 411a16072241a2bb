"""Public fakes: small working objects for tests of Toolgate and of what is built on it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any

from toolgate.calls import Annotations, Call, Outcome, Principal, Text, Tool
from toolgate.egress.wire import CAPS, Caps, Reach, Request, Response
from toolgate.llm.messages import Assistant, CallDelta, Chosen, Delta, Done, Errand, Prompt, Reply, Tokens, ToolCall
from toolgate.llm.provider import whole
from toolgate.llm.scripted import spoken
from toolgate.money import FREE, Micros

READS = Annotations(read_only=True, destructive=False, idempotent=True)
WRITES = Annotations()
OPEN: dict[str, Any] = {"type": "object"}


@dataclass
class FakeClock:
    """A clock that stands still until `now` is moved."""

    now: float = 0.0
    """Seconds."""

    def __call__(self) -> float:
        return self.now


@dataclass
class Echo:
    """A handler that remembers its calls and answers with their arguments."""

    seen: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> Outcome:
        self.seen.append(call)
        return Outcome(content=(Text(f"{call.tool.name} was called"),), structured=dict(call.arguments))


def a_principal(*roles: str, id: str = "local:ada") -> Principal:
    return Principal(id=id, roles=roles or ("developer",), tier="pro", via="terminal")


def a_tool(run: Any = None, *, name: str = "echo", reads: bool = True, schema: Mapping[str, Any] | None = None, **more: Any) -> Tool:
    """A tool that echoes for nothing unless `run` and `price` say otherwise, and takes any arguments unless `schema` does."""
    return Tool(
        name=name,
        description=more.pop("description", f"Echo as {name}."),
        schema=dict(schema) if schema is not None else OPEN,
        run=run or Echo(),
        annotations=READS if reads else WRITES,
        price=more.pop("price", FREE),
        **more,
    )


def a_call(tool: Tool | None = None, arguments: Mapping[str, Any] | None = None, principal: Principal | None = None, **more: Any) -> Call:
    return Call(tool=tool or a_tool(), arguments=arguments or {}, principal=principal or a_principal(), **more)


@dataclass
class RawServer:
    """A server on loopback that takes requests as bytes and answers with bytes."""

    origin: str
    seen: list[bytes] = field(default_factory=list)
    """The requests, head and body, exactly as they came."""
    connections: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has left."""

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])


Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Answers one request by writing; closing the writer ends the connection."""


@asynccontextmanager
async def raw_server(answer: bytes | Script, *, tls: SSLContext | None = None) -> AsyncIterator[RawServer]:
    """A server that gives every request the same `answer`, or runs it."""
    talks: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        server.connections += 1
        try:
            while not writer.is_closing():
                server.seen.append(request := await _one_request(reader))
                if isinstance(answer, bytes):
                    writer.write(answer)
                else:
                    await answer(request, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the block below ends
        finally:
            server.ended.set()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server = RawServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield server
    finally:
        listening.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _one_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"\r\nContent-Length: (\d+)\r\n", head, re.IGNORECASE)
    return head + await reader.readexactly(int(length[1]) if length else 0)


@dataclass
class ScriptedSender:
    """A `Sender` that answers from a list, or always alike, and remembers what it was to send."""

    answers: list[Response | Exception] | Response
    sent: list[Request] = field(default_factory=list)
    reaches: list[Reach] = field(default_factory=list)

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        self.sent.append(request)
        self.reaches.append(reach)
        answer = self.answers.pop(0) if isinstance(self.answers, list) else self.answers
        if isinstance(answer, Exception):
            raise answer
        return answer


SOME_TOKENS = Tokens(input=100, output=20)


@dataclass(frozen=True)
class Line:
    """One reply of a `ScriptedProvider`."""

    text: str = ""
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Tools to call, with their arguments."""
    delay: float = 0.0
    """Seconds before the first piece."""
    tokens: Tokens = SOME_TOKENS
    cost: Micros = 0
    error: Exception | None = None
    """Raised instead of the reply; with `text`, after that much of it was streamed."""


@dataclass
class ScriptedProvider:
    """A `Provider` that says its lines, and remembers what it was asked."""

    lines: list[Line] | Callable[[Prompt], Line]
    """In order, or made of each prompt. Who asks more often than there are lines gets an AssertionError."""
    name: str = "scripted"
    asked: list[Prompt] = field(default_factory=list)
    errands: list[Errand] = field(default_factory=list)

    async def reply(self, prompt: Prompt, errand: Errand) -> Reply:
        return await whole(self.stream(prompt, errand))

    async def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        self.asked.append(prompt)
        self.errands.append(errand)
        line = self._next(prompt)
        model = prompt.model.partition("/")[2] or "scripted-1"
        yield Chosen(self.name, model)
        await asyncio.sleep(line.delay)
        for delta in spoken(line.text):
            yield delta
        if line.error is not None:
            raise line.error
        calls = tuple(
            ToolCall(f"call_{len(self.asked)}_{index}", name, arguments, json.dumps(arguments))
            for index, (name, arguments) in enumerate(line.calls)
        )
        for call in calls:
            yield CallDelta(call.id, call.name, call.raw)
        yield Done(Reply(Assistant(line.text, calls), "calls" if calls else "end", line.tokens, self.name, model, line.cost))

    def _next(self, prompt: Prompt) -> Line:
        if callable(self.lines):
            return self.lines(prompt)
        assert self.lines, "the script has ended, and somebody asks on"
        return self.lines.pop(0)
