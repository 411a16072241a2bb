"""Say in every answer over HTTP when the calls of other processes are not counted, though they should be."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.stores import Counters

HEADER = (b"x-toolgate-limits", b"degraded")


def telling(app: ASGIApp, counters: Counters) -> ASGIApp:
    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_header(message: Message) -> None:
            if counters.degraded and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], HEADER]}
            await send(message)

        await app(scope, receive, send_with_header)

    return tell
