"""Consent over HTTP: linked to who began it, and only when who was in the browser says so."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2

from tests.oauth.authority import Authority, Resource
from tests.upstream.conftest import settings_of
from tests.upstream.test_oauth import ADA, authorities, declaration, link
from toolgate.api.begun import MOST_OF_ONE, SECONDS, Waiting
from toolgate.app import App, asgi, open_app
from toolgate.oauth.flow import Client, start
from toolgate.oauth.metadata import Server as OAuthServer
from toolgate.openapi.links import Holder
from toolgate.server.keys import Keys
from toolgate.settings import Caller
from toolgate.standin import serving
from toolgate.stores.memory import MemoryRecords
from toolgate.stores.sealed import Sealer
from toolgate.testing import FakeClock

ADAS = Holder("default", "corp:ada", "tracker")
STARTED = start(
    OAuthServer("https://id.example", "https://id.example/token", "https://id.example/authorize", challenges=("S256",)),
    Client("c"),
    "http://127.0.0.1:1/cb",
    None,
    (),
)
TIERS = "tiers: {enterprise: {features: [user_credentials]}}"


@dataclass
class World:
    authority: Authority
    resource: Resource
    app: App
    callers: dict[str, httpx2.AsyncClient]
    browser: httpx2.AsyncClient

    async def begin(self, who: str, **body: Any) -> httpx2.Response:
        return await self.callers[who].post("/v1/credentials/tracker/link", json=body)

    async def visit(self, url: str) -> httpx2.Response:
        """What a person does who says yes."""
        return await self.browser.get(url, follow_redirects=True)

    async def confirm(self, who: str, code: str) -> httpx2.Response:
        return await self.callers[who].post("/v1/credentials/tracker/confirm", json={"code": code})


@asynccontextmanager
async def world(folder: Path, *, per_user: bool = True) -> AsyncIterator[World]:
    async with authorities() as (authority, resource):
        declared = declaration(resource, {"type": "oauth2_authorization_code", "per_user": per_user})
        settings = settings_of(folder, {"tracker": declared}, store="sqlite")
        (folder / "policies" / "tiers.yaml").write_text(TIERS)
        async with open_app(settings) as app:
            await link(app, ADA, shared=True)  # for the lists
        async with open_app(settings) as app, asgi(app) as application, serving(application) as url, httpx2.AsyncClient() as browser:
            callers = {"anonymous": httpx2.AsyncClient(base_url=url, trust_env=False)}
            for name in ("ada", "eve"):
                _, text = await Keys(app.stores.records).create(f"corp:{name}", Caller(roles=("reader",), tier="enterprise"))
                shown = {"authorization": f"Bearer {text}"}
                callers[name] = httpx2.AsyncClient(base_url=url, headers=shown, trust_env=False)
            try:
                yield World(authority, resource, app, callers, browser)
            finally:
                for client in callers.values():
                    await client.aclose()


def code_on(page: httpx2.Response) -> str:
    (code,) = re.findall(r"\b[A-Z]{4}-[A-Z]{4}\b", page.text)
    return str(code)


async def test_a_caller_is_linked_once_it_says_what_the_browser_showed(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        began = (await here.begin("ada")).json()
        page = await here.visit(began["url"])
        before = await here.app.gateway.call("read", {}, ADA)
        linked = await here.confirm("ada", code_on(page))
        again = await here.confirm("ada", code_on(page))
        after = await here.app.gateway.call("read", {}, ADA)

    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert before.problem is not None
    assert before.problem.code == "not_linked"
    assert (linked.status_code, linked.json()["user"], linked.json()["issuer"]) == (200, "corp:ada", here.authority.url)
    assert again.status_code == 404
    assert after.ok


async def test_somebody_who_is_sent_there_by_another_links_nothing_by_going(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        began = (await here.begin("eve")).json()  # eve sends the URL to ada, who says yes
        page = await here.visit(began["url"])
        guesses = [await here.confirm("eve", guess) for guess in ("BBBB-BBBB", "", "CCCCCCCC", "DDDD", "FFFFFFFF")]
        late = await here.confirm("eve", code_on(page))
        other = await here.confirm("ada", code_on(page))

    assert "as corp:eve" in page.text
    assert {answer.status_code for answer in (*guesses, late, other)} == {404}
    assert [form["grant_type"] for form in here.authority.forms] == ["authorization_code"]  # that of the lists


async def test_who_comes_back_with_anything_else_changes_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        began = (await here.begin("ada")).json()
        base = str(here.callers["ada"].base_url).rstrip("/")
        stranger = await here.browser.get(f"{base}/oauth/callback?code=x&state=guessed")
        here.authority.iss = "https://evil.example"
        mixed = await here.visit(began["url"])
        here.authority.iss = None
        again = await here.visit(began["url"])

    assert (stranger.status_code, mixed.status_code, again.status_code) == (400, 400, 400)
    assert "does not come from" in mixed.text


async def test_nobody_without_a_name_and_nothing_that_is_not_by_consent_is_linked(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        anonymous = await here.begin("anonymous")
        unknown = await here.callers["ada"].post("/v1/credentials/none/link", json={})
        wrong = await here.begin("ada", more=1)
    async with world(tmp_path / "shared", per_user=False) as here:
        shared = await here.begin("ada")

    assert [each.status_code for each in (anonymous, unknown, wrong, shared)] == [404, 404, 400, 404]


async def test_what_is_asked_for_can_be_more(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        page = await here.visit((await here.begin("ada", scopes=["tools", "more"])).json()["url"])
        linked = await here.confirm("ada", code_on(page).lower())

    assert "more" in linked.json()["scopes"]


async def test_a_consent_that_began_at_one_process_goes_on_and_ends_at_others(tmp_path: Path) -> None:
    async with world(tmp_path) as here, open_app(here.app.settings) as other, asgi(other) as application, serving(application) as url:
        began = (await here.begin("ada")).json()
        back = httpx2.URL((await here.browser.get(began["url"])).headers["location"])
        page = await here.browser.get(f"{url}/oauth/callback?{back.query.decode()}")
        again = await here.browser.get(back)
        wrong = await here.confirm("ada", "BBBB-BBBB")
        headers = {"authorization": here.callers["ada"].headers["authorization"]}
        linked = await here.browser.post(f"{url}/v1/credentials/tracker/confirm", json={"code": code_on(page)}, headers=headers)
        after = await here.app.gateway.call("read", {}, ADA)

    assert (page.status_code, again.status_code, wrong.status_code, linked.status_code) == (200, 400, 404, 200)
    assert after.ok


async def test_guesses_at_the_same_time_are_counted_like_others(tmp_path: Path) -> None:
    clock = FakeClock()
    records = MemoryRecords(clock)
    one, other = (Waiting(records, Sealer(tmp_path / "key"), clock) for _ in range(2))
    await one.add(ADAS, STARTED)
    begun = await one.of(STARTED.state)
    assert begun is not None
    there = await one.change(begun, query="code=x")
    assert there is not None

    first, second = await one.change(there, tries=1), await other.change(there, tries=1)

    assert first is not None
    assert (first.tries, second) == (1, None)
    assert [await one.take(first), await other.take(first)] == [True, False]


async def test_what_waits_too_long_or_is_too_much_waits_no_longer(tmp_path: Path) -> None:
    clock = FakeClock()
    waiting = Waiting(MemoryRecords(clock), Sealer(tmp_path / "key"), clock)
    for number in range(MOST_OF_ONE + 1):
        clock.now += 1
        await waiting.add(ADAS, replace(STARTED, state=f"s{number}"))
    there = [await waiting.of(f"s{number}") is not None for number in range(MOST_OF_ONE + 1)]
    clock.now += SECONDS

    assert there == [False, *[True] * MOST_OF_ONE]
    assert await waiting.of(f"s{MOST_OF_ONE}") is None
