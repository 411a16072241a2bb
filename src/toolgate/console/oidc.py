"""Sign in with an issuer: OAuth 2.1's authorization code with PKCE (RFC 7636), for an access token that is meant for us.

    GET /console/sign-in?issuer=NAME ──▶ the issuer's page ──▶ GET /console/signed-in?code&state&iss ──▶ /console/

What the browser brings back is believed only once: its `state` is one that we gave to this very browser (a cookie says
so) less than ten minutes ago, `iss` is the issuer that we sent it to (RFC 9207), and the code is worth nothing without
the verifier, which never left us. The access token then goes through the ordinary `identify`: signature, audience,
times, and which roles its claims mean. ID tokens are not asked for: they say who somebody is to us as a client, and what
counts is who they are to us as the resource.
"""

from __future__ import annotations

import base64
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from toolgate.console.files import HOME
from toolgate.egress import wire
from toolgate.egress.wire import Sender
from toolgate.errors import NotIdentified, ToolgateError, UpstreamFailed
from toolgate.server.identify import Identify
from toolgate.server.jwks import json_at, metadata, protected
from toolgate.server.session import Sessions, cookie, showing
from toolgate.settings import Identity, Issuer
from toolgate.stores import Records

BEGIN, BACK = "/console/sign-in", "/console/signed-in"
KIND = "signing_in"
"""Of the records."""
SECONDS = 600.0
"""What somebody may take at the issuer's page."""
COOKIE = "toolgate_signing_in"

log = logging.getLogger("toolgate.console")


class Issuers:
    """Those that the operator registered the console with."""

    def __init__(
        self,
        identity: Identity,
        sender: Sender,
        records: Records,
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
        self._sender = sender
        self._records = records
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
            return _failed("unknown")
        try:
            page = _url((await metadata(issuer, self._sender)).get("authorization_endpoint"), issuer)
        except ToolgateError as error:
            log.warning("nobody can sign in with %s: %s", name, error)
            return _failed("issuer")
        state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(48)
        await self._records.put(KIND, _id(state), {"issuer": name, "verifier": verifier}, expires=self._clock() + SECONDS)
        asked = {
            "response_type": "code",
            "client_id": issuer.client_id,
            "redirect_uri": self._redirect_uri(request),
            "scope": " ".join(issuer.client_scopes),
            "state": state,
            "code_challenge": base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("="),
            "code_challenge_method": "S256",
            "resource": issuer.audience[0],  # RFC 8707: a token for us, and for nobody else
        }
        mark = f"{COOKIE}={state}; Path=/console/; HttpOnly; SameSite=Lax; Max-Age={SECONDS:.0f}"
        return RedirectResponse(f"{page}{'&' if '?' in page else '?'}{urlencode(asked)}", 303, headers={"set-cookie": mark})

    async def _back(self, request: Request) -> Response:
        """Take what the issuer's page sent the browser back with."""
        said = request.query_params
        state, given = said.get("state", ""), request.cookies.get(COOKIE, "")
        record = await self._records.get(KIND, _id(state)) if state and hmac.compare_digest(state.encode(), given.encode()) else None
        if record is None or not await self._records.delete(KIND, record.id):
            return _failed("expired")
        issuer = self._issuers.get(record.body["issuer"])
        if issuer is None or said.get("iss", issuer.issuer) != issuer.issuer:
            return _failed("issuer")
        if not (code := said.get("code")):
            return _failed("refused")
        try:
            token = await self._token(request, issuer, code, record.body["verifier"])
            await self._identify(showing(request.scope, token))
        except NotIdentified as error:
            log.warning("a token of %s is not taken: %s", issuer.issuer, error)
            return _failed("identity")
        except ToolgateError as error:
            log.warning("nobody can sign in with %s: %s", issuer.issuer, error)
            return _failed("issuer")
        opened = await self._sessions.open(token)
        secure = self._redirect_uri(request).startswith("https:")
        return RedirectResponse(HOME, 303, headers=cookie(request.scope, opened, secure=secure))

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
            "resource": issuer.audience[0],
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
            parts = urlsplit(self._resource)
            return f"{parts.scheme}://{parts.netloc}{BACK}"
        return f"{str(request.base_url).rstrip('/')}{BACK}"


def _url(value: object, issuer: Issuer) -> str:
    if not isinstance(value, str):
        raise UpstreamFailed(f"the metadata of {issuer.issuer} does not say where people sign in")
    return protected(value, issuer)


def _failed(why: str) -> Response:
    """Back to the page, which says it in its own words: what a stranger wrote into a link must not be shown as ours."""
    return RedirectResponse(f"{HOME}#/sign-in?failed={why}", 303)


def _id(state: str) -> str:
    return sha256(state.encode()).hexdigest()
