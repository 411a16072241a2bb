"""Requests to an authorization server and what its answers mean: pure, but for the dice of PKCE and the clock of a signature."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlencode, urlsplit

import orjson

from toolgate.egress.wire import Headers, Request, Response
from toolgate.errors import UpstreamFailed
from toolgate.oauth.document import OURS
from toolgate.oauth.metadata import Server, takes_resource

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSUMED_SECONDS = 300.0  # of a token without `expires_in`; a guess, RFC 6749 only recommends to say it
ASSERTED_SECONDS = 60
BEARER = frozenset({"bearer", "bearertoken"})
"""What servers call the type of a token that is shown as RFC 6750 says; the second is Apigee's."""
ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope"),
        *("access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable", "invalid_target"),
        *("invalid_redirect_uri", "invalid_client_metadata", "login_required", "consent_required", "interaction_required"),
    }
)
"""Whatever else a server says may repeat what it was shown, and is not passed on."""


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are to one issuer."""

    id: str
    secret: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    """A private key in PEM, with which it signs who it is."""
    algorithm: str = "ES256"
    method: str | None = None
    """As agreed when it was registered; None: the best that the server takes."""

    def method_at(self, server: Server) -> str:
        """How it shows who it is at the token endpoint (RFC 8414, `token_endpoint_auth_methods_supported`)."""
        if self.method is not None:
            return self.method
        if self.key is not None:
            return "private_key_jwt"
        if self.secret is None:
            return "none"
        return (
            "client_secret_post"
            if "client_secret_basic" not in server.methods and "client_secret_post" in server.methods
            else "client_secret_basic"
        )


@dataclass(frozen=True, slots=True)
class Started:
    """An authorization that a person has been sent to."""

    state: str = field(repr=False)
    verifier: str = field(repr=False)
    server: Server
    client: Client
    redirect: str
    resource: str | None
    scopes: tuple[str, ...]

    @property
    def url(self) -> str:
        """Where the person goes."""
        assert self.server.authorization_endpoint is not None
        challenge = base64.urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        wanted = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self.redirect,
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            **({"resource": self.resource} if self.resource else {}),
            **({"scope": " ".join(self.scopes)} if self.scopes else {}),
            # OpenID Connect, 11: without a prompt for consent no refresh token may be given.
            **({"prompt": "consent"} if "offline_access" in self.scopes else {}),
        }
        joint = "&" if urlsplit(self.server.authorization_endpoint).query else "?"
        return f"{self.server.authorization_endpoint}{joint}{urlencode(wanted)}"


@dataclass(frozen=True, slots=True)
class Given:
    """What a token endpoint gave."""

    access: str = field(repr=False)
    seconds: float
    """That it lives."""
    refresh: str | None = field(default=None, repr=False)
    scopes: tuple[str, ...] | None = None
    """None: those that were asked for."""


def start(server: Server, client: Client, redirect: str, resource: str | None, scopes: Sequence[str]) -> Started:
    """
    Raises:
        UpstreamFailed: the server has no way for people, or none that is safe.
    """
    if server.authorization_endpoint is None:
        raise UpstreamFailed(f"{server.issuer} names no authorization endpoint")
    if "S256" not in server.challenges:  # basic/authorization, "Authorization Code Protection": must refuse
        raise UpstreamFailed(f"{server.issuer} does not say that it supports PKCE with S256, without which codes can be stolen")
    named = resource if takes_resource(server.issuer) else None
    return Started(secrets.token_urlsafe(32), secrets.token_urlsafe(48), server, client, redirect, named, tuple(scopes))


def code_in(started: Started, query: str) -> str:
    """The code in what a person came back with.

    Raises:
        UpstreamFailed: it belongs to another authorization, comes from another issuer, or is a refusal.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    said = dict(pairs)
    if len(said) < len(pairs):
        raise UpstreamFailed("the answer says something twice")
    if not secrets.compare_digest(said.get("state", "").encode(), started.state.encode()):
        raise UpstreamFailed("the answer belongs to another authorization than the one that was begun here")
    issuer, named = started.server.issuer, said.get("iss")
    # RFC 9207, 2.4: compared as text. Without it an answer of one server could be taken to another (mix-up).
    if named != issuer and (named is not None or started.server.says_issuer):
        raise UpstreamFailed(f"the answer does not come from {issuer}, where the authorization was begun")
    if "error" in said:
        raise UpstreamFailed(f"{issuer} gave no authorization{_reason(said['error'])}")
    if not said.get("code"):
        raise UpstreamFailed(f"{issuer} answered without a code")
    return said["code"]


def code_form(started: Started, code: str) -> Mapping[str, str]:
    """The form for the token endpoint that a code is exchanged by."""
    return {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": started.redirect,
        "code_verifier": started.verifier,
        **({"resource": started.resource} if started.resource else {}),
    }


