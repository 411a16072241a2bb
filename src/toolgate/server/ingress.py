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
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import chain

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.server import WHOLE
from toolgate.server.headers import called
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket; closing it before it is accepted answers 403
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = scope["headers"]
        text = b"\n".join(chain.from_iterable(headers)) + b"\n"
        # RFC 9110, 5.5: the white space around a value is not part of it, but httptools leaves what follows. Hardly ever is there any.
        if b" \n" in text or b"\t\n" in text or b"\n " in text or b"\n\t" in text:
            scope["headers"] = [(name, value.strip(b" \t")) for name, value in headers]
        answer = self._refusal(scope, len(text) + 2 * len(headers)) or self._app
        await answer(scope, receive, _with_safe_headers(send))

    def _refusal(self, scope: Scope, size: int) -> Response | None:
        """
        Args:
            size: bytes of the headers, as they came.
        """
        if size > MAX_HEADERS:
            return refusal(scope, 431, f"the headers have more than {MAX_HEADERS} bytes")
        headers = scope["headers"]
        named = dict(headers)
        hosts, ours = called(b"host", headers, named), own_hosts(scope)
        if len(hosts) != 1 or ((host := hosts[0].lower()) not in ours and host not in self._hosts):
            return refusal(scope, 421, "this Host is not served here; operators list further ones in server.allowed_hosts")
        origins = [value.lower() for value in called(b"origin", headers, named)] if b"origin" in named else ()
        if origins and (len(origins) > 1 or (origins[0] not in self._origins and not _is_own_origin(origins[0], ours))):
            return refusal(scope, 403, "pages of this Origin may not call; operators list those that may in server.allowed_origins")
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        if (refused := self._refusal(scope, headers)) is not None:
            await refused(scope, receive, send)
            return
        body: bytes | Response | None = b""
        if b"content-length" in headers or b"transfer-encoding" in headers:
            body = await (self._pieces if scope.get("state", {}).get(WHOLE) else self._read)(scope, receive)
        if isinstance(body, bytes) and scope["method"] == "POST":
            try:
                scope.setdefault("state", {})[VALUE] = check(body)
            except Ambiguous as error:
                body = refusal(scope, 400, str(error), code=PARSE_ERROR)
        if isinstance(body, bytes):
            await self._app(scope, _replay(body, receive), send)
        elif body is not None:
            await body(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Mapping[bytes, bytes]) -> Response | None:
        if scope["method"] == "POST" and not _is_json(called(b"content-type", scope["headers"], headers)):
            return refusal(scope, 415, "a POST carries one Content-Type: application/json, in UTF-8")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            return refusal(scope, 415, "bodies are not taken compressed")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > self._max_bytes:
            return self._too_large(scope)
        return None

    def _too_large(self, scope: Scope) -> Response:
        return refusal(scope, 413, f"the body has more than {self._max_bytes} bytes")

    async def _read(self, scope: Scope, receive: Receive) -> bytes | Response | None:
        """The body; or what to answer instead; or None when the caller has gone."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                return await self._pieces(scope, receive)
        return refusal(scope, 408, f"the body did not arrive within {self._seconds:g} s")

    async def _pieces(self, scope: Scope, receive: Receive) -> bytes | Response | None:
        body: bytes = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            piece: bytes = message.get("body", b"")
            body = body + piece if body else piece
            if len(body) > self._max_bytes:
                return self._too_large(scope)
            if not message.get("more_body", False):
                return body


def refusal(scope: Scope, status: int, message: str, *, code: int = INVALID_REQUEST) -> Response:
    """An answer in the terms of the face that was asked: JSON-RPC for MCP, a problem elsewhere. Ends the connection."""
    if scope["path"] in ("/mcp", "/sse") or scope["path"].startswith("/messages"):
        body: object = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    else:
        body = {"ok": False, "problem": {"code": "bad_request", "message": message}}
    # The rest of a body that nobody reads must not be taken for the next request.
    return JSONResponse(body, status_code=status, headers={"connection": "close"})


def _is_json(content_types: Sequence[bytes]) -> bool:
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
