"""A whole Toolgate as its users have it: `toolgate serve` in a process of its own, before a stand-in that counts effects.

The stand-in and the clients live in the test's process, so what they saw is there after the server was killed.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from toolgate.stores import Balance, Ledger, open_stores
from toolgate.stores.verify import records
from toolgate.testing import raw_server

PRICE = 900  # micro-dollars a call
STARTING = 90.0  # seconds; two cores may be shared by many
API: Mapping[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Things", "version": "1"},
    "paths": {
        "/things": {
            "post": {
                "operationId": "add",
                "summary": "Add a thing",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["note"],
                                "additionalProperties": False,
                                "properties": {
                                    "note": {"type": "string"},
                                    "size": {"type": "integer"},
                                    "pass_phrase": {"type": "string", "format": "password"},
                                },
                            }
                        }
                    },
                },
                "responses": {"201": {"description": "Added."}},
            }
        }
    },
}
CALLER: Mapping[str, Any] = {"role": "caller", "permissions": [{"id": "caller.all", "tools": "*", "operations": ["list", "call"]}]}
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
MODERN = {
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "things_add",
}


class Things:
    """What things were added, and how their API answers."""

    def __init__(self) -> None:
        self.url = ""
        self.added: list[str] = []
        """The note of each, in the order in which they came. A list: none may come twice unseen."""
        self.requests: list[bytes] = []
        self.seconds = 0.0
        """What adding takes."""
        self.open = asyncio.Event()
        """Answers are held back until it is set."""
        self.open.set()

    async def answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        note = json.loads(request.partition(b"\r\n\r\n")[2])["note"]
        self.before(note)
        self.added.append(note)
        self.after(note)
        await asyncio.sleep(self.seconds)
        await self.open.wait()
        writer.write(self.said(note))

    def before(self, note: str) -> None:
        """Something that happens before a thing is added."""

    def after(self, note: str) -> None:
        """Something that happens after it was added and before that is told."""

    def said(self, note: str) -> bytes:
        return http(201, {"added": note})

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Things]:
        async with raw_server(self.answer) as server:
            self.url = server.origin
            yield self


def http(status: int, body: Any) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(data), data)


def lay_out(
    folder: Path,
    things: Things,
    *,
    role: Mapping[str, Any] = CALLER,
    tier: Mapping[str, Any] | None = None,
    integration: Mapping[str, Any] | None = None,
    **settings: Any,
) -> None:
    """Write down settings, policies and the integration of `things` in `folder`."""
    specs = folder / "specs" / "things"
    (folder / "policies" / "roles").mkdir(parents=True)
    specs.mkdir(parents=True)
    everyone = {"roles": ["caller"], "tier": "open"}
    own = {"tool_specs": ["specs"], "policies": "policies", "data_dir": "state", "anonymous": everyone, **settings}
    declared = {"name": "things", "spec": "openapi.json", "base_url": things.url, "allow_networks": ["127.0.0.0/8"]}
    (folder / "toolgate.yaml").write_text(json.dumps(own))
    (folder / "policies" / "tiers.yaml").write_text(json.dumps({"tiers": {"open": tier or {}}}))
    (folder / "policies" / "roles" / "caller.yaml").write_text(json.dumps(role))
    (specs / "openapi.json").write_text(json.dumps(API))
    (specs / "integration.yaml").write_text(json.dumps({**declared, "prices": {"default": PRICE / 1_000_000}, **(integration or {})}))


@dataclass
class Answer:
    status: int
    text: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> Any:
        return json.loads(self.text)


@dataclass
class Server:
    url: str
    process: asyncio.subprocess.Process
    http: aiohttp.ClientSession
    said: Path
    """What it wrote to stderr."""

    async def get(self, path: str) -> Answer:
        async with self.http.get(self.url + path) as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def post(self, path: str, body: Any, **headers: str) -> Answer:
        """
        Args:
            body: JSON, or bytes that are sent as they are, or an iterator of chunks.
        """
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        if isinstance(data, bytes):
            data = io.BytesIO(data)  # aiohttp warns of large bodies otherwise
        async with self.http.post(self.url + path, data=data, headers={"content-type": "application/json", **headers}) as answer:
            return Answer(answer.status, await answer.text(), answer.headers)

    async def add(self, note: str, *, key: str | None = None, **more: Any) -> Answer:
        """Call the tool over HTTP, as `key` if there is one."""
        shown = {"authorization": f"Bearer {key}"} if key else {}
        return await self.post("/v1/tools/things_add/call", {"arguments": {"note": note, **more}}, **shown)

    async def add_by_mcp(self, arguments: Mapping[str, Any], id: int = 1, **headers: str) -> Answer:
        """Call the tool over MCP 2026-07-28."""
        params = {"name": "things_add", "arguments": arguments, "_meta": ENVELOPE}
        return await self.post("/mcp", {"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}, **(MODERN | headers))

    async def ended(self) -> int:
        async with asyncio.timeout(60):
            return await self.process.wait()

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


@asynccontextmanager
async def served(folder: Path, **environment: str) -> AsyncIterator[Server]:
    """`toolgate serve` in `folder`, ready; it is killed at the end of the block if it still runs."""
    said = folder / "stderr"
    with said.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "toolgate", "serve", "--json", "--port", "0"),
            cwd=folder,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(STARTING):
            line = await process.stdout.readline()
        assert line, said.read_text()
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60), trust_env=False
        ) as client:
            yield Server(json.loads(line)["url"], process, client, said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def terminal(folder: Path, *words: str) -> Any:
    """What a command of Toolgate says as JSON."""
    ran = subprocess.run([sys.executable, "-m", "toolgate", *words, "--json"], cwd=folder, capture_output=True, text=True, timeout=STARTING)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


class Told:
    """What the audit tells of calls of our tool: notes of calls, by the type of the event."""

    def __init__(self, state: Path) -> None:
        self.events = [entry.body for entry in records(state / "toolgate.db")]
        intents = {event["call"]: event for event in self.events if event["type"] == "call.intent"}
        self.note = {call: event["arguments"]["values"]["note"] for call, event in intents.items()}
        self.intents = sorted(self.note.values())
        self.outcomes = sorted(self.note[call] for call in self.ended("call.outcome") if call in self.note)
        """Of calls that had an intent."""
        self.unknown = sorted(self.note[call] for call in self.ended("call.unknown"))

    def ended(self, type: str) -> list[str]:
        return [event["call"] for event in self.events if event["type"] == type]


@asynccontextmanager
async def ledger(state: Path) -> AsyncIterator[Ledger]:
    """The books, from another process than the server's."""
    async with open_stores("sqlite", state) as stores:
        yield stores.ledger


async def of_the_day(state: Path, scope: str = "user") -> Balance:
    """What the only caller has spent today."""
    async with ledger(state) as books:
        [found] = [one for one in await books.balances() if (one.account.scope, one.every) == (scope, "day")]
    return found


@contextmanager
def gone_is_fine() -> Iterator[None]:
    """A server that was killed answers nobody."""
    try:
        yield
    except (aiohttp.ClientError, ConnectionError):
        return


async def adding(server: Server, at_once: int, answered: list[str], prefix: str = "") -> None:
    """Add things until the server is gone; `answered` gets the notes of those that it said were added."""
    numbers = iter(range(10**9))

    async def caller() -> None:
        while True:
            note = f"{prefix}{next(numbers)}"
            answer = await server.add(note)
            assert answer.status == 200, answer.text
            answered.append(answer.value["structured"]["added"])

    async def until_gone() -> None:
        with gone_is_fine():
            await caller()

    async with asyncio.TaskGroup() as callers:
        for _ in range(at_once):
            callers.create_task(until_gone())


__all__: Sequence[str] = ("Things", "Told", "adding", "lay_out", "ledger", "of_the_day", "served", "terminal")
