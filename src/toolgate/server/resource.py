"""This server as a protected resource of OAuth 2.1: what clients are told so that they can get a token, and a better one.

    no credential      401  resource_metadata, scope                      RFC 9728 (5.1), RFC 6750 (3)
    a refused one      401  the same, error="invalid_token"
    too few scopes     403  the same, error="insufficient_scope", scope = every scope that the next token needs

The metadata is served at both well-known places: for the MCP endpoint, and for the whole server, as a client makes the
URL of the one that it knows (RFC 9728, 3.1). Without a trusted issuer there is no metadata, and challenges name none.

Which scopes a call lacks is known only once the gate has refused it. So the head of an answer to a caller with scopes
waits for the first piece of its body: by then the handler has called `note`, in every protocol era. Only `/messages/`
answers before the call is made, and its clients read the refusal in the result.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Scope, Send

from toolgate.calls import Outcome
from toolgate.oauth.document import PLACE, document
from toolgate.oauth.metadata import split
from toolgate.policy.bounds import CALL, READ, TOOL
from toolgate.settings import Identity

WELL_KNOWN = "/.well-known/oauth-protected-resource"
ENDPOINT = "/mcp"
LACKING = "lacking"
"""In the state of a request: the scopes that its call lacked."""


class Resource:
    def __init__(self, identity: Identity, origins: Iterable[str] = ()) -> None:
        """
        Args:
            origins: of the pages that may ask: where one is of our own host and https, clients come by https, too.
        """
        self._identity = identity
        self._https = frozenset(f"http://{origin.removeprefix('https://')}" for origin in origins if origin.startswith("https://"))
        self.prefix = identity.prefix
        # An issuer that has none of ours refuses who asks for them (`invalid_scope`).
        ours = any(issuer.scoped for issuer in identity.issuers)
        self._first = identity.scopes if identity.scopes is not None else (READ,) if ours else ()
        self._supported = list(dict.fromkeys((*((READ, CALL) if ours else ()), *self._first)))
        path = urlsplit(identity.resource).path.rstrip("/") if identity.resource else ENDPOINT
        self._places = frozenset({WELL_KNOWN, f"{WELL_KNOWN}{ENDPOINT}", f"{WELL_KNOWN}{path}"}) if identity.issuers else frozenset[str]()
        self.open = self._places | ({PLACE} if identity.client else set())
        """Paths that answer anybody."""

    def routes(self) -> list[BaseRoute]:
        ours = [Route(PLACE, self._client, methods=["GET"])] if self._identity.client else []
        return [*ours, *(Route(path, self._metadata, methods=["GET"]) for path in sorted(self._places))]

    def url(self, scope: Scope) -> str:
        """The MCP endpoint as clients know it. The `Host` has been checked by then."""
        if self._identity.resource:
            return self._identity.resource
        base = f"{HTTPConnection(scope).base_url}".rstrip("/")
        return (base.replace("http:", "https:", 1) if base in self._https else base) + ENDPOINT

    def challenge(self, scope: Scope, error: str | None = None, scopes: Iterable[str] | None = None) -> str:
        """The value of `WWW-Authenticate`.

        Args:
            error: of RFC 6750, 3.1; None: no credential was shown.
            scopes: what a token should have; None: what one needs at first.
        """
        if not self._identity.issuers:
            parts: Mapping[str, str | None] = {"realm": "toolgate", "error": error}
        else:
            origin, path = split(self.url(scope))
            wanted = " ".join(self._first if scopes is None else scopes)
            parts = {"error": error, "resource_metadata": f"{origin}{WELL_KNOWN}{path}", "scope": wanted or None}
        return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items() if value is not None)

    def too_few(self, held: frozenset[str]) -> bool:
        """Whether with `held` nothing at all can be done here, not even look."""
        return not any(map(_ours, held))

    def challenging(self, scope: Scope, send: Send, held: frozenset[str]) -> Send:
        """`send`, but an answer to a call that lacked scopes is 403 and says which.

        Args:
            held: the scopes that were shown.
        """
        head: Message | None = None

        async def send_head_late(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
                return
            if head is not None:
                waiting, head = head, None
                await send(self._refused(waiting, scope, held) if LACKING in scope["state"] else waiting)
            await send(message)

        return send_head_late

    def _refused(self, head: Message, scope: Scope, held: frozenset[str]) -> Message:
        # A client shows one token at a time: the next one needs what this one was good for, too.
        scopes = sorted({*filter(_ours, held), *scope["state"][LACKING]})
        challenge = self.challenge(scope, "insufficient_scope", scopes).encode()
        return {**head, "status": 403, "headers": [*head["headers"], (b"www-authenticate", challenge)]}

    async def _client(self, _request: Request) -> JSONResponse:
        """Who we are to the servers of others, where we are the client."""
        assert self._identity.client is not None
        return JSONResponse(document(self._identity.client))

    async def _metadata(self, request: Request) -> JSONResponse:
        origin, path = split(self.url(request.scope))
        # RFC 9728, 3.3: the resource must be the one that the client made this URL of.
        resource = origin if request.url.path == WELL_KNOWN else f"{origin}{path}"
        document: dict[str, Any] = {
            "resource": resource,
            "resource_name": "Toolgate",
            "authorization_servers": [issuer.issuer for issuer in self._identity.issuers],
            **({"scopes_supported": self._supported} if self._supported else {}),
            "bearer_methods_supported": ["header"],
        }
        return JSONResponse(document)


def note(request: Scope | None, outcome: Outcome) -> None:
    """Have the answer to `request` say which scopes its call lacked, if any did.

    Args:
        request: None where there is none, as over stdio.
    """
    if request is None or outcome.problem is None or not (scopes := outcome.problem.details.get("scopes")):
        return
    # Each alone would do, and the first is for this tool alone: issuers have the general ones.
    request["state"][LACKING] = [next((scope for scope in scopes if not scope.startswith(TOOL)), scopes[0])]


def _ours(scope: str) -> bool:
    return scope in (READ, CALL) or scope.startswith(TOOL)
