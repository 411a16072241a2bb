"""Whose credential goes out with whose call."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Principal
from toolgate.egress.wire import Response
from toolgate.errors import Misconfigured, NotLinked
from toolgate.integration import Integration
from toolgate.openapi.credentials import Credentials, Proof
from toolgate.openapi.exchange import Subjects
from toolgate.openapi.links import KIND, Holder, Link, Links
from toolgate.openapi.own import Own, credentials_for
from toolgate.stores.memory import MemoryRecords
from toolgate.stores.sealed import Sealer
from toolgate.testing import FakeClock, ScriptedSender

ADA = Principal(id="corp:ada", tenant="acme", via="token", subject="digest-of-adas-token")
BEARER = {"type": "bearer", "per_user": True}
EXCHANGE = {
    "type": "oauth2_token_exchange",
    "token_url": "https://id.example/token",
    "client_id": "toolgate",
    "client_secret": "s",
    "resource": "https://api.example",
}


def integration(auth: Mapping[str, Any]) -> Integration:
    return Integration.model_validate({"name": "api", "auth": auth})


def the_links(folder: Path) -> tuple[Links, MemoryRecords, FakeClock]:
    records, clock = MemoryRecords(), FakeClock(1000.0)
    return Links(records, Sealer(folder / "key"), clock, clock), records, clock


def credentials(auth: Mapping[str, Any], own: Own, sender: ScriptedSender | None = None) -> Credentials:
    return credentials_for(integration(auth), sender or ScriptedSender([]), own)


def granted(token: str) -> Response:
    return Response(200, body=json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": 300}).encode())


@pytest.mark.parametrize(
    ("auth", "secret", "expected"),
    [
        (BEARER, "adas", Proof(headers=(("Authorization", "Bearer adas"),), secrets=("adas",))),
        (
            {"type": "api_key", "name": "k", "in": "query", "per_user": True},
            "adas",
            Proof(query=(("k", "adas"),), secrets=("adas",)),
        ),
        # RFC 7617, 2
        (
            {"type": "basic", "per_user": True},
            "Aladdin:open sesame",
            Proof(
                headers=(("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),),
                secrets=("open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
        ),
    ],
)
async def test_a_call_shows_what_its_caller_linked(tmp_path: Path, auth: Mapping[str, Any], secret: str, expected: Proof) -> None:
    links, _, _ = the_links(tmp_path)
    await links.set(Holder("acme", "corp:ada", "api"), secret)

    assert await credentials(auth, Own(links)).of(ADA).proof(5) == expected


@pytest.mark.parametrize(
    "other",
    [
        Principal(id="corp:eve", tenant="acme"),
        Principal(id="corp:ada", tenant="globex"),
        Principal(id="agent", tenant="acme", acting_for=("corp:eve",)),
        Principal(id="corp:ada", tenant="acme", acting_for=("corp:eve",)),
    ],
)
async def test_nobody_shows_what_another_linked(tmp_path: Path, other: Principal) -> None:
    links, _, _ = the_links(tmp_path)
    await links.set(Holder("acme", "corp:ada", "api"), "adas")

    with pytest.raises(NotLinked, match=f"^{other.user} has linked no credential for api; .*`toolgate credentials set api --user"):
        await credentials(BEARER, Own(links)).of(other).proof(5)


async def test_an_agent_shows_what_its_user_linked(tmp_path: Path) -> None:
    links, _, _ = the_links(tmp_path)
    await links.set(Holder("acme", "corp:ada", "api"), "adas")
    agent = Principal(id="agent:helper", tenant="acme", acting_for=("agent:boss", "corp:ada"))

    assert (await credentials(BEARER, Own(links)).of(agent).proof(5)).secrets == ("adas",)


async def test_a_caller_without_a_name_has_nothing_of_its_own(tmp_path: Path) -> None:
    links, _, _ = the_links(tmp_path)
    await links.set(Holder("default", "anonymous", "api"), "everybodys")

    with pytest.raises(NotLinked, match="without a name cannot have one"):
        await credentials(BEARER, Own(links)).of(Principal(id="anonymous")).proof(5)


async def test_what_is_linked_is_kept_sealed_and_moved_to_another_user_it_does_not_open(tmp_path: Path) -> None:
    links, records, _ = the_links(tmp_path)
    ada, eve = Holder("acme", "corp:ada", "api"), Holder("acme", "corp:eve", "api")
    await links.set(ada, "adas-secret")
    kept = await records.get(KIND, ada.id)
    assert kept is not None
    assert "adas-secret" not in str(kept)

    await records.put(KIND, eve.id, kept.body)

    with pytest.raises(Misconfigured, match="no key in"):
        await credentials(BEARER, Own(links)).of(Principal(id="corp:eve", tenant="acme")).proof(5)


@given(st.tuples(st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text()))
def test_no_two_holders_are_alike(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (Holder(*one).id == Holder(*other).id) == (one == other)


async def test_links_are_replaced_listed_and_removed_and_others_see_it_within_five_seconds(tmp_path: Path) -> None:
    links, records, clock = the_links(tmp_path)
    elsewhere = Links(records, Sealer(tmp_path / "key"), clock, clock)
    holder = Holder("acme", "corp:ada", "api")
    await links.set(holder, "first")
    seen = [await elsewhere.secret(holder)]

    await links.set(holder, "second")
    seen.append(await links.secret(holder))
    clock.now += 5
    seen.append(await elsewhere.secret(holder))
    listed = await links.list()
    removed = [await links.remove(holder), await links.remove(holder)]
    clock.now += 5
    seen.append(await elsewhere.secret(holder))

    assert seen == ["first", "second", "second", None]
    assert (listed, removed) == ([Link(holder, 1000.0)], [True, False])


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": "t", "per_user": True},
        {"type": "api_key", "name": "k", "value": "v", "per_user": True},
        {"type": "basic", "username": "u", "password": "p", "per_user": True},
    ],
)
def test_a_credential_is_either_one_for_all_or_everybodys_own(auth: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="leave one of them out"):
        integration(auth)


@pytest.mark.parametrize("auth", [BEARER, EXCHANGE])
def test_answers_to_a_callers_own_credential_are_cached_for_nobody_else(auth: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match="cache_scope is public"):
        Integration.model_validate({"name": "api", "auth": auth, "defaults": {"cache": "60s", "cache_scope": "public"}})


@pytest.mark.parametrize("auth", [BEARER, EXCHANGE])
async def test_what_belongs_to_callers_is_shown_masked_and_only_with_a_caller(tmp_path: Path, auth: Mapping[str, Any]) -> None:
    shown = credentials(auth, Own(the_links(tmp_path)[0], Subjects()))

    assert shown.masked().headers[0][0] == "Authorization"
    assert not shown.renew(Proof())
    with pytest.raises(NotLinked, match="nobody is calling"):
        await shown.proof(5)


# Exchange: the form and the whole way are in tests/server/test_entrance.py.


def subjects(clock: FakeClock | None = None, **tokens: str) -> Subjects:
    held = Subjects(clock or FakeClock())
    for subject, token in tokens.items():
        held.keep(subject, token, until=1000.0)
    return held


def of(subject: str, id: str = "corp:ada") -> Principal:
    return Principal(id=id, tenant="acme", subject=subject)


async def test_a_token_is_exchanged_once_and_for_each_that_was_shown() -> None:
    sender = ScriptedSender([granted("x1"), granted("x2"), granted("x3")])
    exchanged = credentials(EXCHANGE, Own(None, subjects(a="of a", b="of b")), sender)

    seen = [(await exchanged.of(who).proof(5)).secrets for who in (of("a"), of("a"), of("b"), of("a", "corp:eve"), of("b"))]

    assert seen == [("x1",), ("x1",), ("x2",), ("x3",), ("x2",)]
    assert [dict(parse_qsl((request.body or b"").decode()))["subject_token"] for request in sender.sent] == ["of a", "of b", "of a"]
    assert {origin for reach in sender.reaches for origin in reach.origins} == {"https://id.example:443"}


async def test_a_refused_token_is_exchanged_again() -> None:
    sender = ScriptedSender([granted("x1"), granted("x2")])
    mine = credentials(EXCHANGE, Own(None, subjects(a="of a")), sender).of(of("a"))
    first = await mine.proof(5)

    assert mine.renew(first)
    assert (await mine.proof(5)).secrets == ("x2",)


async def test_a_token_that_has_expired_is_not_exchanged() -> None:
    clock, sender = FakeClock(), ScriptedSender([granted("x1")])
    exchanged = credentials(EXCHANGE, Own(None, subjects(clock, a="of a")), sender)
    clock.now = 1000.0

    with pytest.raises(NotLinked, match="has expired and cannot be exchanged for api; log in again"):
        await exchanged.of(of("a")).proof(5)
    assert sender.sent == []


async def test_without_a_client_id_nothing_is_exchanged() -> None:
    exchanged = credentials({**EXCHANGE, "client_id": None}, Own(None, subjects(a="of a")))

    with pytest.raises(Misconfigured, match="client_id is not set"):
        await exchanged.of(of("a")).proof(5)


def test_held_tokens_are_bounded_and_told_to_nobody() -> None:
    held = Subjects(FakeClock())
    for number in range(5000):
        held.keep(f"digest {number}", f"token {number}", until=1000.0)

    assert (held.token("digest 0"), held.token("digest 4999")) == (None, "token 4999")
    assert repr(held) == "Subjects(4096 held)"
