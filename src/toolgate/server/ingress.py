"""What a request must be before anybody reads it: meant for us, from a page we know, of a size, in time, unambiguous.

Rule 1: `Host` and `Origin` are compared whole, on every bind and every path (what balances loads asks how we are under any
        `Host`, or none). A page that rebinds its own name to our
        address keeps its name in `Host`; a check that looks at the beginning only takes `127.0.0.1:80.evil.com` for
        us (python-sdk#3364). No `Origin` means no browser, and is fine.
Rule 2: a body counts only as JSON. Browsers send forms and text across origins without asking, JSON never.
Rule 3: a body is whole, small enough and read in one way before the application starts, or the application does not.

One object does all of it in its order, since every call comes by here: a layer for each rule cost a twentieth of a call.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from functools import lru_cache

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.errors import LimitReached, NotIdentified, ToolgateError
from toolgate.server import WHOLE
from toolgate.server.cors import preflight, readable
from toolgate.server.faces import refused
from toolgate.server.headers import Headers, headers_of
from toolgate.server.identify import OPEN, STATE, Identify
from toolgate.server.resource import Resource
from toolgate.server.strict import Ambiguous, check
from toolgate.settings import Identity, Server

ENDPOINTS = ("/mcp", "/mcp/")
"""Both, since many a client is given the one that is not there, and follows no redirect with what it has to say."""
MAX_HEADERS = 64 * 1024
"""Bytes of request line and headers."""
PARSE_ERROR, INVALID_REQUEST = -32700, -32600
VALUE = "value"
"""In the state of a POST: its body's JSON, read once for all."""
SAFE = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
}
"""Headers of every answer that does not set them itself."""
ENCODED = tuple((name.encode(), value.encode()) for name, value in SAFE.items())
NAMES = frozenset(name for name, _ in ENCODED)
LATER = 30.0
"""Seconds after which an issuer that did not answer is asked again."""
CHARSETS = frozenset({b"", b"charset=utf-8", b'charset="utf-8"'})


Refusal = tuple[int, str]
"""A status and a sentence."""


def guarded(
    app: ASGIApp, server: Server, identify: Identify, resource: Resource | None = None, open: frozenset[str] = frozenset()
) -> ASGIApp:
    """`app` behind every check, outermost first; none of `app`'s routes can be reached around them.

    Args:
        open: further paths that answer anybody.
    """
    return _Guard(app, server, identify, resource or Resource(Identity()), open)


