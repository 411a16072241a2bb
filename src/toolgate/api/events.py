"""Server-sent events: an answer that comes in pieces while the work for it goes on, and ends it when its reader leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

PING_SECONDS = 15.0
"""Between signs of life: proxies close what is silent for half a minute or so."""
Say = Callable[[str], Awaitable[None]]
"""Sends the data of one event."""


class Events(Response):
    """Runs `work` with a way to say something. Where it said nothing and returns a response, that is the answer instead."""

    media_type = "text/event-stream"

    def __init__(self, work: Callable[[Say], Awaitable[Response | None]]) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._work = work

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def begin() -> None:
            nonlocal begun
            if not begun:
                begun = True
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

        async def say(data: str) -> None:
            await begin()
            await send({"type": "http.response.body", "body": f"data: {data}\n\n".encode(), "more_body": True})

        async def ping() -> None:
            while True:
                await anyio.sleep(PING_SECONDS)
                if begun:
                    await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        instead: Response | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ping)
            tasks.start_soon(watch)
            instead = await self._work(say)
            tasks.cancel_scope.cancel()
        if instead is not None and not begun:
            await instead(scope, receive, send)
            return
        await begin()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
