from __future__ import annotations

import asyncio
import base64
from ipaddress import ip_network
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.wire import Caps, Reach, Request, Response
from toolgate.errors import EgressBlocked, Misconfigured, TimedOut, Unreachable, UpstreamFailed
from toolgate.integration import ClientCredentials, Integration
from toolgate.openapi.credentials import Fixed, Proof, Tokens, is_secret, scrubbed
from toolgate.openapi.own import credentials_for
from toolgate.testing import FakeClock, ScriptedSender

ORIGINS = frozenset({"https://api.example:443"})
CANARY = "canary/+=Ünicode 7"
PLAIN = Request("GET", "https://api.example/x", (("Accept", "a/b"), ("authorization", "of a caller")))


def integration(auth: dict[str, Any], **more: Any) -> Integration:
    return Integration.model_validate({"name": "api", "auth": auth, **more})


async def signed(auth: dict[str, Any], request: Request = PLAIN) -> Request:
    return (await credentials_for(integration(auth), ScriptedSender([])).proof(5)).on(request, ORIGINS)


@pytest.mark.parametrize(
    ("auth", "expected"),
    [
        ({"type": "none"}, PLAIN),
        (
            {"type": "api_key", "in": "header", "name": "X-Api-Key", "value": "k"},
            Request("GET", PLAIN.url, (*PLAIN.headers, ("X-Api-Key", "k"))),
        ),
        (
            {"type": "api_key", "in": "query", "name": "api_key", "value": "a&b=ü"},
            Request("GET", PLAIN.url + "?api_key=a%26b%3D%C3%BC", PLAIN.headers),
        ),
        (
            {"type": "api_key", "in": "cookie", "name": "sid", "value": "k"},
            Request("GET", PLAIN.url, (*PLAIN.headers, ("Cookie", "sid=k"))),
        ),
        ({"type": "bearer", "token": "t"}, Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "Bearer t")))),
        # RFC 7617, 2: the example of its text, and of 2.1 for UTF-8
        (
            {"type": "basic", "username": "Aladdin", "password": "open sesame"},
            Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))),
        ),
        (
            {"type": "basic", "username": "test", "password": "123£"},
            Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "Basic dGVzdDoxMjPCow=="))),
        ),
        ({"type": "basic", "username": "key"}, Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "Basic a2V5Og==")))),
    ],
)
async def test_a_proof_is_put_where_its_kind_belongs(auth: dict[str, Any], expected: Request) -> None:
    assert await signed(auth) == expected


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "api_key", "in": "header", "name": "X-Api-Key", "value": None},
        {"type": "api_key", "in": "query", "name": "api_key"},
        {"type": "bearer", "token": None},
        {"type": "basic", "username": None, "password": None},
        {"type": "oauth2_client_credentials", "token_url": "https://id.example/token", "client_id": None, "client_secret": "s"},
        {"type": "oauth2_client_credentials", "token_url": "https://id.example/token", "client_id": "c"},
    ],
)
async def test_without_its_secret_a_request_goes_out_as_it_is(auth: dict[str, Any]) -> None:
    assert await signed(auth) == PLAIN


