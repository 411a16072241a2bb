"""Consent over HTTP: a caller asks where to go, somebody goes there in a browser, and the caller says what the browser showed.

    caller  POST /v1/credentials/NAME/link     →  url
    browser url → authorization server → GET /oauth/callback  →  a code on the page
    caller  POST /v1/credentials/NAME/confirm  {code}         →  linked

Without the last step whoever began could send the URL to somebody else, and have that one's account linked to their own
name: the code is known only to who was in the browser. It is good once, for ten minutes, for five tries, for that caller.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from toolgate.api.answers import Json, problem_answer
from toolgate.calls import Principal
from toolgate.errors import ToolgateError, UpstreamFailed
from toolgate.gateway import Gateway
from toolgate.integration import AuthorizationCode, Integration
from toolgate.oauth.document import PATH
from toolgate.oauth.flow import Started, code_in
from toolgate.openapi.consent import Consent, holder_of
from toolgate.openapi.links import Holder
from toolgate.server.identify import principal_of

LINK, CONFIRM = "/v1/credentials/{name}/link", "/v1/credentials/{name}/confirm"
"""Only there where an integration wants each caller's consent."""
SECONDS = 600.0
"""That an authorization waits for its end."""
MOST, MOST_OF_ONE = 1000, 5
"""Authorizations that wait, in all and of one caller; the oldest give way."""
TRIES = 5
LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels, so no words
PAGE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
Linked = Callable[[Principal, Holder], Awaitable[object]]
"""Writes down that somebody has linked something."""


@dataclass
class _Waiting:
    holder: Holder
    integration: Integration
    started: Started
    until: float
    code: str = field(default_factory=lambda: "".join(secrets.choice(LETTERS) for _ in range(8)), repr=False)
    tries: int = 0
    query: str | None = field(default=None, repr=False)
    """What the browser came back with; None: it has not."""


class Consents:
    def __init__(
        self,
        gateway: Gateway,
        consent: Consent,
        integrations: Mapping[str, Integration],
        linked: Linked,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._consent = consent
        self._integrations = {name: one for name, one in integrations.items() if _by_each(one)}
        self._linked = linked
        self._ticks = ticks
        self._waiting: dict[str, _Waiting] = {}
        self.open = frozenset({PATH}) if self._integrations else frozenset[str]()
        """Paths that answer anybody: browsers show no credential."""

    def routes(self) -> list[BaseRoute]:
        if not self._integrations:
            return []
        return [
            Route(LINK, self.begin, methods=["POST"]),
            Route(CONFIRM, self.confirm, methods=["POST"]),
            Route(PATH, self.back, methods=["GET"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Where to go, for somebody who is to be called as from now on."""
        principal, name = principal_of(request.scope), request.path_params["name"]
        integration = self._known(principal, name)
        if integration is None:
            return problem_answer("not_found", f"there is no integration {name[:64]!r} that callers let Toolgate into themselves")
        if principal.id == "anonymous":
            return problem_answer("not_permitted", "a caller without a name can link nothing; show an API key or a token")
        holder = holder_of(integration, principal.tenant, principal.user, shared=False)
        try:
            started = await self._consent.begin(integration, holder, self._redirect(request), _words(await request.body(), "scopes"))
        except ValueError as error:
            return problem_answer("bad_request", str(error))
        except ToolgateError as error:
            return problem_answer("upstream_failed", str(error))
        self._remember(_Waiting(holder, integration, started, self._ticks() + SECONDS))
        return Json({"url": started.url, "expires_in": SECONDS})

    async def back(self, request: Request) -> Response:
        """The browser comes back. Nothing is linked yet: it is told what its caller has to say."""
        waiting = self._find(request.query_params.get("state", ""))
        if waiting is None or waiting.query is not None:
            return PlainTextResponse("This answer belongs to no question that waits here.", 400, headers=PAGE)
        try:
            code_in(waiting.started, request.url.query)
        except UpstreamFailed as error:
            self._waiting.pop(waiting.started.state, None)
            return PlainTextResponse(f"Nothing was linked: {error}.", 400, headers=PAGE)
        waiting.query = request.url.query
        who, code = waiting.holder.user, f"{waiting.code[:4]}-{waiting.code[4:]}"
        said = (
            f"To let Toolgate into {waiting.integration.name} as {who}, tell the program that sent you here this code, once:\n\n"
            f"    {code}\n\nIf you do not know {who}, or nobody you trust sent you, tell nobody."
        )
        return PlainTextResponse(said, headers=PAGE)

    async def confirm(self, request: Request) -> Response:
        """The code that the browser showed: now it is linked."""
        principal, name = principal_of(request.scope), request.path_params["name"]
        try:
            (code,) = _words(await request.body(), "code")
        except ValueError:
            return problem_answer("bad_request", 'the body is {"code": "…"}, with what the browser showed')
        said = code.replace("-", "").strip().upper().encode()
        holder = Holder.of(principal, name)
        for waiting in [each for each in self._waiting.values() if each.holder == holder and each.query is not None]:
            waiting.tries += 1
            right = secrets.compare_digest(said, waiting.code.encode()) and self._ticks() < waiting.until
            if right or waiting.tries >= TRIES:
                self._waiting.pop(waiting.started.state, None)
            if right:
                return await self._finish(waiting, principal)
        return problem_answer("not_found", "this is not the code of an authorization of yours; begin anew")

    async def _finish(self, waiting: _Waiting, principal: Principal) -> Response:
        assert waiting.query is not None
        try:
            grant = await self._consent.finish(waiting.integration, waiting.holder, waiting.started, waiting.query)
        except ToolgateError as error:
            return problem_answer("upstream_failed", str(error))
        await self._linked(principal, waiting.holder)
        said = {"integration": waiting.integration.name, "user": waiting.holder.user}
        return Json({**said, "issuer": grant.issuer, "scopes": list(grant.scopes)})

    def _known(self, principal: Principal, name: str) -> Integration | None:
        """The integration, where the caller may know of a tool of it."""
        visible = self._gateway.visible(principal).values()
        offered = any(tool.integration == name for tool in visible)
        return self._integrations.get(name) if offered else None

    def _redirect(self, request: Request) -> str:
        """Where browsers come back to: by the address that the world knows, where the settings say it."""
        known = urlsplit(self._consent.document) if self._consent.document else None
        return f"{known.scheme}://{known.netloc}{PATH}" if known else f"{str(request.base_url).rstrip('/')}{PATH}"

    def _remember(self, fresh: _Waiting) -> None:
        mine = [state for state, each in self._waiting.items() if each.holder == fresh.holder]
        for state in mine[: len(mine) - MOST_OF_ONE + 1] if len(mine) >= MOST_OF_ONE else ():
            del self._waiting[state]
        while len(self._waiting) >= MOST:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[fresh.started.state] = fresh

    def _find(self, state: str) -> _Waiting | None:
        waiting = self._waiting.get(state)
        return waiting if waiting is not None and self._ticks() < waiting.until else None


def _by_each(integration: Integration) -> bool:
    return isinstance(integration.auth, AuthorizationCode) and integration.auth.per_user


def _words(body: bytes, key: str) -> list[str]:
    """What `key` of a JSON body holds, a text or a list of them; nothing where there is no body."""
    try:
        said: Any = json.loads(body) if body else {}
    except json.JSONDecodeError:
        raise ValueError("the body is JSON") from None
    value = said.get(key, []) if isinstance(said, dict) and said.keys() <= {key} else None
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"the body is an object with one key, {key!r}")
    return words
