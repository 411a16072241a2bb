"""Consent is got from whom the server names and nobody else, kept for whom it is, and shown where it belongs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.oauth.authority import Authority, Resource
from toolgate.calls import Principal
from toolgate.egress.transport import Transport, open_transport
from toolgate.errors import EgressBlocked, NotLinked, ToolgateError, UpstreamFailed
from toolgate.integration import Integration
from toolgate.oauth.flow import Started
from toolgate.openapi.consent import CLIENTS, Consent, holder_of
from toolgate.openapi.credentials import Proof
from toolgate.openapi.granted import Granted, grant_of
from toolgate.openapi.links import Holder, Links
from toolgate.openapi.own import credentials_for
from toolgate.standin import serving
from toolgate.stores.memory import MemoryRecords
from toolgate.stores.sealed import Sealer
from toolgate.testing import FakeClock

ADA, EVE = Principal(id="corp:ada", tenant="acme", via="key"), Principal(id="corp:eve", tenant="acme", via="key")
BACK = "http://127.0.0.1:9/oauth/callback"
CONSENT: dict[str, Any] = {"type": "oauth2_authorization_code"}


@dataclass
class World:
    authority: Authority
    resource: Resource
    consent: Consent
    transport: Transport
    records: MemoryRecords
    clock: FakeClock = field(default_factory=lambda: FakeClock(1_000_000.0))

    def integration(self, auth: dict[str, Any] | None = None, **more: Any) -> Integration:
        declared = {"name": "tracker", "kind": "mcp", "url": f"{self.resource.url}/mcp", "allow_networks": ["127.0.0.0/8"]}
        declared |= {"servers": [self.authority.url], **more}
        return Integration.model_validate({**declared, "auth": auth or CONSENT})

    def granted(self, integration: Integration) -> Granted:
        return Granted(integration, self.transport, self.consent.links, self.clock)

    async def link(self, integration: Integration, who: Principal = ADA, scopes: tuple[str, ...] = ()) -> Started:
        """What a person does who says yes."""
        holder = holder_of(integration, who.tenant, who.user, shared=False)
        started = await self.consent.begin(integration, holder, BACK, scopes)
        await self.consent.finish(integration, holder, started, await said_yes(started))
        return started


async def said_yes(started: Started) -> str:
    async with httpx2.AsyncClient() as browser:
        return httpx2.URL((await browser.get(started.url)).headers["location"]).query.decode()


def token(proof: Proof) -> str:
    return dict(proof.headers)["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def world(tmp_path: Path) -> Callable[..., Any]:
    @asynccontextmanager
    async def made(document: str | None = None) -> AsyncIterator[World]:
        authority = Authority()
        resource = Resource(authority)
        records = MemoryRecords()
        sealer = Sealer(tmp_path / "key")
        async with serving(authority.app()) as one, serving(resource.app()) as other, open_transport() as transport:
            authority.url, resource.url = one, other
            links = Links(records, sealer)
            clock = FakeClock(0.0)
            consent = Consent(transport, links, Links(records, sealer, kind=CLIENTS), document, clock)
            yield World(authority, resource, consent, transport, records, clock)

    return made


World_ = Callable[..., Any]


async def test_a_yes_becomes_a_token_for_that_resource_and_that_caller(world: World_) -> None:
    async with world() as here:
        integration = here.integration({**CONSENT, "per_user": True})
        await here.link(integration)

        granted = here.granted(integration)
        mine = token(await granted.of(ADA).proof(5))
        with pytest.raises(NotLinked, match="`toolgate credentials link tracker --user corp:eve`"):
            await granted.of(EVE).proof(5)

    assert here.authority.tokens[mine] == "tools offline_access"
    assert here.authority.asked[0]["resource"] == here.authority.forms[0]["resource"] == f"{here.resource.url}/mcp"  # RFC 8707
    assert here.authority.asked[0]["code_challenge_method"] == "S256"
    kept = str(vars(here.records))
    assert mine not in kept
    assert "refresh-" not in kept


async def test_a_token_near_its_end_is_refreshed_once_for_all_and_the_new_refresh_token_is_kept(world: World_) -> None:
    async with world() as here:
        here.authority.life = 100
        integration = here.integration()
        await here.link(integration)
        first, second = here.granted(integration), here.granted(integration)  # as in two processes
        before = token(await first.proof(5))
        here.clock.now += 95
        proofs: list[str] = []

        async def ask() -> None:
            proofs.append(token(await first.proof(5)))

        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask)
        other = token(await second.proof(5))
        here.clock.now += 95
        third = token(await second.proof(5))

    assert set(proofs) == {other}
    assert len({before, other, third}) == 3
    # A rotated refresh token that were shown twice would have been refused.
    assert [form["grant_type"] for form in here.authority.forms] == ["authorization_code", "refresh_token", "refresh_token"]


async def test_a_token_that_is_refused_is_refreshed_and_one_that_cannot_be_is_said(world: World_) -> None:
    async with world() as here:
        integration = here.integration()
        await here.link(integration)
        granted = here.granted(integration)
        proof = await granted.proof(5)

        again = granted.renew(proof)
        other = await granted.proof(5)
        here.authority.refreshes.clear()  # revoked
        granted.renew(other)
        with pytest.raises(NotLinked, match=r"invalid_grant\); `toolgate credentials link tracker` grants it anew"):
            await granted.proof(5)

    assert again
    assert token(other) != token(proof)


async def test_a_grant_is_shown_to_no_other_server_and_refreshed_at_no_other_issuer(world: World_) -> None:
    async with world() as here, world() as evil:
        await here.link(here.integration())
        moved = here.integration(url=f"{evil.resource.url}/mcp")
        with pytest.raises(NotLinked, match="is another by now"):
            await here.granted(moved).proof(5)
        other = here.integration({**CONSENT, "issuer": evil.authority.url})
        with pytest.raises(NotLinked, match="is another by now"):
            await here.granted(other).proof(5)

    assert evil.authority.forms == []


async def test_who_gives_tokens_has_changed_and_the_old_ones_client_and_tokens_stay_with_it(world: World_) -> None:
    async with world() as here, world() as new:
        integration = here.integration(servers=[here.authority.url, new.authority.url])
        await here.link(integration)
        here.resource.servers = [new.authority.url]
        await here.link(integration)
        grant = grant_of(await here.consent.links.secret(holder_of(integration, "", "", shared=True), fresh=True) or "")
        await here.link(integration)

    assert grant is not None
    assert grant.issuer == new.authority.url
    assert len(here.authority.clients) == len(new.authority.clients) == 1  # registered once with each
    assert here.authority.forms[0]["who"] == new.authority.forms[0]["who"] == "client-1:"
    assert all(form["grant_type"] == "authorization_code" for form in new.authority.forms)


async def test_a_client_of_the_operators_is_shown_to_its_own_issuer_only(world: World_) -> None:
    async with world() as here, world() as evil:
        ours = {**CONSENT, "issuer": here.authority.url, "client_id": "c", "client_secret": "canary"}
        await here.link(here.integration(ours))
        here.resource.servers = [evil.authority.url]
        with pytest.raises(UpstreamFailed, match="does not take tokens of"):
            await here.link(here.integration(ours))
        kept = [await here.consent.links.secret(Holder("", "", "tracker"), fresh=True)]

    assert here.authority.forms[0]["who"] == "c:canary"
    assert evil.authority.forms == evil.authority.asked == []
    assert "canary" not in str(kept)


async def test_an_answer_of_another_server_is_not_taken_to_the_one_that_was_asked(world: World_) -> None:
    async with world() as here:
        integration = here.integration()
        here.authority.iss = "https://evil.example"  # a mix-up: RFC 9207, 1

        with pytest.raises(UpstreamFailed, match="does not come from"):
            await here.link(integration)

    assert here.authority.forms == []


LIES: dict[str, Callable[[World], None]] = {
    "metadata with another issuer": lambda here: here.authority.lies.update(issuer="https://evil.example"),
    "a token endpoint inside": lambda here: here.authority.lies.update(token_endpoint="https://10.0.0.7/token"),
    "a token endpoint in clear": lambda here: here.authority.lies.update(token_endpoint="http://id.example/token"),
    "a registration inside": lambda here: here.authority.lies.update(registration_endpoint="https://169.254.169.254/latest"),
    "no PKCE": lambda here: here.authority.lies.update(code_challenge_methods_supported=None),
    "only plain PKCE": lambda here: here.authority.lies.update(code_challenge_methods_supported=["plain"]),
    "a server inside": lambda here: setattr(here.resource, "servers", ["https://192.168.0.1"]),
    "a server in clear": lambda here: setattr(here.resource, "servers", ["http://id.example"]),
    "another resource": lambda here: here.resource.says.update(resource="https://bank.example/mcp"),
    "metadata elsewhere": lambda here: setattr(here.resource, "elsewhere", "https://evil.example/metadata"),
    "metadata inside": lambda here: setattr(here.resource, "elsewhere", "http://169.254.169.254/metadata"),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_server_that_lies_gets_no_code_and_no_secret(world: World_, lie: str) -> None:
    async with world() as here:
        LIES[lie](here)

        with pytest.raises((UpstreamFailed, EgressBlocked)), anyio.fail_after(10):
            await here.link(here.integration())

    assert here.authority.forms == []


async def test_a_server_in_a_private_network_sends_us_nowhere_else_in_it(world: World_) -> None:
    async with world() as here, world() as inside:
        alone = here.integration(servers=[])
        with pytest.raises(EgressBlocked, match=f"only where tracker names {here.authority.url}: as auth.issuer, or in servers"):
            await here.link(alone)
        here.authority.lies.update(registration_endpoint=f"{inside.authority.url}/register")
        with pytest.raises(EgressBlocked):
            await here.link(here.integration())
        here.authority.lies.update(registration_endpoint=None, token_endpoint=f"{inside.authority.url}/token")
        with pytest.raises(EgressBlocked):
            await here.link(here.integration({**CONSENT, "issuer": here.authority.url, "client_id": "c"}, servers=[]))

    assert inside.authority.forms == inside.authority.clients == []


async def test_our_own_document_says_who_we_are_where_the_server_reads_such(world: World_) -> None:
    document = "https://tools.example/oauth/client.json"
    async with world(document) as here:
        await here.link(here.integration())
        here.authority.lies["client_id_metadata_document_supported"] = True
        await here.link(here.integration())

    assert [asked["client_id"] for asked in here.authority.asked] == ["client-1", document]
    assert len(here.authority.clients) == 1


async def test_more_is_asked_for_on_top_of_what_was_granted(world: World_) -> None:
    async with world() as here:
        integration = here.integration()
        await here.link(integration)
        await here.link(integration, scopes=("more",))

    assert set(here.authority.asked[1]["scope"].split()) == {"tools", "more", "offline_access"}


async def test_a_described_service_is_let_into_by_the_issuer_that_the_operator_names(world: World_) -> None:
    async with world() as here:
        auth = {**CONSENT, "issuer": here.authority.url, "scopes": ["tools"], "resource": "https://api.example.com"}
        integration = here.integration(auth, kind="openapi", url=None)
        await here.link(integration)
        mine = token(await here.granted(integration).proof(5))

    assert here.authority.tokens[mine] == "tools offline_access"
    assert here.authority.asked[0]["resource"] == "https://api.example.com"
    assert here.resource.shown == []  # nobody asked the service itself


def test_a_described_service_without_an_issuer_cannot_be_let_into() -> None:
    with pytest.raises(ValueError, match=r"auth\.issuer is needed"):
        Integration.model_validate({"name": "api", "auth": CONSENT})


@pytest.mark.parametrize("secret", [{"client_secret": "s"}, {"private_key": "k", "client_id": "c"}])
def test_a_secret_without_its_issuer_is_refused_for_it_could_go_to_anybody(secret: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="shown to that one and to no other"):
        Integration.model_validate({"name": "api", "kind": "mcp", "url": "https://x.example/mcp", "auth": {**CONSENT, **secret}})


@pytest.mark.parametrize("kind", ["mcp", "openapi"])
@pytest.mark.parametrize(
    ("secret", "who"),
    [
        ({"client_secret": "s"}, "c:s"),
        ({"client_secret": "s", "send": "body"}, "c:s"),
    ],
)
async def test_client_credentials_go_to_the_token_endpoint_that_their_issuer_names(
    world: World_, kind: str, secret: dict[str, str], who: str
) -> None:
    async with world() as here:
        auth = {"type": "oauth2_client_credentials", "issuer": here.authority.url, "client_id": "c", "scopes": ["tools"], **secret}
        more = {} if kind == "mcp" else {"kind": kind, "url": None}
        proof = await credentials_for(here.integration(auth, **more), here.transport).proof(5)
        here.authority.lies["issuer"] = "https://evil.example"
        with pytest.raises(ToolgateError, match="another issuer"):
            await credentials_for(here.integration(auth, **more), here.transport).proof(5)

    (form,) = here.authority.forms
    assert here.authority.tokens[token(proof)] == "tools"
    assert (form["who"], form.get("resource")) == (who, f"{here.resource.url}/mcp" if kind == "mcp" else None)
