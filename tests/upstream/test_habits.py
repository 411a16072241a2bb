"""Servers that say less, or more, or otherwise than the protocol has it, as servers in use do: each is served all the same."""

from __future__ import annotations

from typing import Any

import anyio
import orjson
import pytest
from mcp import Client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.upstream.conftest import Behind
from toolgate.app import asgi
from toolgate.standin import serving

ECHO: dict[str, Any] = {"name": "echo", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}}}
HELLO: dict[str, Any] = {"type": "text", "text": "hello"}
HEARTBEATS = b': hello\r\n\r\nevent: ping\r\ndata: 07:00\r\n\r\ndata: {"type":"heartbeat"}\n\nevent:\ndata: '
NULLS = dict.fromkeys(("title", "description", "outputSchema", "annotations", "_meta", "icons"))
HABITS = (
    "says accepted in words",
    "says ok in JSON",
    "writes ids as texts",
    "writes ids as floats",
    "writes null where there is no error",
    "lets its heart be heard",
    "begins with a byte order mark",
    "begins its streams with a byte order mark",
    "promises prompts and has no such method",
    "has null for an empty list",
    "has null for whatever is not there",
    "names the empty page as the next one",
    "names the same page as the next one",
    "has null for no content",
)


class Habitual:
    """A server of the handshake eras over Streamable HTTP, without a stream of its own."""

    def __init__(self, habit: str) -> None:
        self._habit = habit

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/mcp", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        message = orjson.loads(await request.body())
        if "id" not in message:
            return self._noted()
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": self._id(message["id"]), "result": self._result(message["method"])}
        if reply["result"] is None:
            reply = {"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "Method not found"}}
        elif self._habit == "writes null where there is no error":
            reply["error"] = None
        return self._sent(orjson.dumps(reply))

    def _noted(self) -> Response:
        match self._habit:
            case "says accepted in words":
                return PlainTextResponse("Accepted", 202)
            case "says ok in JSON":
                return Response(b'{"status":"ok"}', media_type="application/json")
        return Response(status_code=202)

    def _id(self, number: int) -> Any:
        return {"writes ids as texts": str(number), "writes ids as floats": float(number)}.get(self._habit, number)

    def _sent(self, reply: bytes) -> Response:
        match self._habit:
            case "lets its heart be heard":
                return Response(HEARTBEATS + reply + b"\n\n", media_type="text/event-stream")
            case "begins with a byte order mark":
                return Response(b"\xef\xbb\xbf" + reply, media_type="application/json")
            case "begins its streams with a byte order mark":
                return Response(b"\xef\xbb\xbfdata: " + reply + b"\n\n", media_type="text/event-stream")
        return Response(reply, media_type="application/json")

    def _result(self, method: str) -> dict[str, Any] | None:
        """None: it has no such method."""
        match self._habit, method:
            case "promises prompts and has no such method" | "has null for an empty list", "initialize":
                return _greeting({"tools": {}, "prompts": {}, "resources": {}})
            case "has null for whatever is not there", "initialize":
                return {**_greeting({"tools": {"listChanged": None}, "prompts": None, "resources": None}), "instructions": None}
            case "has null for an empty list", "prompts/list":
                return {"prompts": None}
            case "has null for an empty list", "resources/list":
                return {"resources": None}
            case "has null for an empty list", "resources/templates/list":
                return {}
            case "has null for whatever is not there", "tools/list":
                return {"tools": [{**ECHO, **NULLS}], "nextCursor": None, "_meta": None}
            case "names the empty page as the next one", "tools/list":
                return {"tools": [ECHO], "nextCursor": ""}
            case "names the same page as the next one", "tools/list":
                return {"tools": [ECHO], "nextCursor": "2"}
            case "has null for whatever is not there", "tools/call":
                block = {**HELLO, "annotations": None, "_meta": None}
                return {"content": [block], "structuredContent": None, "isError": None, "_meta": None}
            case "has null for no content", "tools/call":
                return {"content": None, "structuredContent": {"said": "hello"}}
            case _, "initialize":
                return _greeting({"tools": {}})
            case _, "tools/list":
                return {"tools": [ECHO]}
            case _, "tools/call":
                return {"content": [HELLO]}
        return None


def _greeting(capabilities: dict[str, Any]) -> dict[str, Any]:
    return {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": {"name": "habitual", "version": "1"}}


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("habit", HABITS)
async def test_a_server_that_has_a_habit_is_served(behind: Behind, habit: str, mode: Any) -> None:
    async with serving(Habitual(habit).app()) as url:
        declaration = {"url": f"{url}/mcp", "allow_networks": ["127.0.0.0/8"], "prefix": ""}
        async with behind(theirs=declaration) as app, asgi(app) as application, serving(application) as ours:
            with anyio.fail_after(30):
                async with Client(f"{ours}/mcp", mode=mode) as client:
                    result = await client.call_tool("echo", {"text": "hello"})

    assert not result.is_error
    assert "hello" in str(result.content)
