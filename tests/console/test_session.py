"""Sessions of browsers over the composed application: what a cookie is good for, and what ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx2
import pytest

from toolgate.app import App, asgi, open_app
from toolgate.server.keys import Keys
from toolgate.server.session import Sessions
from toolgate.settings import Caller, Settings

BASE = "http://127.0.0.1:8765"
ADMIN = Caller(roles=("admin",), tier="enterprise")


@dataclass
class World:
    app: App
    client: httpx2.AsyncClient

    async def key(self, owner: str = "ada") -> str:
        return (await Keys(self.app.stores.records).create(owner, ADMIN))[1]

    async def signed_in(self, key: str, **headers: str) -> httpx2.Response:
        return await self.client.post("/console/session", json={"key": key}, headers={"origin": BASE, **headers})


@asynccontextmanager
async def world(folder: Path, **more: Any) -> AsyncIterator[World]:
    settings = Settings(integrations=("internal",), store="memory", data_dir=folder, **more)
    async with open_app(settings) as app, asgi(app) as application:
        transport = httpx2.ASGITransport(application, raise_app_exceptions=False, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield World(app, client)


def given(answer: httpx2.Response) -> Mapping[str, str]:
    """The cookie that an answer gives, as a browser sends it back."""
    [(name, morsel)] = SimpleCookie(answer.headers["set-cookie"]).items()
    return {"cookie": f"{name}={morsel.value}"}


async def test_a_session_asks_the_audit_as_its_keys_owner(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        opened = await there.signed_in(await there.key())

        answer = await there.client.get("/v1/audit", headers=given(opened))

    assert opened.json()["principal"]["id"] == "ada"
    assert answer.status_code == 200


async def test_the_cookie_is_for_no_script_no_other_site_and_half_a_day(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        key = await there.key()
        plain, safe = await there.signed_in(key), await there.signed_in(key, origin="https://tools.example")

    name, _, rest = plain.headers["set-cookie"].partition("=")
    assert name == "toolgate_8765"
    assert rest.partition("; ")[2] == "Path=/; HttpOnly; SameSite=Strict; Max-Age=43200"
    assert safe.status_code == 403  # not an origin of ours, unless the operator says so


async def test_over_https_the_cookie_is_for_https_only(tmp_path: Path) -> None:
    async with world(tmp_path, server={"allowed_origins": ["https://tools.example"]}) as there:
        opened = await there.signed_in(await there.key(), origin="https://tools.example")

    assert opened.headers["set-cookie"].startswith("__Host-toolgate=")
    assert opened.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ({"allowed_origins": ["https://tools.example"]}, "127.0.0.1:8765"),  # the proxy's own Host
        ({"allowed_origins": ["https://tools.example", "http://lan.example:8765"], "allowed_hosts": ["tools.example"]}, "tools.example"),
    ],
)
async def test_behind_https_a_cookie_that_http_could_have_set_is_not_taken(tmp_path: Path, server: Any, host: str) -> None:
    async with world(tmp_path, server=server, anonymous=None) as there:
        opened = await there.signed_in(await there.key(), origin="https://tools.example")
        [value] = given(opened).values()
        secret = value.partition("=")[2]

        async def asked(name: str) -> int:
            return (await there.client.get("/v1/tools", headers={"host": host, "cookie": f"{name}={secret}"})).status_code

        assert (await asked("__Host-toolgate"), await asked("toolgate_8765")) == (200, 401)


async def test_where_pages_come_by_http_too_their_own_cookie_is_taken(tmp_path: Path) -> None:
    both = ["https://tools.example", "http://lan.example:8765"]
    async with world(tmp_path, server={"allowed_origins": both, "allowed_hosts": ["lan.example:8765"]}, anonymous=None) as there:
        opened = await there.signed_in(await there.key(), origin=both[1], host="lan.example:8765")

        answer = await there.client.get("/v1/tools", headers={"host": "lan.example:8765", **given(opened)})

    assert answer.status_code == 200


async def test_a_session_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        keys = Keys(there.app.stores.records)
        key, text = await keys.create("ada", ADMIN)
        secret = await Sessions(there.app.stores.records).open(text)
        await keys.revoke(key.id)

        looked = await there.client.get("/console/session", headers={"cookie": f"toolgate_8765={secret}"})

    assert (looked.json()["principal"], looked.json()["problem"]["code"]) == (None, "not_identified")


async def test_a_session_that_was_ended_is_good_for_nothing_though_its_cookie_is_shown_again(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        cookie = given(await there.signed_in(await there.key()))

        ended = await there.client.delete("/console/session", headers=cookie)
        again = await there.client.get("/v1/tools", headers=cookie)

    assert (ended.status_code, again.status_code) == (204, 401)
    assert "Max-Age=0" in ended.headers["set-cookie"]


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
async def test_a_request_that_another_origins_page_makes_is_not_taken_for_the_session(tmp_path: Path, site: str) -> None:
    async with world(tmp_path, anonymous=None) as there:
        cookie = given(await there.signed_in(await there.key()))

        answer = await there.client.get("/v1/tools", headers={**cookie, "sec-fetch-site": site})

    assert answer.status_code == 401


async def test_a_session_is_good_for_the_page_alone_and_not_for_mcp(tmp_path: Path) -> None:
    async with world(tmp_path, anonymous=None) as there:
        cookie = given(await there.signed_in(await there.key()))

        answer = await there.client.post("/mcp", json={}, headers=cookie)

    assert answer.status_code == 401


async def test_what_is_stored_of_a_session_tells_neither_its_cookie_nor_its_key(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        key = await there.key()
        cookie = given(await there.signed_in(key))["cookie"].partition("=")[2]
        [record] = await there.app.stores.records.list("session")

    assert key not in str(record)
    assert cookie not in str(record)


async def test_a_wrong_key_opens_nothing_and_too_many_are_answered_429(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        key = await there.key()
        wrong = key[:-1] + ("y" if key.endswith("x") else "x")

        answers = [await there.signed_in(wrong) for _ in range(12)]

    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert answers[-1].status_code == 429
    assert not any("set-cookie" in answer.headers for answer in answers)


@pytest.mark.parametrize("body", ["{}", "[]", '{"key": 7}', '{"key": "abc"}', '{"key": "tg_x", "more": 1}', '{"key": "tg_\u00e9"}'])
async def test_what_is_no_key_is_refused(tmp_path: Path, body: str) -> None:
    async with world(tmp_path) as there:
        answer = await there.client.post("/console/session", content=body.encode(), headers={"content-type": "application/json"})

    assert answer.status_code == 400


async def test_who_signs_in_anew_ends_the_session_before(tmp_path: Path) -> None:
    async with world(tmp_path, anonymous=None) as there:
        first = given(await there.signed_in(await there.key()))
        await there.signed_in(await there.key("bob"), **first)

        answer = await there.client.get("/v1/tools", headers=first)

    assert answer.status_code == 401