async def test_a_key_joins_the_query_and_the_cookies_that_are_there() -> None:
    request = Request("GET", "https://api.example/x?a=1", (("Cookie", "b=2"),))

    assert (await signed({"type": "api_key", "in": "query", "name": "k", "value": "v"}, request)).url == "https://api.example/x?a=1&k=v"
    assert (await signed({"type": "api_key", "in": "cookie", "name": "k", "value": "v"}, request)).headers == (("Cookie", "b=2; k=v"),)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        "http://api.example/",
        "https://api.example:8443/",
        "https://api.example.evil.example/",
        "https://api.example@evil.example/",
    ],
)
async def test_a_proof_is_shown_to_no_other_origin(url: str) -> None:
    with pytest.raises(EgressBlocked) as refused:
        await signed({"type": "bearer", "token": CANARY}, Request("GET", url))

    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("auth", "masked"),
    [
        (
            {"type": "api_key", "in": "header", "name": "K", "value": CANARY},
            Request("GET", PLAIN.url, (*PLAIN.headers, ("K", "REDACTED"))),
        ),
        ({"type": "api_key", "in": "query", "name": "K", "value": CANARY}, Request("GET", PLAIN.url + "?K=REDACTED", PLAIN.headers)),
        (
            {"type": "api_key", "in": "cookie", "name": "K", "value": CANARY},
            Request("GET", PLAIN.url, (*PLAIN.headers, ("Cookie", "K=REDACTED"))),
        ),
        ({"type": "bearer", "token": CANARY}, Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "REDACTED")))),
        (
            {"type": "basic", "username": "u", "password": CANARY},
            Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "REDACTED"))),
        ),
        (
            {"type": "oauth2_client_credentials", "token_url": "https://id.example/t", "client_id": "c", "client_secret": CANARY},
            Request("GET", PLAIN.url, (("Accept", "a/b"), ("Authorization", "Bearer REDACTED"))),
        ),
    ],
)
async def test_what_is_shown_of_a_proof_is_its_place_and_nothing_else(auth: dict[str, Any], masked: Request) -> None:
    credentials = credentials_for(integration(auth), ScriptedSender([]))

    assert credentials.masked().on(PLAIN, ORIGINS) == masked
    assert CANARY not in repr(credentials)


def test_no_secret_is_in_a_repr() -> None:
    proof = Proof((("A", CANARY),), (("b", CANARY),), (("c", CANARY),), (CANARY,))

    assert CANARY not in repr(proof) + repr(Fixed(proof))


# OAuth 2 client credentials


AUTH = ClientCredentials.model_validate(
    {
        "type": "oauth2_client_credentials",
        "token_url": "https://id.example/token",
        "client_id": "app:1",
        "client_secret": CANARY,
        "scopes": ["read", "write"],
    }
)
ID = Reach(frozenset({"https://id.example:443"}))


def granted(token: str, **more: Any) -> Response:
    return Response(200, (), orjson.dumps({"access_token": token, "token_type": "Bearer", **more}))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("Authorization", f"Bearer {token}"),)


async def test_a_token_is_fetched_from_its_own_origin_with_the_operators_networks() -> None:
    sender = ScriptedSender([granted("t1")])
    declared = Integration.model_validate(
        {"name": "api", "auth": {**AUTH.model_dump(), "client_secret": CANARY}, "allow_networks": ["127.0.0.0/8"]}
    )

    proof = await credentials_for(declared, sender).proof(5)

    assert proof.headers == bearer("t1")
    assert sender.reaches == [Reach(frozenset({"https://id.example:443"}), (ip_network("127.0.0.0/8"),))]


async def test_the_client_shows_itself_form_encoded_in_the_basic_header() -> None:
    sender = ScriptedSender([granted("t1")])

    await Tokens(AUTH, sender, ID).proof(5)

    # RFC 6749, 2.3.1 and appendix B: application/x-www-form-urlencoded, then RFC 7617
    basic = base64.b64encode(b"app%3A1:canary%2F%2B%3D%C3%9Cnicode+7").decode()
    assert sender.sent == [
        Request(
            "POST",
            "https://id.example/token",
            (("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"), ("Authorization", f"Basic {basic}")),
            b"grant_type=client_credentials&scope=read+write",
        )
    ]


async def test_the_client_shows_itself_in_the_body_where_the_operator_says_so() -> None:
    sender = ScriptedSender([granted("t1")])

    await Tokens(AUTH.model_copy(update={"send": "body", "scopes": ()}), sender, ID).proof(5)

    assert sender.sent[0].headers == (("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"))
    assert sender.sent[0].body == b"grant_type=client_credentials&client_id=app%3A1&client_secret=canary%2F%2B%3D%C3%9Cnicode+7"


