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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from toolgate.api.answers import Json, problem_answer
from toolgate.api.begun import SECONDS, TRIES, Begun, Waiting
from toolgate.calls import Principal
from toolgate.errors import ToolgateError, UpstreamFailed
from toolgate.gateway import Gateway
from toolgate.integration import AuthorizationCode, Integration
from toolgate.oauth.document import PATH, PLACE, came_back
from toolgate.oauth.flow import code_in
from toolgate.openapi.consent import Consent, holder_of
from toolgate.openapi.links import Holder
from toolgate.server.identify import principal_of

LINK, CONFIRM = "/v1/credentials/{name}/link", "/v1/credentials/{name}/confirm"
"""Only there where an integration wants each caller's consent."""
PAGE = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
Linked = Callable[[Principal, Holder], Awaitable[object]]
"""Writes down that somebody has linked something."""


@dataclass
class Consents:
    gateway: Gateway
    consent: Consent
    waiting: Waiting
    integrations: Mapping[str, Integration]
    linked: Linked

    def __post_init__(self) -> None:
        self.integrations = {
            name: one for name, one in self.integrations.items() if isinstance(one.auth, AuthorizationCode) and one.auth.per_user
        }
        self.open = frozenset({PATH}) if self.integrations else frozenset[str]()
        """Paths that answer anybody: browsers show no credential."""

    def routes(self) -> list[BaseRoute]:
        if not self.integrations:
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
            started = await self.consent.begin(integration, holder, self._redirect(request), _words(await request.body(), "scopes"))
        except ValueError as error:
            return problem_answer("bad_request", str(error))
        except ToolgateError as error:
            return problem_answer("upstream_failed", str(error))
        await self.waiting.add(holder, started)
        return Json({"url": started.url, "expires_in": SECONDS})

    async def back(self, request: Request) -> Response:
        """The browser comes back. Nothing is linked yet: it is told what its caller has to say."""
        begun = await self.waiting.of(request.query_params.get("state", ""))
        if begun is None or begun.query is not None:
            return PlainTextResponse("This answer belongs to no question that waits here.", 400, headers=PAGE)
        try:
            code_in(begun.started, request.url.query)
        except UpstreamFailed as error:
            await self.waiting.take(begun)
            return PlainTextResponse(f"Nothing was linked: {error}.", 400, headers=PAGE)
        if await self.waiting.change(begun, query=request.url.query) is None:
            return PlainTextResponse("This answer has come already.", 400, headers=PAGE)
        who, code = begun.holder.user, f"{begun.code[:4]}-{begun.code[4:]}"
        said = (
            f"To let Toolgate into {begun.holder.integration} as {who}, tell the program that sent you here this code, once:\n\n"
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
        for begun in await self.waiting.of_holder(Holder.of(principal, name)):
            # Counted before it is looked at: guesses at the same time, in several processes, are as many as these.
            counted = await self.waiting.change(begun, tries=begun.tries + 1)
            right = counted is not None and secrets.compare_digest(said, counted.code.encode())
            if counted is not None and (right or counted.tries >= TRIES) and await self.waiting.take(counted) and right:
                return await self._finish(counted, principal)
        return problem_answer("not_found", "this is not the code of an authorization of yours; begin anew")

    async def _finish(self, begun: Begun, principal: Principal) -> Response:
        assert begun.query is not None
        integration = self.integrations.get(begun.holder.integration)
        if integration is None:
            return problem_answer("not_found", "there is no such integration any more that callers let Toolgate into themselves")
        try:
            grant = await self.consent.finish(integration, begun.holder, begun.started, begun.query)
        except ToolgateError as error:
            return problem_answer("upstream_failed", str(error))
        await self.linked(principal, begun.holder)
        said = {"integration": integration.name, "user": begun.holder.user}
        return Json({**said, "issuer": grant.issuer, "scopes": list(grant.scopes)})

    def _known(self, principal: Principal, name: str) -> Integration | None:
        """The integration, where the caller may know of a tool of it."""
        visible = self.gateway.visible(principal).values()
        offered = any(tool.integration == name for tool in visible)
        return self.integrations.get(name) if offered else None

    def _redirect(self, request: Request) -> str:
        """Where browsers come back to: by the address that the world knows, where the settings say it."""
        return came_back(self.consent.document or f"{str(request.base_url).rstrip('/')}{PLACE}")


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
