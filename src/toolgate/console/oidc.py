"""Sign in with an issuer: OAuth 2.1's authorization code with PKCE (RFC 7636), for an access token that is meant for us.

    GET /console/sign-in?issuer=NAME ──▶ the issuer's page ──▶ GET /console/signed-in?code&state&iss ──▶ /console/

What the browser brings back is believed only once: its `state` is one that we gave to this very browser (a cookie says
so) less than ten minutes ago, `iss` is the issuer that we sent it to (RFC 9207), and the code is worth nothing without
the verifier, which is in the cookie too, sealed by a key that only our processes have. So nothing is kept of those who
begin to sign in and never come back; what is kept is that a `state` has opened its session.

The access token then goes through the ordinary `identify`: signature, audience, times, and which roles its claims mean.
ID tokens are not asked for: they say who somebody is to us as a client, and what counts is who they are to us as the
resource.
"""

from __future__ import annotations

import base64
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urljoin, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from toolgate.console.files import HOME
from toolgate.egress import wire
from toolgate.egress.wire import Sender
from toolgate.errors import NotIdentified, ToolgateError, UpstreamFailed
from toolgate.oauth.metadata import takes_resource
from toolgate.policy.bounds import CALL, READ
from toolgate.server.identify import Identify
from toolgate.server.jwks import json_at, metadata, protected
from toolgate.server.session import Sessions, showing
from toolgate.settings import Identity, Issuer
from toolgate.stores import Stores
from toolgate.stores.sealed import sealed, unsealed

BEGIN, BACK = "/console/sign-in", "/console/signed-in"
KIND = "signed_in"
"""Of the records."""
SECONDS = 600.0
"""What somebody may take at the issuer's page."""
COOKIE = "toolgate_signing_in"

log = logging.getLogger("toolgate.console")


class _Begun(NamedTuple):
    """A sign-in that has begun: what its browser keeps for us, sealed."""

    state: str
    issuer: str
    verifier: str
    expires: float
    """Seconds since 1970."""


