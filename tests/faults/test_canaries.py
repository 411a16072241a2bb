"""No secret comes out anywhere: each is planted once, every face is driven over stand-ins that repeat all they are shown.

Case F21 of docs/reliability.md, for everything that holds a secret beside the credential of an integration.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.api.test_consents import code_on
from tests.api.test_consents import world as consenting
from tests.faults.serving import ENVELOPE, MODERN
from toolgate.app import App, asgi, open_app
from toolgate.calls import Call, Outcome
from toolgate.gateway import build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.keys import Keys
from toolgate.settings import Caller, Settings, bundled, read_settings
from toolgate.standin import serving
from toolgate.stores.memory import memory_stores
from toolgate.testing import a_principal, a_tool

NAMES = "bearer query basic provider_openai provider_anthropic provider_compatible webhook argument"
SECRETS = {name: f"canary-{number}-{name}-{'q7' * 8}" for number, name in enumerate(NAMES.split())}
OF_THE_CLIENT = ("httpx2", "httpcore2.http11", "httpcore2.connection")
"""Loggers of what this test uses itself, in the same process."""
STATUSES = (200, 201, 302, 400, 401, 403, 404, 422, 429, 500, 503)
ASKS = [
    (status, path, stream)
    for status in (200, 302, 400, 401, 404, 429, 500, 529)
    for path in ("chat/completions", "responses")
    for stream in (False, True)
]
"""What a provider is asked, each of a model of its own: one that failed is left alone, and hears no more."""
OPERATION: Mapping[str, Any] = {
    "parameters": [{"name": "status", "in": "path", "required": True, "schema": {"type": "integer"}}],
    "requestBody": {
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "properties": {"pass_phrase": {"type": "string", "format": "password"}, "note": {"type": "string"}},
                }
            }
        }
    },
    "responses": {"default": {"description": "Whatever."}},
}


@dataclass
class Gossip:
    """Answers with all that it is shown, in its body and its headers, with the status that the path asks for, or `status`."""

    status: int = 500
    heard: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/{path:path}", self.answer, methods=["GET", "POST"])])

    async def answer(self, request: Request) -> Response:
        last = request.url.path.rpartition("/")[2]
        shown = {"url": str(request.url), "headers": dict(request.headers)}
        self.heard.append(json.dumps(shown) + (await request.body()).decode())
        authorization = request.headers.get("authorization", "")
        basic = base64.b64decode(authorization[6:]).decode() if authorization.startswith("Basic ") else ""
        said = json.dumps(shown | {"decoded": basic})
        status = int(last) if last.isdigit() else self.status
        error = {"message": f"the key {said} is not good", "type": f"{authorization}", "code": authorization, "param": authorization}
        headers = {
            "x-echo": authorization,
            "www-authenticate": f'Bearer error="{authorization}"',
            "retry-after": "0",
            "x-should-retry": "false",
        }
        if status // 100 == 3:
            headers["location"] = f"{request.url}?again={authorization}"
        return JSONResponse({"error": error, "echo": said, "message": said, "detail": said}, status, headers)


@dataclass
class Sinks:
    """Everywhere that something could come out."""

    state: Path
    log: pytest.LogCaptureFixture
    spans: InMemorySpanExporter
    answers: list[str] = field(default_factory=list)

    def __call__(self) -> Mapping[str, str]:
        kept = b"".join(file.read_bytes() for file in self.state.rglob("*") if file.is_file()).decode(errors="replace")
        spans = "".join(span.to_json() for span in self.spans.get_finished_spans())
        logged = "".join(self.log.handler.format(record) for record in self.log.records if record.name not in OF_THE_CLIENT)
        return {"answers": "".join(self.answers), "log": logged, "spans": spans, "store": kept}


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()


def lay_out(folder: Path, url: str) -> None:
    auths: Mapping[str, Mapping[str, Any]] = {
        "bearer": {"type": "bearer", "token": SECRETS["bearer"]},
        "query": {"type": "api_key", "in": "query", "name": "k", "value": SECRETS["query"]},
        "basic": {"type": "basic", "username": "u", "password": SECRETS["basic"]},
    }
    for name, auth in auths.items():
        place = folder / "specs" / name
        place.mkdir(parents=True)
        post = {"operationId": "send", "summary": "Send it", **OPERATION}
        (place / "openapi.json").write_text(
            json.dumps({"openapi": "3.1.0", "info": {"title": name, "version": "1"}, "paths": {"/{status}": {"post": post}}})
        )
        declared = {
            "name": name,
            "spec": "openapi.json",
            "base_url": url,
            "allow_networks": ["127.0.0.0/8"],
            "auth": auth,
            "prices": {"default": 0},
        }
        (place / "integration.yaml").write_text(json.dumps(declared))
    (folder / "specs" / "internal").symlink_to(bundled("tool-specs") / "internal")
    own = {
        "tool_specs": ["specs"],
        "data_dir": "state",
        "anonymous": None,
        "limits": {"repeats": {"calls": None}},
        "upstreams": {"failures": 1000, "attempts": 1},
        "server": {"port": 0},
        "providers": {
            kind: {
                "kind": kind,
                "base_url": url if kind == "anthropic" else f"{url}/v1",
                "api_key": SECRETS[f"provider_{kind}"],
                "models": [f"m{number}" for number in range(len(ASKS))],
            }
            for kind in ("openai", "anthropic", "compatible")
        },
        "models": {"attempts": 1},
        "workflows": {
            "w": {"kind": "n8n", "url": f"{url}/hook/500", "headers": {"x-key": SECRETS["webhook"]}, "allow_networks": ["127.0.0.0/8"]}
        },
    }
    (folder / "toolgate.yaml").write_text(json.dumps(own))


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[tuple[App, httpx2.AsyncClient, str, Gossip]]:
    gossip = Gossip()
    async with serving(gossip.app()) as url:
        lay_out(folder, url)
        settings = read_settings(folder / "toolgate.yaml", {})
        async with open_app(settings) as app, asgi(app) as application, serving(application) as ours:
            _, key = await Keys(app.stores.records).create("ada", Caller(roles=("admin",), tier="enterprise"))
            async with httpx2.AsyncClient(base_url=ours, trust_env=False, timeout=60) as client:
                yield app, client, key, gossip


async def test_what_others_repeat_of_our_secrets_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, exporter: InMemorySpanExporter
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter.clear()
    sinks = Sinks(tmp_path / "state", caplog, exporter)
    async with world(tmp_path) as (app, client, key, gossip):
        shown = {"authorization": f"Bearer {key}"}

        async def ask(path: str, body: Any = None, **headers: str) -> httpx2.Response:
            answer = await (
                client.get(path, headers=shown | headers) if body is None else client.post(path, json=body, headers=shown | headers)
            )
            sinks.answers.append(answer.text + str(answer.headers))
            return answer

        for name in ("bearer", "query", "basic"):
            for status in STATUSES:
                arguments = {"status": status, "pass_phrase": SECRETS["argument"], "note": "x"}
                await ask(f"/v1/tools/{name}_send/call", {"arguments": arguments})
                params = {"name": f"{name}_send", "arguments": arguments, "_meta": ENVELOPE}
                await ask(
                    "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, **(MODERN | {"mcp-name": f"{name}_send"})
                )
                job = await ask("/v1/tools/internal_submit_job/call", {"arguments": {"tool": f"{name}_send", "arguments": arguments}})
                await ask("/v1/tools/internal_get_job/call", {"arguments": {"id": job.json()["structured"]["id"], "wait": 5}})
        await ask("/v1/tools/internal_run_workflow/call", {"arguments": {"name": "w", "input": {}}})
        for kind in ("openai", "anthropic", "compatible"):
            for number, (gossip.status, path, stream) in enumerate(ASKS):
                said = [{"role": "user", "content": f"Hi {gossip.status}"}]
                before = len(gossip.heard)
                await ask(
                    f"/v1/{path}",
                    {"model": f"{kind}/m{number}", "messages" if path == "chat/completions" else "input": said, "stream": stream},
                )
                assert len(gossip.heard) > before
        for path in ("integrations", "providers", "audit?limit=1000", "usage", "runs", "tools"):
            await ask(f"/v1/{path}")
        await ask("/metrics")
        signed = await client.post("/console/session", json={"key": key})
        cookie = signed.cookies.popitem()[1] if signed.cookies else ""
        seen = repr((app, app.settings, app.gateway, app.models, app.integrations)) + app.settings.model_dump_json()
    everything = {**sinks(), "repr": seen}

    heard = "".join(gossip.heard)
    secrets = SECRETS | {"key": key.split("_")[2], "cookie": cookie}
    assert {
        name
        for name in SECRETS
        if name in ("bearer", "query", "webhook", "argument", "provider_openai", "provider_anthropic", "provider_compatible")
        and secrets[name] not in heard
    } == set()
    found = {(name, sink) for name, secret in secrets.items() for sink, text in everything.items() if secret in text}
    assert found == set()
    assert all(everything.values())


async def test_a_bugs_words_are_in_no_span(exporter: InMemorySpanExporter) -> None:
    async def broken(call: Call) -> Outcome:
        raise RuntimeError(f"cannot use {call.arguments['word']}")

    exporter.clear()
    schema = {"type": "object", "properties": {"word": {"type": "string"}}}
    policy = Policy([Role(role="reader", permissions=(Permission(id="all", tools="*"),))])
    gateway = build_gateway([a_tool(broken, name="broken", schema=schema)], policy, memory_stores(), Settings())
    with pytest.raises(RuntimeError):
        await gateway.call("broken", {"word": SECRETS["argument"]}, a_principal("reader"))

    (span,) = exporter.get_finished_spans()
    assert (span.name, (span.attributes or {})["error.type"], span.status.status_code) == (
        "execute_tool broken",
        "RuntimeError",
        StatusCode.ERROR,
    )
    assert SECRETS["argument"] not in span.to_json()


async def test_a_secret_in_the_place_of_a_tools_name_is_in_no_span(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    gateway = build_gateway([], Policy([]), memory_stores(), Settings())

    await gateway.call("ghp_abcdefghijklmnopqrstuvwxyz", {}, a_principal("reader"))

    (span,) = exporter.get_finished_spans()
    assert span.name == "execute_tool [redacted]"
    assert "abcdefgh" not in span.to_json()


async def test_what_an_authorization_server_gives_and_repeats_goes_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, exporter: InMemorySpanExporter
) -> None:
    caplog.set_level(logging.DEBUG)
    exporter.clear()
    sinks, said = Sinks(tmp_path / "state", caplog, exporter), []
    async with consenting(tmp_path) as here:
        began = await here.begin("ada")
        page = await here.visit(began.json()["url"])
        said += [await here.confirm("ada", code_on(page)), page]
        for name, tool in (("ada", "read"), ("ada", "write"), ("eve", "read")):
            said.append(await here.callers[name].post(f"/v1/tools/{tool}/call", json={"arguments": {}}))
        authority = here.authority
        given = [*authority.tokens, *authority.refreshes, *(form[name] for form in authority.forms for name in ("code", "code_verifier"))]
        authority.tokens.clear()  # all are revoked
        authority.refreshes.clear()
        said.append(await here.callers["ada"].post("/v1/tools/read/call", json={"arguments": {}}))
        seen = repr((here.app.own, here.app.own.links, here.app.roster.sources))
    sinks.answers = [answer.text + str(answer.headers) for answer in said]
    everything = {**sinks(), "repr": seen}

    assert len(given) >= 6
    assert all(everything.values())
    assert {(secret, sink) for secret in given for sink, text in everything.items() if secret in text} == set()
