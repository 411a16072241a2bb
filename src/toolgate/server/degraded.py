"""Say in every answer over HTTP when the calls of other processes are not counted, though they should be."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.server import ANSWER
from toolgate.stores import Counters

HEADER = (b"x-toolgate-limits", b"degraded")


def telling(app: ASGIApp, counters: Counters) -> ASGIApp:
    def tell(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        def send_with_header(message: Message) -> Awaitable[None]:
            if counters.degraded and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], HEADER]}
            return send(message)

        if at_once := scope.get("extensions", {}).get(ANSWER):
            scope["extensions"] = {ANSWER: lambda body: not counters.degraded and at_once(body)}
        return app(scope, receive, send_with_header)

    return tell
