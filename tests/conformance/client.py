"""The client that the suite starts: a real client of ours behind a whole gateway, so that what its servers see is our upstream side.

    suite's server ◀── upstream/ ── gateway ◀── the SDK's client, doing what the scenario wants

Run by the suite as `python -m tests.conformance.client URL`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.examples import example
from toolgate.app import App, asgi, open_app
from toolgate.settings import read_settings
from toolgate.standin import serving

SCENARIO = "MCP_CONFORMANCE_SCENARIO"
VERSION = os.environ.get("MCP_CONFORMANCE_PROTOCOL_VERSION", "2026-07-28")
CONTEXT: Mapping[str, Any] = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
SETTINGS = {
    "tool_specs": ["specs"],
    "policies": "policies",
    "data_dir": "state",
    "server": {"port": 0},
    "anonymous": {"roles": ["reader"], "tier": "enterprise"},
    "limits": {"repeats": {"calls": None}},
}
ROLE = {"role": "reader", "permissions": [{"id": "reader.all", "tools": "*"}]}
NETWORKS = ["127.0.0.0/8", "::1/128"]


def declared(folder: Path, url: str, **more: Any) -> Path:
    """The settings file of a gateway before the server at `url`."""
    declaration = {"name": "suite", "kind": "mcp", "url": url, "prefix": "", "allow_networks": NETWORKS, "prices": {"default": 0}, **more}
    for name, value in {
        "specs/suite/integration.yaml": declaration,
        "policies/roles/reader.yaml": ROLE,
        "toolgate.yaml": SETTINGS,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(value))
    return folder / "toolgate.yaml"


@asynccontextmanager
async def standing(settings: Path) -> AsyncIterator[tuple[Client, App]]:
    """A client of the era that is asked for, before a gateway."""
    async with open_app(read_settings(settings, {})) as app, asgi(app) as application, serving(application) as url:
        mode: Any = "legacy" if VERSION < "2026-07-28" else "2026-07-28"
        async with Client(
            f"{url}/mcp", mode=mode, elicitation_callback=accept, sampling_callback=sample, list_roots_callback=roots
        ) as client:
            yield client, app


async def accept(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
    """A yes, and what the form proposes (SEP-1034)."""
    fields = params.requested_schema.get("properties", {}) if isinstance(params, types.ElicitRequestFormParams) else {}
    content = {name: field["default"] for name, field in fields.items() if "default" in field}
    return types.ElicitResult(action="accept", content=content or {"confirmed": True})


async def sample(context: Any, params: Any) -> types.CreateMessageResult:
    return types.CreateMessageResult(role="assistant", content=types.TextContent(type="text", text=""), model="none")


async def roots(context: Any) -> types.ListRootsResult:
    return types.ListRootsResult(roots=[])


async def add(client: Client) -> None:
    await client.call_tool("add_numbers", {"a": 5, "b": 3})


async def reconnect(client: Client) -> None:
    await client.call_tool("test_reconnection", {})


async def only_list(client: Client) -> None:
    await client.list_tools()


async def echo_schema(client: Client) -> None:
    tools = (await client.list_tools()).tools
    (focal,) = (tool for tool in tools if tool.name == "json_schema_2020_12_tool")
    await client.call_tool("json_schema_echo", {"schema": focal.input_schema})


async def touch_everything(client: Client) -> None:
    for tool in (await client.list_tools()).tools[:1]:
        await client.call_tool(tool.name, example(tool.input_schema, full=False))
    for resource in (await client.list_resources()).resources[:1]:
        await client.read_resource(resource.uri)
    for prompt in (await client.list_prompts()).prompts[:1]:
        await client.get_prompt(prompt.name)


async def call_all(client: Client) -> None:
    for tool in (await client.list_tools()).tools:
        with suppress(MCPError):
            await client.call_tool(tool.name, example(tool.input_schema, full=False))


async def call_as_told(client: Client) -> None:
    listed = {tool.name for tool in (await client.list_tools()).tools}
    for call in CONTEXT.get("toolCalls", []):
        if call["name"] in listed:
            with suppress(MCPError):
                # The gate holds arguments against the schema, and a null of a boolean is none: it is left out, as a caller has to.
                given = {name: value for name, value in (call.get("arguments") or {}).items() if value is not None}
                await client.call_tool(call["name"], given)


async def elicit(client: Client) -> None:
    await client.call_tool("test_client_elicitation_defaults", {})


async def rounds(client: Client) -> None:
    for name in ("test_mrtr_echo_state", "test_mrtr_unrelated", "test_mrtr_no_state", "test_mrtr_no_result_type"):
        await client.call_tool(name, {})


ACTS: Mapping[str, Callable[[Client], Awaitable[None]]] = {
    "initialize": only_list,
    "tools_call": add,
    "request-metadata": call_all,
    "sse-retry": reconnect,
    "elicitation-sep1034-client-defaults": elicit,
    "json-schema-ref-no-deref": only_list,
    "json-schema-2020-12-preservation": echo_schema,
    "http-standard-headers": touch_everything,
    "http-invalid-tool-headers": call_all,
    "http-custom-headers": call_as_told,
    "sep-2322-client-request-state": rounds,
}
"""What is done in each scenario."""


async def main(scenario: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as folder, anyio.fail_after(25):
        async with standing(declared(Path(folder), url)) as (client, _):
            await ACTS[scenario](client)


if __name__ == "__main__":
    anyio.run(main, os.environ[SCENARIO], sys.argv[1])
