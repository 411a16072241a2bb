"""Let pages of the origins that the operator names read our answers: CORS, as the Fetch standard has it (3.3).

A browser asks first, without any credential, so its question is answered before anybody asks who is there. No cookie goes
with such requests: a page of another origin shows a key or a token of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.responses import Response
from starlette.types import Message, Send

from toolgate.server.headers import Headers

METHODS = "GET, POST, PATCH, DELETE"
SECONDS = 7200
"""How long a browser need not ask again: Chrome's most."""


def preflight(origin: bytes, headers: Headers) -> Response:
    """Yes. Of the headers too, whichever the page wants to send: arguments and clients have their own (`Mcp-Param-…`)."""
    answer = Response(status_code=204, headers={"access-control-allow-methods": METHODS, "access-control-max-age": str(SECONDS)})
    if wanted := headers.named.get(b"access-control-request-headers"):
        answer.raw_headers.append((b"access-control-allow-headers", wanted))
    answer.raw_headers += _for(origin)
    return answer


def readable(send: Send, origin: bytes) -> Send:
    """`send`, but pages of `origin` may read the answer and all its headers, such as `Mcp-Session-Id` and `WWW-Authenticate`."""

    def send_readable(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_for(origin), (b"access-control-expose-headers", b"*")]}
        return send(message)

    return send_readable


def _for(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
