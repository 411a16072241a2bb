"""What a request must be before anybody reads it: meant for us, from a page we know, of a size, in time, unambiguous.

Rule 1: `Host` and `Origin` are compared whole, on every bind and every path. A page that rebinds its own name to our
        address keeps its name in `Host`; a check that looks at the beginning only takes `127.0.0.1:80.evil.com` for
        us (python-sdk#3364). No `Origin` means no browser, and is fine.
Rule 2: a body counts only as JSON. Browsers send forms and text across origins without asking, JSON never.
Rule 3: a body is whole, small enough and read in one way before the application starts, or the application does not.

The steps are ASGI applications around applications; `guarded` puts them in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from functools import lru_cache

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.server import WHOLE
from toolgate.server.headers import Headers, headers_of
from toolgate.server.identify import Identified, Identify
from toolgate.server.resource import Resource
from toolgate.server.strict import Ambiguous, check
from toolgate.settings import Identity, Server

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
CHARSETS = frozenset({b"", b"charset=utf-8", b'charset="utf-8"'})


def guarded(
    app: ASGIApp, server: Server, identify: Identify, resource: Resource | None = None, open: frozenset[str] = frozenset()
) -> ASGIApp:
    """`app` behind every check, outermost first; none of `app`'s routes can be reached around them.

    Args:
        open: further paths that answer anybody.
    """
    body = WholeBody(app, max_bytes=server.max_body, seconds=server.body_timeout)
    # A body is only read of callers who may come in.
    return Door(Identified(body, identify, resource or Resource(Identity()), open), server)


class Door:
    """Host, Origin and the shape of headers; adds the safe headers to every answer."""

    def __init__(self, app: ASGIApp, server: Server) -> None:
        self._app = app
        self._hosts = frozenset(host.lower().encode() for host in server.allowed_hosts)
        self._origins = frozenset(origin.lower().encode() for origin in server.allowed_origins)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        if scope["type"] != "http":  # a websocket; closing it before it is accepted answers 403
            return send({"type": "websocket.close", "code": 1008})
        refused = headers_of(scope).once(self._refusal, own_hosts(scope))
        answer = self._app if refused is None else refusal(scope, *refused)
        return answer(scope, receive, _with_safe_headers(send))

    def _refusal(self, headers: Headers, ours: frozenset[bytes]) -> tuple[int, str] | None:
        if headers.size > MAX_HEADERS:
            return 431, f"the headers have more than {MAX_HEADERS} bytes"
        hosts, origins = headers.all(b"host"), [value.lower() for value in headers.all(b"origin")]
        if len(hosts) != 1 or ((host := hosts[0].lower()) not in ours and host not in self._hosts):
            return 421, "this Host is not served here; operators list further ones in server.allowed_hosts"
        if origins and (len(origins) > 1 or (origins[0] not in self._origins and not _is_own_origin(origins[0], ours))):
            return 403, "pages of this Origin may not call; operators list those that may in server.allowed_origins"
        return None


def own_hosts(scope: Scope) -> frozenset[bytes]:
    """The `Host` values that mean us: loopback's names and the address that was connected to, with our port."""
    return _own_hosts(*(scope.get("server") or ("127.0.0.1", 80)))


@lru_cache(maxsize=64)
def _own_hosts(address: str, port: int) -> frozenset[bytes]:
    names = {"localhost", "127.0.0.1", "[::1]", f"[{address}]" if ":" in address else address}
    ours = {f"{name}:{port}" for name in names}
    return frozenset(host.lower().encode() for host in (ours | names if port == 80 else ours))


def _is_own_origin(origin: bytes, ours: frozenset[bytes]) -> bool:
    return origin.startswith(b"http://") and origin.removeprefix(b"http://") in ours


class WholeBody:
    """Read the body within size and time, hold it against the rules for JSON, and hand on the very same bytes."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._app(scope, receive, send)
        headers = headers_of(scope)
        if (refused := headers.once(self._refusal, scope["method"])) is not None:
            return refusal(scope, *refused)(scope, receive, send)
        if b"content-length" not in headers.named and b"transfer-encoding" not in headers.named:
            return self._taken(b"", scope, receive, send)
        whole: bytes | None = scope.get("state", {}).get(WHOLE)
        return self._read(scope, receive, send) if whole is None else self._taken(whole, scope, receive, send)

    def _refusal(self, headers: Headers, method: str) -> tuple[int, str] | None:
        if method == "POST" and not _is_json(headers.all(b"content-type")):
            return 415, "a POST carries one Content-Type: application/json, in UTF-8"
        if headers.named.get(b"content-encoding", b"identity") != b"identity":
            return 415, "bodies are not taken compressed"
        length = headers.named.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self._max_bytes:
            return self._too_large
        return None

    @property
    def _too_large(self) -> tuple[int, str]:
        return 413, f"the body has more than {self._max_bytes} bytes"

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Awaitable[None]
        try:
            async with asyncio.timeout(self._seconds):
                body = await self._pieces(receive)
        except TimeoutError:
            answer = refusal(scope, 408, f"the body did not arrive within {self._seconds:g} s")(scope, receive, send)
        else:
            if body is None:
                return
            answer = self._taken(body, scope, receive, send)
        await answer

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

    def _taken(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if len(body) > self._max_bytes:
            return refusal(scope, *self._too_large)(scope, receive, send)
        if scope["method"] == "POST":
            try:
                scope.setdefault("state", {})[VALUE] = check(body)
            except Ambiguous as error:
                return refusal(scope, 400, str(error), code=PARSE_ERROR)(scope, receive, send)
        return self._app(scope, _replay(body, receive), send)


def refusal(scope: Scope, status: int, message: str, *, code: int = INVALID_REQUEST) -> Response:
    """An answer in the terms of the face that was asked: JSON-RPC for MCP, a problem elsewhere. Ends the connection."""
    if scope["path"] in ("/mcp", "/sse") or scope["path"].startswith("/messages"):
        body: object = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    else:
        body = {"ok": False, "problem": {"code": "bad_request", "message": message}}
    # The rest of a body that nobody reads must not be taken for the next request.
    return JSONResponse(body, status_code=status, headers={"connection": "close"})


def _is_json(content_types: list[bytes]) -> bool:
    return len(content_types) == 1 and _means_json(content_types[0])


@lru_cache(maxsize=64)
def _means_json(content_type: bytes) -> bool:
    media_type, _, parameters = content_type.lower().partition(b";")
    return media_type.strip() == b"application/json" and parameters.replace(b" ", b"") in CHARSETS


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


__all__ = ["MAX_HEADERS", "Door", "WholeBody", "guarded", "own_hosts", "refusal"]
