"""Authorizations begin unguessable, and their answers count only from whom they were asked of."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from toolgate.egress.wire import Response
from toolgate.errors import UpstreamFailed
from toolgate.oauth.flow import Client, Given, Started, code_form, code_in, given, start, token_request, wanted_scopes
from toolgate.oauth.metadata import Server, server_of

SERVER = Server(
    "https://id.example", "https://id.example/token", "https://id.example/authorize?x=1", challenges=("S256",), says_issuer=True
)
# RFC 7636, appendix B
VERIFIER, CHALLENGE = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
STARTED = Started("state-canary", VERIFIER, SERVER, Client("c"), "http://127.0.0.1:1/cb", "https://tools.example/mcp", ("a", "b"))


def test_a_person_is_sent_with_a_challenge_a_state_and_the_resource() -> None:
    asked = parse_qs(urlsplit(STARTED.url).query)

    assert asked == {
        "x": ["1"],
        "response_type": ["code"],
        "client_id": ["c"],
        "redirect_uri": ["http://127.0.0.1:1/cb"],
        "state": ["state-canary"],
        "code_challenge": [CHALLENGE],
        "code_challenge_method": ["S256"],
        "resource": ["https://tools.example/mcp"],
        "scope": ["a b"],
    }
    assert VERIFIER not in repr(STARTED)
    assert "canary" not in repr(STARTED)


def test_each_authorization_has_a_state_and_a_verifier_of_its_own() -> None:
    begun = [start(SERVER, Client("c"), "r", None, ()) for _ in range(50)]

    assert len({each.state for each in begun}) == len({each.verifier for each in begun}) == 50
    assert min(len(each.verifier) for each in begun) >= 43  # RFC 7636, 4.1


def test_a_server_without_s256_is_refused() -> None:
    with pytest.raises(UpstreamFailed, match="PKCE"):
        start(replace(SERVER, challenges=("plain",)), Client("c"), "r", None, ())


def test_entra_is_not_told_what_the_token_is_for_and_need_not_say_that_it_takes_s256() -> None:
    issuer = "https://login.microsoftonline.com/1f2e/v2.0"
    said = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "token_endpoint": f"{issuer}/token"}
    begun = start(server_of(said, issuer, "x"), Client("c"), "r", "https://tools.example/mcp", ("api://7/use",))

    assert "resource" not in parse_qs(urlsplit(begun.url).query)
    assert "resource" not in code_form(begun, "x")


GOOD = {"code": "x", "state": "state-canary", "iss": "https://id.example"}


def test_a_code_comes_from_the_issuer_that_was_asked_with_the_state_that_was_sent() -> None:
    assert code_in(STARTED, urlencode(GOOD)) == "x"
    quiet = replace(STARTED, server=replace(SERVER, says_issuer=False))
    assert code_in(quiet, urlencode({"code": "x", "state": "state-canary"})) == "x"


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({**GOOD, "state": "other"}, "another authorization"),
        ({"code": "x", "iss": GOOD["iss"]}, "another authorization"),
        ({**GOOD, "iss": "https://evil.example"}, "does not come from"),
        ({**GOOD, "iss": "https://id.example/"}, "does not come from"),
        ({"code": "x", "state": "state-canary"}, "does not come from"),
        ({"error": "access_denied", "state": "state-canary", "iss": GOOD["iss"]}, "access_denied"),
        ({"error": "<b>canary</b>", "state": "state-canary", "iss": GOOD["iss"]}, "gave no authorization$"),
        ({"state": "state-canary", "iss": GOOD["iss"]}, "without a code"),
    ],
)
def test_any_other_answer_is_none(query: dict[str, str], why: str) -> None:
    with pytest.raises(UpstreamFailed, match=why):
        code_in(STARTED, urlencode(query))


def test_an_answer_that_says_something_twice_is_none() -> None:
    with pytest.raises(UpstreamFailed, match="twice"):
        code_in(STARTED, urlencode(GOOD) + "&code=y")


def test_an_issuer_that_was_not_announced_still_has_to_be_the_right_one() -> None:
    quiet = replace(STARTED, server=replace(SERVER, says_issuer=False))

    with pytest.raises(UpstreamFailed, match="does not come from"):
        code_in(quiet, urlencode({**GOOD, "iss": "https://evil.example"}))


@pytest.mark.parametrize(
    ("client", "methods", "form", "header"),
    [
        (Client("c d", "s:+"), ("client_secret_basic",), {"a": "1"}, "Basic " + base64.b64encode(b"c+d:s%3A%2B").decode()),
        (Client("c", "s"), ("client_secret_post",), {"a": "1", "client_id": "c", "client_secret": "s"}, None),
        (Client("c", "s", method="client_secret_post"), ("client_secret_basic",), {"a": "1", "client_id": "c", "client_secret": "s"}, None),
        (Client("c"), ("client_secret_basic",), {"a": "1", "client_id": "c"}, None),
    ],
)
def test_a_client_shows_itself_as_its_server_wants(
    client: Client, methods: tuple[str, ...], form: dict[str, str], header: str | None
) -> None:
    request = token_request(replace(SERVER, methods=methods), client, {"a": "1"})

    assert dict(parse_qsl((request.body or b"").decode())) == form
    assert dict(request.headers).get("Authorization") == header


def test_a_client_with_a_key_signs_for_the_issuer_and_for_a_minute() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    form = dict(parse_qsl((token_request(SERVER, Client("c", key=pem), {}).body or b"").decode()))
    claims = jwt.decode(form["client_assertion"], key.public_key(), algorithms=["ES256"], audience="https://id.example")

    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523, 2.2
    assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == ("c", "c", 60)


def test_a_key_that_cannot_sign_is_said_without_it() -> None:
    with pytest.raises(UpstreamFailed, match="private_key") as refused:
        token_request(SERVER, Client("c", key="canary"), {})

    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"access_token": ""}', b'{"access_token": "t", "token_type": "DPoP"}'])
def test_an_answer_without_a_bearer_token_is_a_failure(body: bytes) -> None:
    with pytest.raises(UpstreamFailed, match="no access token"):
        given(Response(200, body=body), "https://id.example")


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BearerToken"])
def test_a_bearer_token_is_known_by_what_servers_call_it(kind: str) -> None:
    body = json.dumps({"access_token": "t", "token_type": kind, "expires_in": "3599"}).encode()

    assert given(Response(200, body=body), "https://id.example") == Given("t", 3599.0)


@pytest.mark.parametrize("status", [200, 201])
def test_a_token_may_be_called_created(status: int) -> None:
    assert given(Response(status, body=b'{"access_token": "t"}'), "https://id.example").access == "t"


def test_what_is_wanted_is_asked_for_and_a_refresh_token_where_there_is_a_scope_for_it() -> None:
    # 2026-07-28, basic/authorization, "Scope Selection Strategy"
    assert wanted_scopes((), ("a",), SERVER) == ("a",)
    assert wanted_scopes(("b",), ("a",), SERVER) == ("b",)
    assert wanted_scopes((), None, SERVER) == ()
    assert wanted_scopes((), ("a",), replace(SERVER, scopes=("offline_access",))) == ("a", "offline_access")