class Issuers:
    """Those that the operator registered the console with."""

    def __init__(
        self,
        identity: Identity,
        sender: Sender,
        stores: Stores,
        identify: Identify,
        sessions: Sessions,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            sender: the guarded way out.
            identify: who shows a token.
            clock: seconds since 1970.
        """
        self._issuers = {each.name or urlsplit(each.issuer).hostname or "": each for each in identity.issuers if each.client_id}
        self._resource = identity.resource
        self._home = identity.prefix + HOME
        self._sender = sender
        self._records = stores.records
        self._key = stores.keys.key("signing in")
        self._identify = identify
        self._sessions = sessions
        self._clock = clock
        self.names = tuple(self._issuers)
        self.open = frozenset({BEGIN, BACK}) if self._issuers else frozenset[str]()

    def routes(self) -> list[BaseRoute]:
        return [Route(BEGIN, self._begin, methods=["GET"]), Route(BACK, self._back, methods=["GET"])] if self._issuers else []

    async def _begin(self, request: Request) -> Response:
        """Send the browser to the issuer's page."""
        name = request.query_params.get("issuer", "")
        issuer = self._issuers.get(name)
        if issuer is None or issuer.client_id is None:
            return self._failed("unknown")
        try:
            page = _url((await metadata(issuer, self._sender)).get("authorization_endpoint"), issuer)
        except ToolgateError as error:
            log.warning("nobody can sign in with %s: %s", name, error)
            return self._failed("issuer")
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        begun = _Begun(state, name, verifier, self._clock() + SECONDS)
        asked = {
            "response_type": "code",
            "client_id": issuer.client_id,
            "redirect_uri": self._redirect_uri(request),
            "scope": " ".join(scopes_of(issuer)),
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            **_meant(issuer),
        }
        given = self._mark(self._sealed(begun), SECONDS)
        return RedirectResponse(f"{page}{'&' if '?' in page else '?'}{urlencode(asked)}", 303, headers={"set-cookie": given})

    async def _back(self, request: Request) -> Response:
        """Take what the issuer's page sent the browser back with."""
        said = request.query_params
        begun = self._opened(request.cookies.get(COOKIE, ""))
        if begun is None or not hmac.compare_digest(said.get("state", "").encode(), begun.state.encode()):
            return self._failed("expired")
        issuer = self._issuers.get(begun.issuer)
        if issuer is None or said.get("iss", issuer.issuer) != issuer.issuer:
            return self._failed("issuer")
        if not (code := said.get("code")):
            return self._failed("refused")
        try:
            token = await self._token(request, issuer, code, begun.verifier)
            await self._identify(showing(request.scope, token))
        except NotIdentified as error:
            log.warning("a token of %s is not taken: %s", issuer.issuer, error)
            return self._failed("identity")
        except ToolgateError as error:
            log.warning("nobody can sign in with %s: %s", issuer.issuer, error)
            return self._failed("issuer")
        if not await self._records.put(KIND, _id(begun.state), {}, expires=begun.expires):
            return self._failed("expired")  # it has opened its session
        answer = RedirectResponse(self._home, 303, headers=self._sessions.cookie(request.scope, await self._sessions.open(token)))
        answer.headers.append("set-cookie", self._mark("", 0))
        return answer

    def _sealed(self, begun: _Begun) -> str:
        return base64.urlsafe_b64encode(sealed(self._key, json.dumps(begun).encode())).decode().rstrip("=")

    def _opened(self, cookie: str) -> _Begun | None:
        """What `_sealed` made; None: it was not made here, or too long ago."""
        try:
            begun = _Begun(*json.loads(unsealed(self._key, base64.urlsafe_b64decode(cookie + "=" * (-len(cookie) % 4)))))
        except ValueError:  # cut short or no base64, too
            return None
        return begun if self._clock() < begun.expires else None

    async def _token(self, request: Request, issuer: Issuer, code: str, verifier: str) -> str:
        """The access token for `code`.

        Raises:
            UpstreamFailed: the issuer gives none.
        """
        endpoint = _url((await metadata(issuer, self._sender)).get("token_endpoint"), issuer)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri(request),
            "client_id": issuer.client_id or "",
            "code_verifier": verifier,
            **_meant(issuer),
        }
        headers = [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
        if issuer.client_secret:  # RFC 6749, 2.3.1: both are form-encoded before they are joined
            pair = f"{quote(form.pop('client_id'), safe='')}:{quote(issuer.client_secret.get_secret_value(), safe='')}"
            headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
        asked = wire.Request("POST", endpoint, tuple(headers), urlencode(form).encode())
        answer: Mapping[str, Any] = await json_at(endpoint, issuer, self._sender, asked)
        token = answer.get("access_token")
        if not isinstance(token, str) or not token.isascii() or str(answer.get("token_type")).lower() != "bearer":
            raise UpstreamFailed("its answer holds no bearer token")
        return token

    def _redirect_uri(self, request: Request) -> str:
        """Where the browser comes back to. The `Host` has been checked by then."""
        if self._resource:
            return urljoin(self._resource, self._home + BACK.removeprefix(HOME))
        return f"{str(request.base_url).rstrip('/')}{BACK}"

    def _failed(self, why: str) -> Response:
        """Back to the page, which says it in its own words: what a stranger wrote into a link must not be shown as ours."""
        return RedirectResponse(f"{self._home}#/sign-in?failed={why}", 303)

    def _mark(self, value: str, seconds: float) -> str:
        return f"{COOKIE}={value}; Path={self._home}; HttpOnly; SameSite=Lax; Max-Age={seconds:.0f}"


def _url(value: object, issuer: Issuer) -> str:
    if not isinstance(value, str):
        raise UpstreamFailed(f"the metadata of {issuer.issuer} does not say where people sign in")
    return protected(value, issuer)


def scopes_of(issuer: Issuer) -> Sequence[str]:
    if issuer.client_scopes is not None:
        return issuer.client_scopes
    return (READ, CALL) if issuer.scoped else ("openid",)


def _meant(issuer: Issuer) -> Mapping[str, str]:
    """RFC 8707: a token for us, and for nobody else."""
    return {"resource": issuer.audience[0]} if takes_resource(issuer.issuer) else {}


def _id(state: str) -> str:
    return sha256(state.encode()).hexdigest()
