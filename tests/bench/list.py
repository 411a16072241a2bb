"""A complete `tools/list` of GitHub's 1,223 tools, through the real application, over its pages."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import orjson

from tests.bench.common import cpu, github_folder, tell
from toolgate.app import asgi, open_app
from toolgate.settings import Caller, Server, Settings

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def ask(application: Any, params: dict[str, Any]) -> dict[str, Any]:
    body = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {**params, "_meta": META}})
    headers = {
        "host": "127.0.0.1:8765",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/list",
        "content-length": str(len(body)),
    }
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/mcp",
        "raw_path": b"/mcp",
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8765),
        "state": {},
    }
    asked, answered = False, b""

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked:
            await asyncio.Event().wait()
        asked = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        nonlocal answered
        answered += message.get("body", b"")

    await application(scope, receive, send)
    result: dict[str, Any] = orjson.loads(answered)["result"]
    return result | {"bytes": len(answered)}


async def everything(application: Any) -> tuple[int, int]:
    tools, size = 0, 0
    params: dict[str, Any] = {}
    while True:
        page = await ask(application, params)
        tools, size = tools + len(page["tools"]), size + page["bytes"]
        if "nextCursor" not in page:
            return tools, size
        params = {"cursor": page["nextCursor"]}


async def main() -> None:
    with tempfile.TemporaryDirectory() as base:
        github_folder(Path(base))
        settings = Settings(
            tool_specs=(Path(base),),
            data_dir=Path(base) / "state",
            store="memory",
            server=Server(page_size=2000),
            anonymous=Caller(roles=("admin",)),
        )
        async with open_app(settings) as app, asgi(app) as application:
            before = cpu()
            tools, size = await everything(application)
            first = cpu() - before
            before = cpu()
            for _ in range(10):
                await everything(application)
            tell({"tools": tools, "MB": size / 1e6, "first CPU ms": first * 1e3, "then CPU ms": (cpu() - before) * 100})


asyncio.run(main())