@pytest.mark.parametrize(
    ("life", "still_good", "renewed"),
    [
        ({"expires_in": 3600}, 3539.0, 3540.0),
        ({"expires_in": 100}, 89.0, 90.0),
        ({}, 269.0, 270.0),
        ({"expires_in": "3600"}, 3539.0, 3540.0),
    ],
)
async def test_a_token_is_kept_until_shortly_before_its_end(life: dict[str, Any], still_good: float, renewed: float) -> None:
    clock = FakeClock()
    sender = ScriptedSender([granted("t1", **life), granted("t2")])
    tokens = Tokens(AUTH, sender, ID, clock)
    await tokens.proof(5)

    clock.now = still_good
    before = await tokens.proof(5)
    clock.now = renewed
    after = await tokens.proof(5)

    assert (before.headers, after.headers) == (bearer("t1"), bearer("t2"))


async def test_many_who_wait_for_a_token_share_one() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    count = 0

    class Slow:
        async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = Caps(), call: Any = None) -> Response:  # noqa: B008
            nonlocal count
            count += 1
            asked.set()
            await answer.wait()
            return granted("t1")

    tokens = Tokens(AUTH, Slow(), ID)
    waiting = [asyncio.create_task(tokens.proof(5)) for _ in range(64)]
    await asked.wait()
    answer.set()

    assert {(await task).headers for task in waiting} == {bearer("t1")}
    assert count == 1


async def test_many_who_wait_for_a_token_share_its_failure_and_it_is_asked_for_again_after_a_pause() -> None:
    clock = FakeClock()
    sender = ScriptedSender([Response(503, (), b""), granted("t1")])
    tokens = Tokens(AUTH, sender, ID, clock)

    waiting = await asyncio.gather(*(tokens.proof(5) for _ in range(20)), return_exceptions=True)
    clock.now += 0.2
    with pytest.raises(UpstreamFailed, match="it answered 503"):
        await tokens.proof(5)
    asked = len(sender.sent)
    clock.now += 0.1
    after = await tokens.proof(5)

    assert [str(each) for each in waiting] == ["https://id.example:443 gave no access token: it answered 503"] * 20
    assert (asked, after.headers) == (1, bearer("t1"))


async def test_one_who_gives_up_does_not_take_the_token_from_the_others() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    class Slow:
        async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = Caps(), call: Any = None) -> Response:  # noqa: B008
            asked.set()
            await answer.wait()
            return granted("t1")

    tokens = Tokens(AUTH, Slow(), ID)
    first, second = asyncio.create_task(tokens.proof(5)), asyncio.create_task(tokens.proof(5))
    await asked.wait()
    first.cancel()
    answer.set()

    assert (await second).headers == bearer("t1")
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_refused_token_is_fetched_anew_once() -> None:
    tokens = Tokens(AUTH, ScriptedSender([granted("t1"), granted("t2")]), ID)
    first = await tokens.proof(5)

    assert tokens.renew(first)
    second = await tokens.proof(5)
    assert tokens.renew(first)  # by a second call, which had gone out with the first token

    assert (await tokens.proof(5)) is second


def test_a_fixed_proof_cannot_be_renewed() -> None:
    assert not Fixed(Proof()).renew(Proof())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            Response(401, (), b'{"error":"invalid_client","error_description":"canary"}'),
            "https://id.example:443 gave no access token: it answered 401 (invalid_client)",
        ),
        (Response(400, (), b'{"error":"canary"}'), "https://id.example:443 gave no access token: it answered 400"),
        (Response(302, (("Location", "https://evil.example/"),)), "https://id.example:443 gave no access token: it answered 302"),
        (Response(200, (), b"canary"), "https://id.example:443 gave no access token of the type bearer"),
        (Response(200, (), b'{"access_token":""}'), "https://id.example:443 gave no access token of the type bearer"),
        (
            Response(200, (), b'{"access_token":"canary","token_type":"mac"}'),
            "https://id.example:443 gave no access token of the type bearer",
        ),
        (Response(200, (), b'["canary"]'), "https://id.example:443 gave no access token of the type bearer"),
    ],
)
async def test_an_endpoint_that_gives_no_token_is_said_to_and_not_quoted(answer: Response, message: str) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        await Tokens(AUTH, ScriptedSender(answer), ID).proof(5)

    assert str(failed.value) == message
    assert failed.value.status == answer.status


