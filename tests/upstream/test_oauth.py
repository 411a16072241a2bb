"""Servers that want tokens of OAuth, behind the whole gate: whose consent it is, and what becomes of a scope too few."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.oauth.authority import Authority, Resource
from tests.upstream.conftest import Behind, settings_of
from toolgate.app import App, asgi, consent_of, open_app
from toolgate.calls import Outcome, Principal, Text
from toolgate.openapi.consent import Consent, holder_of
from toolgate.standin import serving

ADA, EVE = (Principal(id=f"corp:{name}", roles=("reader",), tier="enterprise", via="key") for name in ("ada", "eve"))
CONSENT: Mapping[str, Any] = {"type": "oauth2_authorization_code"}


@asynccontextmanager
async def authorities() -> AsyncIterator[tuple[Authority, Resource]]:
    authority = Authority()
    resource = Resource(authority)
    async with serving(authority.app()) as one, serving(resource.app()) as other:
        authority.url, resource.url = one, other
        yield authority, resource


def declaration(resource: Resource, auth: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "url": f"{resource.url}/mcp",
        "allow_networks": ["127.0.0.0/8"],
        "servers": [resource.authority.url],
        "auth": dict(auth),
        "prefix": "",
    }


async def link(app: App, who: Principal, *, shared: bool = False, scopes: tuple[str, ...] = ()) -> None:
    links = app.own.links
    assert links is not None
    consent: Consent = replace(consent_of(app.settings, app.stores, app.transport), links=links)
    declared = app.integrations[0].declaration
    assert declared is not None
    holder = holder_of(declared, who.tenant, who.user, shared=shared)
    started = await consent.begin(declared, holder, "http://127.0.0.1:9/oauth/callback", scopes)
    async with httpx2.AsyncClient() as browser:
        back = httpx2.URL((await browser.get(started.url)).headers["location"])
    await consent.finish(declared, holder, started, back.query.decode())


def text(outcome: Outcome) -> str:
    (piece,) = outcome.content
    assert isinstance(piece, Text)
    return piece.text


async def test_one_consent_serves_everybody_and_a_scope_too_few_says_how_to_get_it(tmp_path: Path) -> None:
    async with authorities() as (authority, resource):
        settings = settings_of(tmp_path, {"tracker": declaration(resource, CONSENT)}, store="sqlite")
        async with open_app(settings) as app:
            before = app.roster.sources.all[0].upstream.problem
            await link(app, ADA)
        async with open_app(settings) as app:
            done = await app.gateway.call("read", {}, ADA)
            also = await app.gateway.call("read", {}, EVE)
            refused = await app.gateway.call("write", {}, ADA)
            await link(app, ADA, scopes=("more",))
            stepped = await app.gateway.call("write", {}, ADA)

    assert "401" in str(before)
    assert text(done) == text(also) == "done with REDACTED"  # the token does not come back
    assert refused.problem is not None
    assert refused.problem.code == "not_linked"
    assert "`toolgate credentials link tracker --scope 'tools offline_access more'`" in refused.problem.message
    assert stepped.ok
    assert "more" in authority.asked[-1]["scope"].split()


async def test_where_each_caller_consents_nobody_goes_with_anothers_token(tmp_path: Path) -> None:
    async with authorities() as (authority, resource):
        settings = settings_of(tmp_path, {"tracker": declaration(resource, {**CONSENT, "per_user": True})}, store="sqlite")
        (tmp_path / "policies" / "tiers.yaml").write_text("tiers: {enterprise: {features: [user_credentials]}}")
        async with open_app(settings) as app:
            await link(app, ADA, shared=True)
            await link(app, ADA)
        shared, adas = authority.tokens
        async with open_app(settings) as app:
            lists = {*resource.shown} - {""}
            resource.shown.clear()
            done = await app.gateway.call("read", {}, ADA)
            agents = await app.gateway.call("read", {}, replace(EVE, acting_for=(ADA.id,)))
            refused = await app.gateway.call("read", {}, EVE)

    assert done.ok
    assert agents.ok
    assert (lists, resource.shown) == ({f"Bearer {shared}"}, [f"Bearer {adas}"] * 2)
    assert refused.problem is not None
    assert "`toolgate credentials link tracker --user corp:eve`" in refused.problem.message


async def test_client_credentials_need_no_person(behind: Behind) -> None:
    async with authorities() as (authority, resource):
        auth = {"type": "oauth2_client_credentials", "issuer": authority.url, "client_id": "c", "client_secret": "s", "scopes": ["tools"]}
        async with behind(tracker=declaration(resource, auth)) as app:
            done = await app.gateway.call("read", {}, EVE)

    assert done.ok
    assert authority.forms[0]["resource"] == f"{resource.url}/mcp"  # RFC 8707


@pytest.mark.parametrize("url", ["https://tools.example.com/oauth/client.json", None])
async def test_who_we_are_can_be_read_by_everybody_where_its_url_is_set(behind: Behind, tmp_path: Path, url: str | None) -> None:
    (tmp_path / "specs").mkdir()
    settings = {"identity": {"client": url}, "anonymous": None}
    async with behind(settings=settings) as app, asgi(app) as application, serving(application) as ours, httpx2.AsyncClient() as http:
        answer = await http.get(f"{ours}/oauth/client.json")

    if url is None:
        assert answer.status_code == 401
    else:
        said = answer.json()
        assert (answer.status_code, said["client_id"], said["token_endpoint_auth_method"]) == (200, url, "none")
        assert said["redirect_uris"] == ["http://127.0.0.1:8766/oauth/callback", "https://tools.example.com/oauth/callback"]
