"""Signing in with an issuer: what the browser is sent with, and what is believed of what it brings back."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette

from tests.server.issuing import AUDIENCE, ISSUER, ec, token
from tests.server.issuing import Provider as Keys_
from toolgate.calls import Call
from toolgate.console.oidc import COOKIE, SECONDS, Issuers
from toolgate.egress.wire import CAPS, Caps, Reach, Request, Response
from toolgate.openapi.exchange import Subjects
from toolgate.server.failures import Failures
from toolgate.server.identify import NoTokens, anonymous, by_credential
from toolgate.server.session import Sessions
from toolgate.server.tokens import Tokens
from toolgate.settings import Identity, Server
from toolgate.stores import Records
from toolgate.stores.memory import memory_stores
from toolgate.testing import FakeClock

BASE = "http://127.0.0.1:8765"
METADATA = {
    "issuer": ISSUER,
    "jwks_uri": f"{ISSUER}/keys",
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
}


@dataclass
class Issuer(Keys_):
    """Gives `answer` for any code, and remembers the forms that it got."""

    metadata: dict[str, Any] = field(default_factory=lambda: dict(METADATA))
    answer: dict[str, Any] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    shown: list[str | None] = field(default_factory=list)

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        if request.url != f"{ISSUER}/token":
            return await super().send(request, reach=reach, seconds=seconds, caps=caps, call=call)
        self.forms.append(dict(parse_qsl((request.body or b"").decode())))
        self.shown.append(dict(request.headers).get("Authorization"))
        return Response(200, body=json.dumps(self.answer).encode())


@dataclass
class World:
    client: httpx2.AsyncClient
    issuer: Issuer
    sessions: Sessions
    records: Records
    clock: FakeClock

    async def begun(self) -> tuple[dict[str, str], dict[str, str]]:
        """What the browser is sent with, and the cookie that it was given."""
        sent = await self.client.get("/console/sign-in", params={"issuer": "corp"})
        assert sent.status_code == 303
        url = urlsplit(sent.headers["location"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == METADATA["authorization_endpoint"]
        return dict(parse_qsl(url.query)), _cookie(sent)

    async def back(self, cookie: dict[str, str], **said: str) -> httpx2.Response:
        return await self.client.get("/console/signed-in", params=said, headers=cookie)


@asynccontextmanager
async def world(**more: Any) -> AsyncIterator[World]:
    now = int(time.time())
    issuer = Issuer(answer={"access_token": token(ec(), "ES256", iat=now, exp=now + 600), "token_type": "Bearer"})
    identity = Identity.model_validate(
        {"issuers": [{"issuer": ISSUER, "name": "corp", "audience": AUDIENCE, "client_id": "console", **more}]}
    )
    stores = memory_stores()
    sessions = Sessions(stores.records)

    async def tell(_: Any) -> None: ...

    identify = by_credential(NoTokens(), Tokens(identity.issuers, issuer, Subjects()), Failures(tell, 10), anonymous(None, Server()))
    clock = FakeClock(now)
    issuers = Issuers(identity, issuer, stores, identify, sessions, clock)
    transport = httpx2.ASGITransport(Starlette(routes=issuers.routes()))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
        yield World(client, issuer, sessions, stores.records, clock)


def _cookie(answer: httpx2.Response) -> dict[str, str]:
    """The cookie that is given first; one that is taken away may follow."""
    (name, morsel), *_ = SimpleCookie(answer.headers.get_list("set-cookie")[0]).items()
    return {"cookie": f"{name}={morsel.value}"}


async def test_a_code_becomes_a_session_of_whom_the_token_names() -> None:
    async with world() as there:
        sent, cookie = await there.begun()

        back = await there.back(cookie, code="the code", state=sent["state"], iss=ISSUER)

        [form] = there.issuer.forms
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert sent["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")  # RFC 7636, 4.2
        assert (sent["code_challenge_method"], sent["response_type"], sent["resource"]) == ("S256", "code", AUDIENCE)
        assert form["redirect_uri"] == sent["redirect_uri"] == f"{BASE}/console/signed-in"
        assert (form["grant_type"], form["code"], form["client_id"]) == ("authorization_code", "the code", "console")
        assert back.headers["location"] == "/console/"
        opened = _cookie(back)["cookie"].partition("=")[2]
        assert await there.sessions.credential(opened) == there.issuer.answer["access_token"]


async def test_a_client_with_a_secret_shows_it_in_its_header_and_nowhere_else() -> None:
    async with world(client_secret="s:e c") as there:
        sent, cookie = await there.begun()
        await there.back(cookie, code="c", state=sent["state"])

    assert there.issuer.shown == [f"Basic {base64.b64encode(b'console:s%3Ae%20c').decode()}"]
    assert "client_secret" not in there.issuer.forms[0]


def failed(answer: httpx2.Response) -> str:
    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers
    return parse_qs(urlsplit(answer.headers["location"]).fragment.partition("?")[2])["failed"][0]


async def test_a_state_of_another_browser_is_not_taken() -> None:
    async with world() as there:
        sent, _ = await there.begun()
        _, other = await there.begun()

        assert failed(await there.back(other, code="c", state=sent["state"])) == "expired"
        assert failed(await there.back({}, code="c", state=sent["state"])) == "expired"
        assert there.issuer.forms == []


async def test_a_state_is_good_once() -> None:
    async with world() as there:
        sent, cookie = await there.begun()
        await there.back(cookie, code="c", state=sent["state"])

        assert failed(await there.back(cookie, code="c", state=sent["state"])) == "expired"


async def test_nothing_is_kept_of_who_begins_to_sign_in() -> None:
    async with world() as there:
        for _ in range(3):
            await there.begun()
        assert [await there.records.list(kind) for kind in ("signing_in", "signed_in")] == [[], []]


async def test_a_cookie_that_was_not_sealed_here_is_not_taken() -> None:
    async with world() as there, world() as elsewhere:
        sent, cookie = await elsewhere.begun()

        assert failed(await there.back(cookie, code="c", state=sent["state"])) == "expired"
        assert failed(await there.back({"cookie": f"{COOKIE}=a"}, code="c", state="")) == "expired"


async def test_who_takes_longer_than_ten_minutes_begins_again() -> None:
    async with world() as there:
        sent, cookie = await there.begun()
        there.clock.now += SECONDS + 1

        assert failed(await there.back(cookie, code="c", state=sent["state"])) == "expired"


async def test_an_answer_of_another_issuer_is_not_taken() -> None:
    async with world() as there:
        sent, cookie = await there.begun()

        assert failed(await there.back(cookie, code="c", state=sent["state"], iss="https://evil.example")) == "issuer"
        assert there.issuer.forms == []


async def test_who_is_not_let_in_by_the_issuer_is_told_so() -> None:
    async with world() as there:
        sent, cookie = await there.begun()

        assert failed(await there.back(cookie, error="access_denied", state=sent["state"])) == "refused"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"access_token": "no token", "token_type": "Bearer"}, "identity"),
        ({"access_token": token(ec(), "ES256", aud="https://other.example"), "token_type": "Bearer"}, "identity"),
        ({"error": "invalid_grant"}, "issuer"),
        ({"access_token": "x", "token_type": "DPoP"}, "issuer"),
    ],
)
async def test_a_token_that_is_not_for_us_opens_nothing(answer: dict[str, str], why: str) -> None:
    async with world() as there:
        there.issuer.answer = answer
        sent, cookie = await there.begun()

        assert failed(await there.back(cookie, code="c", state=sent["state"])) == why


async def test_an_issuer_that_was_not_registered_or_is_away_leads_back_to_the_page() -> None:
    async with world() as there:
        there.issuer.away = True

        assert failed(await there.client.get("/console/sign-in", params={"issuer": "corp"})) == "issuer"
        assert failed(await there.client.get("/console/sign-in", params={"issuer": "evil"})) == "unknown"