def token_request(server: Server, client: Client, form: Mapping[str, str]) -> Request:
    """`form` for the token endpoint, with what shows who the client is. Goes to the issuer that the client is known to, and to no other."""
    headers: Headers = (("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded"))
    method = client.method_at(server)
    match method:
        case "client_secret_basic":
            # RFC 6749, 2.3.1: both are form-encoded before they are joined.
            pair = f"{quote_plus(client.id)}:{quote_plus(client.secret or '')}"
            headers += (("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)
        case "client_secret_post":
            form = {**form, "client_id": client.id, "client_secret": client.secret or ""}
        case "private_key_jwt":
            form = {**form, "client_id": client.id, "client_assertion_type": ASSERTION, "client_assertion": _assertion(server, client)}
        case "none":
            form = {**form, "client_id": client.id}
        case _:
            raise UpstreamFailed(f"{server.issuer} wants clients to show themselves by {method}, which is not spoken here")
    return Request("POST", server.token_endpoint, headers, urlencode(form).encode())


def given(response: Response, issuer: str) -> Given:
    """What is in a token endpoint's answer (RFC 6749, 5).

    Raises:
        UpstreamFailed: nothing.
    """
    said = _object(response)
    if response.status not in (200, 201):  # the second is what NestJS answers to a POST unless told otherwise
        raise UpstreamFailed(
            f"{issuer} gave no access token: it answered {response.status}{_reason(said.get('error'))}", status=response.status
        )
    token, kind, life = said.get("access_token"), said.get("token_type", "bearer"), said.get("expires_in", ASSUMED_SECONDS)
    if not isinstance(token, str) or not token or not isinstance(kind, str) or kind.lower() not in BEARER:
        raise UpstreamFailed(f"{issuer} gave no access token of the type bearer", status=response.status)
    try:
        seconds = max(0.0, float(life))
    except (TypeError, ValueError):
        seconds = ASSUMED_SECONDS
    refresh, scope = said.get("refresh_token"), said.get("scope")
    return Given(
        token,
        seconds,
        refresh if isinstance(refresh, str) and refresh else None,
        tuple(scope.split()) if isinstance(scope, str) else None,
    )


def registration(server: Server, redirects: Sequence[str], scopes: Sequence[str]) -> Request:
    """Ask to be a client there (RFC 7591)."""
    assert server.registration_endpoint is not None
    methods = [each for each in ("none", "client_secret_basic", "client_secret_post") if each in server.methods]
    wanted = {
        **OURS,
        "redirect_uris": list(redirects),
        "token_endpoint_auth_method": methods[0] if methods else "none",
        **({"scope": " ".join(scopes)} if scopes else {}),
    }
    headers = (("Accept", "application/json"), ("Content-Type", "application/json"))
    return Request("POST", server.registration_endpoint, headers, orjson.dumps(wanted))


def registered(response: Response, server: Server) -> Client:
    """Who we are now.

    Raises:
        UpstreamFailed: nobody.
    """
    said = _object(response)
    name, secret, method = said.get("client_id"), said.get("client_secret"), said.get("token_endpoint_auth_method")
    if response.status not in (200, 201) or not isinstance(name, str) or not name:
        raise UpstreamFailed(f"{server.issuer} did not register us: it answered {response.status}{_reason(said.get('error'))}")
    return Client(name, secret if isinstance(secret, str) and secret else None, method=method if isinstance(method, str) else None)


def wanted_scopes(asked: Sequence[str], found: Sequence[str] | None, server: Server) -> tuple[str, ...]:
    """The scopes to ask for: the operator's own, else what the resource wants; and a refresh token where the server has a scope for it.

    Source: 2026-07-28, basic/authorization, "Scope Selection Strategy" and "Refresh Tokens".
    """
    scopes = tuple(asked) or tuple(found or ())
    if "offline_access" in server.scopes and "offline_access" not in scopes:
        scopes = (*scopes, "offline_access")
    return scopes


def _assertion(server: Server, client: Client) -> str:
    """A signed word on who the client is (RFC 7523, 3)."""
    import jwt

    now = int(time.time())
    claims = {
        "iss": client.id,
        "sub": client.id,
        "aud": server.issuer,
        "jti": secrets.token_urlsafe(16),
        "iat": now,
        "exp": now + ASSERTED_SECONDS,
    }
    try:
        return jwt.encode(claims, client.key or "", algorithm=client.algorithm)
    except (ValueError, TypeError, jwt.PyJWTError, NotImplementedError):
        raise UpstreamFailed(f"auth.private_key cannot sign with {client.algorithm}") from None


def _object(response: Response) -> Mapping[str, Any]:
    try:
        body = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _reason(error: Any) -> str:
    return f" ({error})" if isinstance(error, str) and error in ERRORS else ""
