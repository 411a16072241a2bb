"""Server-sent events: an answer that comes in pieces while the work for it goes on, and ends it when its reader leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

PING_SECONDS = 15.0
"""Between signs of life: proxies close what is silent for half a minute or so."""


@dataclass
class Say:
    """Sends the data of one event."""

    start: Message
    send: Send
    begun: bool = False
    """Something was sent: no other response can be given any more."""
    _held: list[str] = field(default_factory=list)
    _sending: anyio.Lock = field(default_factory=anyio.Lock)

    async def __call__(self, data: str) -> None:
        self.hold(data)
        await self.flush()

    def hold(self, data: str) -> None:
        """Have it sent with the next one, or with the first sign of life."""
        self._held.append(data)

    async def flush(self, more: bytes = b"", *, last: bool = False) -> None:
        async with self._sending:
            if not self.begun:
                self.begun = True
                await self.send(self.start)
            body = "".join(f"data: {data}\n\n" for data in self._held).encode() + more
            self._held.clear()
            await self.send({"type": "http.response.body", "body": body, "more_body": not last})

    async def ping(self, seconds: float) -> None:
        while True:
            await anyio.sleep(seconds)
            if self.begun or self._held:
                await self.flush(b": still here\n\n")


class Events(Response):
    """Runs `work` with a way to say something. Where it said nothing and returns a response, that is the answer instead."""

    media_type = "text/event-stream"

    def __init__(self, work: Callable[[Say], Awaitable[Response | None]], ping: float = PING_SECONDS) -> None:
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._work = work
        self._ping = ping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        say = Say({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}, send)

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()

        instead: Response | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say.ping, self._ping)
            tasks.start_soon(watch)
            instead = await self._work(say)
            tasks.cancel_scope.cancel()
        if instead is not None and not say.begun:
            await instead(scope, receive, send)
            return
        await say.flush(last=True)
