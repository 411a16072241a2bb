"""MCP clients as they are told over HTTP, each connected to a whole gate in its own way."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio.abc import TaskStatus
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client
from mcp.client.stdio import stdio_client
from mcp_types import Implementation

from tests.api.test_audit import as_described
from toolgate.app import App, asgi, open_app
from toolgate.server.keys import Keys
from toolgate.server.listen import listen
from toolgate.settings import Caller, Settings

INFO = Implementation(name="<b>desk</b>", version="3.1")
HANDSHAKE = "2025-11-25"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[str, App]]:
    settings = Settings(integrations=("internal",), data_dir=folder, server={"port": 0})  # type: ignore[arg-type]
    stop = anyio.Event()
    async with open_app(settings) as app, asgi(app) as application, anyio.create_task_group() as tasks:

        async def run(*, task_status: TaskStatus[str]) -> None:
            await listen(application, settings.server, ready=task_status.started, stop=stop)

        yield await tasks.start(run), app
        stop.set()


async def told(url: str, app: App, owner: str = "root", role: str = "admin") -> list[Mapping[str, Any]]:
    _, key = await Keys(app.stores.records).create(owner, Caller(roles=(role,), tier="pro"))
    async with httpx2.AsyncClient(base_url=url) as client:
        answer = await client.get("/v1/clients", headers={"authorization": f"Bearer {key}"})
    as_described("GET", "/v1/clients", answer)
    return list(answer.json()["clients"])


@pytest.mark.parametrize(
    ("way", "protocol", "transport", "sessions"),
    [
        ("rounds", "2026-07-28", "streamable-http", None),
        ("handshake", HANDSHAKE, "streamable-http", 1),
        ("sse", HANDSHAKE, "sse", 1),
    ],
)
async def test_a_connected_client_is_told_with_its_era_transport_sessions_and_last_call(
    tmp_path: Path, way: str, protocol: str, transport: str, sessions: int | None
) -> None:
    async with serving(tmp_path) as (url, app):
        target: Any = sse_client(f"{url}/sse") if way == "sse" else f"{url}/mcp"
        with anyio.fail_after(20):
            async with Client(target, mode="2026-07-28" if way == "rounds" else "legacy", client_info=INFO) as client:
                await client.call_tool("internal_list_issues", {})
                [while_it_lasts] = await told(url, app)
        with anyio.fail_after(20):
            while [each["sessions"] for each in await told(url, app)] not in ([0], [None]):
                await anyio.sleep(0.05)
        others = await told(url, app, "bob", "readonly")

    about = {name: while_it_lasts[name] for name in ("name", "version", "protocol", "transport", "principal", "sessions")}
    expected = {"name": "<b>desk</b>", "version": "3.1", "protocol": protocol, "transport": transport, "principal": "anonymous"}
    assert about == {**expected, "sessions": sessions}
    assert while_it_lasts["last_call"]["tool"] == "internal_list_issues"
    assert others == []


async def test_of_a_client_that_only_calls_the_short_way_is_heard_too(tmp_path: Path) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "curt", "version": "1"},
    }
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "internal_list_issues", "arguments": {}, "_meta": meta},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "internal_list_issues",
    }
    async with serving(tmp_path) as (url, app):
        async with httpx2.AsyncClient(base_url=url) as client:
            assert "result" in (await client.post("/mcp", json=message, headers=headers)).json()
        [one] = await told(url, app)

    assert (one["name"], one["sessions"]) == ("curt", None)


async def test_a_client_over_stdio_is_seen_from_other_processes_on_the_store(tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").write_text(json.dumps({"integrations": ["internal"], "data_dir": "."}))
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "toolgate", "serve", "--stdio", "--config", str(tmp_path / "toolgate.yaml")]
    )
    with anyio.fail_after(60):
        async with Client(stdio_client(server), mode="legacy", client_info=INFO) as client:
            await client.list_tools()
    async with serving(tmp_path) as (url, app):
        [one] = await told(url, app)

    assert (one["name"], one["transport"], one["sessions"]) == ("<b>desk</b>", "stdio", 0)
    assert one["principal"].startswith("local:")