@pytest.mark.parametrize("seconds", [5, 0.02])
async def test_a_token_that_comes_too_late_means_that_nothing_has_happened(seconds: float) -> None:
    class Late:
        async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = Caps(), call: Any = None) -> Response:  # noqa: B008
            if seconds > 1:
                raise TimedOut("too late")
            await asyncio.Event().wait()
            return granted("never")

    with pytest.raises(Unreachable, match="gave no access token in time"):
        await Tokens(AUTH, Late(), ID).proof(seconds)


def test_a_token_url_that_is_none_is_the_operators_mistake() -> None:
    auth = {"type": "oauth2_client_credentials", "token_url": "id.example/token", "client_id": "c", "client_secret": CANARY}

    with pytest.raises(Misconfigured, match=r"^api: auth\.token_url does not work: ") as refused:
        credentials_for(integration(auth), ScriptedSender([]))

    assert CANARY not in str(refused.value)


# What must not come back


def test_a_secret_that_the_other_side_repeats_is_taken_out() -> None:
    response = Response(
        200,
        (("Link", "<https://api.example/x?api_key=canary%2F%2Bkey>"), ("X", "1")),
        b'{"a":"canary/+key","b":"canary%2F%2Bkey","c":"canary"}',
    )

    assert scrubbed(response, ["canary/+key"]) == Response(
        200, (("Link", "<https://api.example/x?api_key=REDACTED>"), ("X", "1")), b'{"a":"REDACTED","b":"REDACTED","c":"canary"}'
    )


def test_a_short_secret_is_left_since_it_may_stand_there_by_chance() -> None:
    response = Response(200, (), b"a short text")

    assert scrubbed(response, ["short", ""]) is response


@given(st.binary(), st.text("abc/+ ", min_size=8, max_size=12), st.binary())
def test_no_secret_survives_in_an_answer(before: bytes, secret: str, after: bytes) -> None:
    assert secret.encode() not in scrubbed(Response(200, (), before + secret.encode() + after), [secret]).body


async def test_a_key_that_everybody_knows_is_no_secret() -> None:
    auth = {"type": "api_key", "in": "query", "name": "api_key", "value": "DEMO_KEY"}
    limits = [{"calls": 30, "per": "1h", "key": "DEMO_KEY"}]

    assert (await credentials_for(integration(auth), ScriptedSender([])).proof(5)).secrets == ("DEMO_KEY",)
    assert (await credentials_for(integration(auth, limits=limits), ScriptedSender([])).proof(5)).secrets == ()


@pytest.mark.parametrize(
    ("auth", "secrets"),
    [
        ({"type": "bearer", "token": "t"}, ("t",)),
        ({"type": "basic", "username": "test", "password": "123£"}, ("123£", "dGVzdDoxMjPCow==")),
        ({"type": "none"}, ()),
    ],
)
async def test_a_proof_knows_its_secrets(auth: dict[str, Any], secrets: tuple[str, ...]) -> None:
    assert (await credentials_for(integration(auth), ScriptedSender([])).proof(5)).secrets == secrets


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("Authorization", True),
        ("X-Api-Key", True),
        ("api_key", True),
        ("Cookie", True),
        ("x-auth", True),
        ("Accept", False),
        ("X-GitHub-Api-Version", False),
    ],
)
def test_a_name_tells_whether_its_value_is_shown(name: str, secret: bool) -> None:
    assert is_secret(name) is secret
