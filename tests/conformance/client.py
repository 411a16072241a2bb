"""The client that the suite starts: a real client of ours behind a whole gateway, so that what its servers see is our upstream side.

    suite's server ◀── upstream/ ── gateway ◀── the SDK's client, doing what the scenario wants

Run by the suite as `python -m tests.conformance.client URL`.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import httpx2
import mcp_types as types
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.examples import example
from toolgate.app import App, asgi, consent_of, open_app
from toolgate.cli.linking import waiting
from toolgate.egress.transport import open_transport
from toolgate.egress.wire import Reach, Request, Response, Sender
from toolgate.errors import ToolgateError
from toolgate.integration import Integration, read_integration
from toolgate.oauth.discover import Way, challenged, find
from toolgate.openapi.consent import ASKING, holder_of
from toolgate.settings import read_settings, state_folder
from toolgate.standin import serving
from toolgate.stores import open_stores
from toolgate.tasks import beside

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
    "identity": {"client": "https://conformance-test.local/client-metadata.json"},
}
ROLE = {"role": "reader", "permissions": [{"id": "reader.all", "tools": "*"}]}
SECRETS = {"client_secret": "client_secret", "private_key_pem": "private_key", "signing_algorithm": "algorithm"}
"""What the suite calls them, and what an integration does."""
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


async def by_credentials(folder: Path, url: str) -> None:
    """The extension for client credentials: no person takes part."""
    secret = {name: CONTEXT[key] for key, name in SECRETS.items() if key in CONTEXT}
    issuer, servers = await found(url)
    auth = {"type": "oauth2_client_credentials", "issuer": issuer, "client_id": CONTEXT["client_id"], **secret}
    async with standing(declared(folder, url, auth=auth, servers=servers)) as (client, _):
        await call_all(client)


async def by_consent(folder: Path, url: str) -> None:
    """A person consents, and consents to more when a server wants more; at most twice, or it would never end."""
    scopes = ""
    for _ in range(3):
        issuer, servers = await found(url)  # each time: a server may have gone over to another issuer meanwhile
        auth: dict[str, Any] = {"type": "oauth2_authorization_code"}
        if "client_id" in CONTEXT:
            secret = {name: CONTEXT[key] for key, name in SECRETS.items() if key in CONTEXT}
            auth |= {"issuer": issuer, "client_id": CONTEXT["client_id"], **secret}
        settings = declared(folder, url, auth=auth, servers=servers)
        await consent(settings, scopes.split())
        async with standing(settings) as (client, app):
            said = [source.upstream.problem or "" for source in app.roster.sources.all]
            for tool in (await client.list_tools()).tools:
                said += [str(block) for block in (await client.call_tool(tool.name, {})).content]
        again = re.search(r"toolgate credentials link(?:.*--scope '([^']*)')?|answered 401", " ".join(said))
        if again is None:
            return
        scopes = again[1] or ""


@dataclass
class Known:
    """Reaches whatever is on this machine, and remembers where it was: what an operator knows who sets a server up here."""

    sender: Sender
    origins: set[str] = field(default_factory=set)

    async def send(self, request: Request, *, reach: Reach, **more: Any) -> Response:
        self.origins |= reach.origins
        return await self.sender.send(request, reach=replace(reach, networks=tuple(map(ip_network, NETWORKS))), **more)


async def found(url: str) -> tuple[str | None, list[str]]:
    """Who gives tokens for the server at `url`, and the origins that are asked about that."""
    async with open_transport() as transport:
        known = Known(transport)
        way = Way(known, Integration(name="suite", kind="mcp", url=url))
        issuer = None
        with suppress(ToolgateError):
            issuer = (await find(way, url, await challenged(way, url, body=ASKING))).server.issuer
        return issuer, sorted(known.origins)


async def consent(path: Path, scopes: Sequence[str]) -> None:
    """What `toolgate credentials link` does, with a browser that says yes to everything."""
    settings = read_settings(path, {})
    integration = read_integration(path.parent / "specs" / "suite", {})
    holder = holder_of(integration, "default", "local:ada", shared=True)
    async with open_stores(settings.store, state_folder(settings)) as stores, open_transport() as transport, waiting(0) as browser:
        consents = consent_of(settings, stores, transport)
        started = await consents.begin(integration, holder, browser.redirect, scopes)
        async with beside() as tasks, httpx2.AsyncClient() as http:
            tasks.start_soon(partial(http.get, started.url, follow_redirects=True))
            query = await browser.answer(started.state, 60)
        await consents.finish(integration, holder, started, query)


async def main(scenario: str, url: str) -> None:
    with tempfile.TemporaryDirectory() as name, anyio.fail_after(110):
        folder = Path(name)
        if scenario.startswith("auth/"):
            await (by_credentials if scenario.startswith("auth/client-credentials") else by_consent)(folder, url)
            return
        async with standing(declared(folder, url)) as (client, _):
            await ACTS[scenario](client)


if __name__ == "__main__":
    anyio.run(main, os.environ[SCENARIO], sys.argv[1])
