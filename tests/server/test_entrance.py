"""The whole way in, over the composed application: keys, tokens, challenges, and what nobody may see of them."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import jwt
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tests.server.issuing import ec
from toolgate.app import App, asgi, open_app, routes
from toolgate.server.http import McpFace
from toolgate.server.keys import Keys
from toolgate.server.resource import Resource
from toolgate.settings import Caller, Identity, Server, Settings
from toolgate.standin import serving
from toolgate.testing import raw_server

BASE = "http://127.0.0.1:8765"
DEVELOPER = Caller(roles=("developer",), tier="pro")
ADMIN = Caller(roles=("admin",), tier="enterprise")
API: Mapping[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "paths": {
        "/items": {
            "get": {"operationId": "list_items", "responses": {"200": {"description": "Items."}}},
            "post": {"operationId": "add_item", "responses": {"201": {"description": "Added."}}},
        }
    },
}
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
ACCEPT = {"accept": "application/json, text/event-stream"}
MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass
class World:
    app: App
    client: httpx2.AsyncClient

    async def get(self, path: str, shown: str | None = None) -> httpx2.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {shown}"} if shown else {})

    async def call(self, name: str, shown: str | None = None, **arguments: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {shown}"} if shown else {}
        return await self.client.post(f"/v1/tools/{name}/call", json={"arguments": arguments}, headers=headers)

    async def mcp(self, method: str, params: Mapping[str, Any], shown: str, **headers: str) -> httpx2.Response:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return await self.client.post("/mcp", json=body, headers={**ACCEPT, "authorization": f"Bearer {shown}", **headers})

    async def audit(self, type: str) -> Sequence[Mapping[str, Any]]:
        return [entry.body for entry in await self.app.stores.journal.read("audit", limit=1000) if entry.body["type"] == type]

    async def key(self, caller: Caller = DEVELOPER, owner: str = "ada", **more: Any) -> str:
        return (await Keys(self.app.stores.records).create(owner, caller, **more))[1]


def declare(folder: Path, base_url: str, auth: Mapping[str, Any]) -> Path:
    shop = folder / "specs" / "shop"
    shop.mkdir(parents=True, exist_ok=True)
    (shop / "openapi.json").write_text(json.dumps(API))
    declaration = {"name": "shop", "spec": "openapi.json", "base_url": base_url, "auth": auth, "allow_networks": ["127.0.0.0/8"]}
    (shop / "integration.yaml").write_text(json.dumps(declaration))
    return folder / "specs"


@asynccontextmanager
async def world(
    folder: Path, base_url: str = "http://127.0.0.1:9", auth: Mapping[str, Any] | None = None, **more: Any
) -> AsyncIterator[World]:
    specs = declare(folder, base_url, auth or {"type": "none"})
    values = {"tool_specs": (specs,), "store": "memory", "data_dir": folder / "state", "anonymous": None, **more}
    async with open_app(Settings(**values)) as app, asgi(app) as application:
        transport = httpx2.ASGITransport(application, client=("192.0.2.7", 50000))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield World(app, client)


# An issuer on loopback, so that its keys are fetched over the real way out.


class Provider:
    def __init__(self) -> None:
        self.url = ""
        self.exchanged: list[Mapping[str, str]] = []

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/keys", self._keys),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _metadata(self, _request: Request) -> JSONResponse:
        return JSONResponse({"issuer": self.url, "jwks_uri": f"{self.url}/keys"})

    async def _keys(self, _request: Request) -> JSONResponse:
        return JSONResponse({"keys": [ec().public]})

    async def _token(self, request: Request) -> JSONResponse:
        form = dict(parse_qsl((await request.body()).decode()))
        self.exchanged.append(form)
        granted = f"exchanged-for-{len(self.exchanged)}-canary"
        return JSONResponse({"access_token": granted, "token_type": "Bearer", "expires_in": 300})

    def token(self, scope: str | None = "tools:read", **more: Any) -> str:
        now = time.time()
        claims = {
            "iss": self.url,
            "aud": f"{BASE}/mcp",
            "sub": "ada",
            "iat": now,
            "exp": now + 600,
            "scope": scope,
            "groups": ["eng"],
            **more,
        }
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(said, ec().private, algorithm="ES256", headers={"typ": "at+jwt", "kid": "ec-1"})

    def identity(self, **more: Any) -> Identity:
        issuer = {
            "issuer": self.url,
            "audience": [f"{BASE}/mcp", BASE],
            "name": "corp",
            "claims": {"roles": "groups"},
            "roles": {"eng": ["developer"], "ops": ["admin"]},
            "everyone": {"tier": "pro"},
            "allow_networks": ["127.0.0.0/8"],
        }
        return Identity.model_validate({"issuers": [issuer], **more})


@asynccontextmanager
async def a_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    async with serving(provider.app()) as url:
        provider.url = url
        yield provider


async def test_a_key_opens_every_face_and_nothing_else_does(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        key = await there.key()

        with_key, without = await there.get("/v1/tools", key), await there.get("/v1/tools")
        listed = await there.mcp("tools/list", {"_meta": MODERN}, key, **{"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/list"})

    assert [tool["name"] for tool in with_key.json()["tools"]] == ["shop_add_item", "shop_list_items"]
    assert [tool["name"] for tool in listed.json()["result"]["tools"]] == ["shop_add_item", "shop_list_items"]
    assert (without.status_code, without.headers["www-authenticate"]) == (401, 'Bearer realm="toolgate"')


@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer tg_aaaaaaaa_b_c")],
        [("authorization", "Bearer ")],
        [("authorization", "Basic YTpi")],
        [("authorization", "tg_aaaaaaaa")],
        [("authorization", "Bearer x"), ("authorization", "Bearer x")],
        [("authorization", "Bearer " + "x" * 8193)],
        [("authorization", "Bearer a.b.c")],
    ],
)
async def test_a_credential_that_is_not_taken_is_an_invalid_token(tmp_path: Path, headers: list[tuple[str, str]]) -> None:
    async with world(tmp_path, anonymous=Caller()) as there:
        answer = await there.client.get("/v1/tools", headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="toolgate", error="invalid_token"')
    assert answer.json()["problem"]["code"] == "not_identified"


async def test_every_route_without_a_credential_is_401_but_health_and_metadata(tmp_path: Path) -> None:
    async with a_provider() as provider, world(tmp_path, identity=provider.identity()) as there:
        app = there.app
        enumerated = [
            (path, method)
            for route in routes(app, McpFace(app.gateway, Server()), Resource(app.settings.identity))
            for path in ([route.path + "/x"] if isinstance(route, Mount) else [re.sub(r"\{[^}]*\}", "x", getattr(route, "path", ""))])
            for method in sorted(getattr(route, "methods", None) or {"GET", "POST", "DELETE"})
        ]
        seen = {}
        for path, method in enumerated:
            answer = await there.client.request(method, path, json={} if method == "POST" else None)
            seen[path, method] = answer.status_code

    assert {path for (path, _), status in seen.items() if status != 401} == {
        "/healthz",
        "/readyz",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp",
    }
    assert {"/mcp", "/sse", "/messages/x", "/v1/tools", "/v1/audit", "/openapi.json"} <= {path for path, _ in seen}


async def test_clients_find_the_issuer_from_the_first_refusal(tmp_path: Path) -> None:
    async with a_provider() as provider, world(tmp_path, identity=provider.identity()) as there:
        refused, bad = await there.client.post("/mcp", json={}), await there.get("/v1/tools", provider.token(exp=1))
        challenge = refused.headers["www-authenticate"]
        named = re.search(r'resource_metadata="([^"]*)"', challenge)
        assert named
        metadata, whole = await there.get(named[1]), await there.get("/.well-known/oauth-protected-resource")

    where = f"{BASE}/.well-known/oauth-protected-resource/mcp"
    assert challenge == f'Bearer resource_metadata="{where}", scope="tools:read"'
    assert bad.headers["www-authenticate"] == f'Bearer error="invalid_token", resource_metadata="{where}", scope="tools:read"'
    assert metadata.json() == {
        "resource": f"{BASE}/mcp",
        "resource_name": "Toolgate",
        "authorization_servers": [provider.url],
        "scopes_supported": ["tools:read", "tools:call"],
        "bearer_methods_supported": ["header"],
    }
    assert whole.json() == {**metadata.json(), "resource": BASE}


async def test_where_pages_of_our_host_come_by_https_the_resource_is_there_too(tmp_path: Path) -> None:
    server = Server(allowed_origins=(BASE.replace("http:", "https:"),))
    async with a_provider() as provider, world(tmp_path, identity=provider.identity(), server=server) as there:
        refused = await there.get("/v1/tools")
        metadata = await there.get("/.well-known/oauth-protected-resource/mcp")

    assert f'resource_metadata="https://{BASE.removeprefix("http://")}/' in refused.headers["www-authenticate"]
    assert metadata.json()["resource"] == f"https://{BASE.removeprefix('http://')}/mcp"


async def test_of_an_issuer_that_has_no_scopes_of_ours_none_are_asked_for(tmp_path: Path) -> None:
    async with a_provider() as provider:
        issuer = provider.identity().issuers[0].model_copy(update={"scoped": False})
        async with world(tmp_path, identity=Identity(issuers=(issuer,))) as there:
            refused = await there.get("/v1/tools")
            metadata = await there.get("/.well-known/oauth-protected-resource/mcp")
        async with world(tmp_path / "told", identity=Identity(issuers=(issuer,), scopes=("api://7/.default",))) as there:
            told = await there.get("/v1/tools")
            named = await there.get("/.well-known/oauth-protected-resource/mcp")

    assert "scope=" not in refused.headers["www-authenticate"]
    assert "scopes_supported" not in metadata.json()
    assert 'scope="api://7/.default"' in told.headers["www-authenticate"]
    assert named.json()["scopes_supported"] == ["api://7/.default"]


async def test_behind_a_proxy_the_resource_is_what_clients_know(tmp_path: Path) -> None:
    resource = "https://tools.example.com/gate/mcp"
    async with a_provider() as provider, world(tmp_path, identity=provider.identity(resource=resource)) as there:
        refused = await there.get("/v1/tools")
        path = "/.well-known/oauth-protected-resource/gate/mcp"
        metadata = await there.get(path)

    assert f'resource_metadata="https://tools.example.com{path}"' in refused.headers["www-authenticate"]
    assert metadata.json()["resource"] == resource


@pytest.mark.parametrize("path", ["/gate/v1/tools", "/v1/tools"])
async def test_a_proxys_path_may_be_left_before_ours_or_taken_away(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, identity=Identity(resource=f"{BASE}/gate/mcp")) as there:
        answer = await there.get(path, await there.key())
        beside = await there.get("/gatekeeper/v1/tools", await there.key())
        home = await there.get("/gate/")

    assert (answer.status_code, beside.status_code) == (200, 404)
    assert (home.status_code, home.headers["location"]) == (307, "/gate/console/")


async def test_without_an_issuer_there_is_no_metadata(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        assert (await there.get("/.well-known/oauth-protected-resource")).status_code == 401


async def test_a_call_beyond_the_scopes_is_403_and_names_every_scope_for_the_next_token(tmp_path: Path) -> None:
    async with a_provider() as provider, world(tmp_path, identity=provider.identity()) as there:
        shown = provider.token("tools:read tool:shop_list* openid", groups=["ops"])
        modern = {"mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "shop_add_item"}
        call = {"name": "shop_add_item", "arguments": {}}
        opened = await there.mcp(
            "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}, shown
        )
        session = {"mcp-session-id": opened.headers["mcp-session-id"], "mcp-protocol-version": "2025-06-18"}
        answers = {
            "v1": await there.call("shop_add_item", shown),
            "2026-07-28": await there.mcp("tools/call", {**call, "_meta": MODERN}, shown, **modern),
            "2025-06-18": await there.mcp("tools/call", call, shown, **session),
        }
        denied = await there.audit("call.denied")
        reads = await there.call("shop_list_items", shown)

    challenge = (
        f'Bearer error="insufficient_scope", resource_metadata="{BASE}/.well-known/oauth-protected-resource/mcp", '
        'scope="tool:shop_list* tools:call tools:read"'
    )
    assert {way: (answer.status_code, answer.headers["www-authenticate"]) for way, answer in answers.items()} == dict.fromkeys(
        answers, (403, challenge)
    )
    assert [line["decision"]["rule"] for line in denied] == ["scope"] * 3
    assert reads.status_code == 502  # let through, and nobody there


@pytest.mark.parametrize("scope", [None, "", "openid profile"])
async def test_a_token_with_no_scope_of_ours_is_told_what_to_ask_for(tmp_path: Path, scope: str | None) -> None:
    async with a_provider() as provider, world(tmp_path, identity=provider.identity()) as there:
        answer = await there.get("/v1/tools", provider.token(scope))

    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
    assert 'scope="tools:read"' in answer.headers["www-authenticate"]


async def test_too_many_refused_credentials_are_429_and_the_right_one_still_opens(tmp_path: Path) -> None:
    async with world(tmp_path, identity=Identity(failures=3)) as there:
        key = await there.key()
        wrong = f"{key[:12]}{'A' * 43}_000000"
        answers = [await there.get("/v1/tools", wrong) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60
        assert (await there.get("/v1/tools", key)).status_code == 200


async def test_tokens_that_have_only_expired_are_401_however_many_come_from_behind_one_proxy(tmp_path: Path) -> None:
    async with a_provider() as provider, world(tmp_path, identity=provider.identity(failures=3)) as there:
        expired = [await there.get("/v1/tools", provider.token(exp=1, sub=f"user{number}")) for number in range(6)]
        forged = [await there.get("/v1/tools", provider.token(aud="https://other.example")) for _ in range(4)]

    assert [answer.status_code for answer in expired] == [401] * 6
    assert all("invalid_token" in answer.headers["www-authenticate"] for answer in expired)
    assert [answer.status_code for answer in forged] == [401, 401, 401, 429]


async def test_failures_are_written_down_once_for_many_and_without_what_was_shown(tmp_path: Path) -> None:
    canary = "tg_abcdefgh_" + "C" * 43 + "_000000"
    async with world(tmp_path) as there:
        stores = there.app.stores
        for _ in range(20):
            await there.get("/v1/tools", canary)
            await there.get("/v1/tools", "some.thing.else")
    lines = [entry.body for entry in await stores.journal.read("audit", limit=1000)]

    failed = [line["details"] for line in lines if line["type"] == "auth.failed"]
    assert {(line["address"], line["shown"]) for line in failed} == {("192.0.2.7", "tg_abcdefgh"), ("192.0.2.7", "token")}
    assert len(failed) <= 4
    assert sum(line["count"] for line in failed) == 40
    assert "C" * 43 not in json.dumps(lines)


async def test_an_issuer_that_is_away_is_503_and_not_a_wrong_token(tmp_path: Path) -> None:
    async with a_provider() as provider:
        identity, shown = provider.identity(), provider.token()
    async with world(tmp_path, identity=identity) as there:
        answer = await there.get("/v1/tools", shown)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


async def test_a_session_is_used_by_nobody_but_whoever_opened_it(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        ada, eve = await there.key(), await there.key(owner="eve")
        hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        session = (await there.mcp("initialize", hello, ada)).headers["mcp-session-id"]
        headers = {"mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
        statuses = [(await there.mcp("tools/list", {}, key, **headers)).status_code for key in (eve, ada)]
        ended = await there.client.delete("/mcp", headers={**headers, "authorization": f"Bearer {eve}"})
        after = await there.mcp("tools/list", {}, ada, **headers)

    assert (statuses, ended.status_code, after.status_code) == ([404, 200], 404, 200)


async def test_a_key_revoked_by_another_process_opens_nothing_five_seconds_later(tmp_path: Path) -> None:
    environment = {**os.environ, "TOOLGATE_DATA_DIR": str(tmp_path / "state")}
    async with world(tmp_path, store="sqlite") as there:
        key = await there.key(ADMIN)
        assert (await there.get("/v1/tools", key)).status_code == 200
        command = [sys.executable, "-m", "toolgate", "keys", "revoke", key[:11]]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=60)

        began = revoked = time.monotonic()
        while (await there.get("/v1/tools", key)).status_code == 200:
            assert began - revoked <= 5
            began = time.monotonic()


class Everything(logging.Handler):
    """Every line of every log."""

    def __init__(self) -> None:
        super().__init__(0)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


@pytest.fixture
def logs() -> Any:
    everything, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(everything)
    root.setLevel(0)
    yield everything.lines
    root.removeHandler(everything)
    root.setLevel(level)


async def test_the_callers_token_is_in_no_place_but_the_exchange(tmp_path: Path, logs: list[str]) -> None:
    """Case F21: the upstream's requests, the audit, the logs, every answer, the tool's own view of the call."""
    async with a_provider() as provider, raw_server(ANSWER) as upstream:
        auth = {
            "type": "oauth2_token_exchange",
            "token_url": f"{provider.url}/token",
            "client_id": "toolgate",
            "client_secret": "the-clients-secret-canary",
            "audience": "shop",
            "scopes": ["shop.read"],
        }
        async with world(tmp_path, upstream.origin, auth, identity=provider.identity()) as there:
            shown, other = provider.token("tools:call"), provider.token("tools:call", sub="eve")
            answers = [await there.call("shop_list_items", token) for token in (shown, shown, other)]
            answers += [await there.call("shop_list_items", shown, nosuch=1), await there.call("nosuch", shown)]
            lines = [dict(entry.body) for entry in await there.app.stores.journal.read("audit", limit=1000)]
            app = repr(there.app)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 400, 404]
    assert [form["subject_token"] for form in provider.exchanged] == [shown, other]
    assert provider.exchanged[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": shown,
        "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "audience": "shop",
        "scope": "shop.read",
    }
    sent = [re.search(rb"authorization: (.*)\r\n", request, re.IGNORECASE) for request in upstream.seen]
    assert [match and match[1] for match in sent] == [
        b"Bearer exchanged-for-1-canary",
        b"Bearer exchanged-for-1-canary",
        b"Bearer exchanged-for-2-canary",
    ]
    sinks = [b"".join(upstream.seen).decode(), json.dumps(lines), app, "\n".join(logs), *(answer.text for answer in answers)]
    sinks += [str(answer.headers) for answer in answers]
    for secret in (shown, other, shown.split(".")[1], shown.split(".")[2], other.split(".")[2], "the-clients-secret-canary"):
        assert [sink for sink in sinks if secret in sink] == []
    for secret in ("exchanged-for-1-canary", "exchanged-for-2-canary"):
        assert [sink for sink in sinks[1:] if secret in sink] == []


async def test_who_showed_no_token_cannot_have_one_exchanged(tmp_path: Path) -> None:
    async with a_provider() as provider, raw_server(ANSWER) as upstream:
        auth = {"type": "oauth2_token_exchange", "token_url": f"{provider.url}/token", "client_id": "toolgate"}
        async with world(tmp_path, upstream.origin, auth, identity=provider.identity()) as there:
            answer = await there.call("shop_list_items", await there.key())

    assert (answer.status_code, answer.json()["problem"]["code"], upstream.seen, provider.exchanged) == (403, "not_linked", [], [])
    assert "ada showed none; log in with one" in answer.json()["problem"]["message"]