class _Guard:
    """Lets a request in as its principal, with a body that is whole; adds the safe headers to every answer."""

    def __init__(self, app: ASGIApp, server: Server, identify: Identify, resource: Resource, open: frozenset[str]) -> None:
        self._app = app
        self._identify = identify
        self._resource = resource
        self._open = OPEN | resource.open | open
        self._prefix = resource.prefix
        self._hosts = frozenset(host.lower().encode() for host in server.allowed_hosts)
        self._origins = frozenset(origin.lower().encode() for origin in server.allowed_origins)
        self._max_bytes = server.max_body
        self._seconds = server.body_timeout

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            if self._prefix and scope["path"].startswith(f"{self._prefix}/"):  # the proxy has left it there
                scope["path"] = scope["path"][len(self._prefix) :]
            return self._request(scope, receive, _with_safe_headers(send))
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        return send({"type": "websocket.close", "code": 1008})  # a websocket that is closed before it is accepted is answered 403

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, method = headers_of(scope), scope["method"]
        refused, badly_sent, page = headers.once(self._judged, (scope.get("server"), method, scope["path"] in OPEN))
        if refused is not None:
            return await refusal(scope, *refused)(scope, receive, send)
        if page is not None:
            if method == "OPTIONS" and b"access-control-request-method" in headers.named:
                return await preflight(page, headers)(scope, receive, send)
            send = readable(send, page)
            scope["extensions"] = {}  # what answers at once would leave out the headers
        state = scope.setdefault("state", {})
        if scope["path"] not in self._open:
            try:
                state[STATE] = principal = await self._identify(scope)
            except ToolgateError as error:
                return await self._nobody(scope, error)(scope, receive, send)
            if principal.scopes is not None:
                if self._resource.too_few(principal.scopes):
                    why = NotIdentified("the token has no scope of this server, such as tools:read; ask its issuer for one", shown=True)
                    return await _answer(scope, why, 403, self._resource.challenge(scope, "insufficient_scope"))(scope, receive, send)
                if method == "POST":  # a call; other answers need not wait to be looked at
                    send = self._resource.challenging(scope, send, principal.scopes)
        # A body is only read of callers who may come in.
        if badly_sent is not None:
            return await refusal(scope, *badly_sent)(scope, receive, send)
        has_body = b"content-length" in headers.named or b"transfer-encoding" in headers.named
        body: bytes | None = state.get(WHOLE) if has_body else b""
        if body is None:
            try:
                async with asyncio.timeout(self._seconds):
                    body = await self._pieces(receive)
            except TimeoutError:
                return await refusal(scope, 408, f"the body did not arrive within {self._seconds:g} s")(scope, receive, send)
            if body is None:
                return None
        if len(body) > self._max_bytes:
            return await refusal(scope, *self._too_large)(scope, receive, send)
        if method == "POST":
            try:
                state[VALUE] = check(body)
            except Ambiguous as error:
                return await refusal(scope, 400, str(error), code=PARSE_ERROR)(scope, receive, send)
        return await self._app(scope, _replay(body, receive), send)

    def _judged(
        self, headers: Headers, to: tuple[tuple[str, int] | None, str, bool]
    ) -> tuple[Refusal | None, Refusal | None, bytes | None]:
        """For a request `to` a server with a method, after its health or not: what anybody is refused with, what those who may
        come in are, and the other origin whose page asks."""
        server, method, health = to
        origin = headers.named.get(b"origin", b"")
        page = origin if origin.lower() in self._origins else None
        return self._meant_elsewhere(headers, own_hosts(server), health), self._badly_sent(headers, method), page

    def _meant_elsewhere(self, headers: Headers, ours: frozenset[bytes], health: bool) -> Refusal | None:
        if headers.size > MAX_HEADERS:
            return 431, f"the headers have more than {MAX_HEADERS} bytes"
        hosts, origins = headers.all(b"host"), [value.lower() for value in headers.all(b"origin")]
        if not health and (len(hosts) != 1 or ((host := hosts[0].lower()) not in ours and host not in self._hosts)):
            return 421, "this Host is not served here; operators list further ones in server.allowed_hosts"
        if origins and (len(origins) > 1 or (origins[0] not in self._origins and not _is_own_origin(origins[0], ours))):
            return 403, "pages of this Origin may not call; operators list those that may in server.allowed_origins"
        return None

    def _badly_sent(self, headers: Headers, method: str) -> Refusal | None:
        if method == "POST" and not _is_json(headers.all(b"content-type")):
            return 415, "a POST carries one Content-Type: application/json, in UTF-8"
        if headers.named.get(b"content-encoding", b"identity") != b"identity":
            return 415, "bodies are not taken compressed"
        length = headers.named.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self._max_bytes:
            return self._too_large
        return None

    @property
    def _too_large(self) -> Refusal:
        return 413, f"the body has more than {self._max_bytes} bytes"

    async def _pieces(self, receive: Receive) -> bytes | None:
        """The body, or the beginning of one that is too large; None when the caller has gone."""
        body: bytes = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            piece: bytes = message.get("body", b"")
            body = body + piece if body else piece
            if len(body) > self._max_bytes or not message.get("more_body", False):
                return body

    def _nobody(self, scope: Scope, error: ToolgateError) -> Response:
        """401, but 429 and 503 where it may be another answer later."""
        if isinstance(error, NotIdentified):
            return _answer(scope, error, 401, self._resource.challenge(scope, "invalid_token" if error.shown else None))
        return _answer(scope, error, 429 if isinstance(error, LimitReached) else 503)  # 503: nobody can say at present who it is


def _answer(scope: Scope, error: ToolgateError, status: int, challenge: str | None = None) -> Response:
    body = refused(scope["path"], status, error.code, str(error))
    headers = {"www-authenticate": challenge} if challenge else {}
    if error.retry_after is not None or status == 503:
        headers["retry-after"] = str(math.ceil(error.retry_after or LATER))
    return JSONResponse(body, status_code=status, headers=headers)


@lru_cache(maxsize=64)
def own_hosts(server: tuple[str, int] | None) -> frozenset[bytes]:
    """The `Host` values that mean us: loopback's names and the address that was connected to, with our port."""
    address, port = server or ("127.0.0.1", 80)
    names = {"localhost", "127.0.0.1", "[::1]", f"[{address}]" if ":" in address else address}
    ours = {f"{name}:{port}" for name in names}
    return frozenset(host.lower().encode() for host in (ours | names if port == 80 else ours))


def _is_own_origin(origin: bytes, ours: frozenset[bytes]) -> bool:
    return origin.startswith(b"http://") and origin.removeprefix(b"http://") in ours


def refusal(scope: Scope, status: int, message: str, *, code: int = INVALID_REQUEST) -> Response:
    """An answer in the terms of the face that was asked: JSON-RPC for MCP, else as `refused` has it. Ends the connection."""
    if scope["path"] in (*ENDPOINTS, "/sse") or scope["path"].startswith("/messages"):
        body: object = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    else:
        body = refused(scope["path"], status, "bad_request", message)
    # The rest of a body that nobody reads must not be taken for the next request.
    return JSONResponse(body, status_code=status, headers={"connection": "close"})


def _is_json(content_types: list[bytes]) -> bool:
    media_type, _, parameters = b"".join(content_types).lower().partition(b";")
    return len(content_types) == 1 and media_type.strip() == b"application/json" and parameters.replace(b" ", b"") in CHARSETS


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        while (message := await receive())["type"] == "http.request":
            pass  # the server tells of a body even where there is none; it was told already
        return message

    return replay


def _with_safe_headers(send: Send) -> Send:
    def safe(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            set_already = NAMES.intersection([name.lower() for name, _ in headers])
            added = [header for header in ENCODED if header[0] not in set_already] if set_already else ENCODED
            message = {**message, "headers": [*headers, *added]}
        return send(message)

    return safe


__all__ = ["MAX_HEADERS", "guarded", "own_hosts", "refusal"]
