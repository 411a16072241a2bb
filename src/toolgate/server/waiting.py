"""What a call that takes long needs while it goes a short way: a sign of life now and then, and somebody who sees its caller leave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import cached_property
from typing import Any

import anyio
from starlette.types import Receive, Scope, Send

from toolgate.audit.line import whole
from toolgate.server import ANSWER

WATCHED = 0.05
"""Seconds after which somebody looks whether the caller is still there: most calls are over by then and need nobody."""
SILENCE = 15.0
"""Seconds without a byte after which the answer becomes a stream with a sign of life, as the SDK's does."""
STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]
PING = b": ping\r\n\r\n"


class Fresh:
    """Calls that have only just begun. One timer for all: most are over before anybody looks."""

    def __init__(self) -> None:
        self._calls: dict[Waiting, float] = {}
        """With the loop's time at their beginning, the oldest first."""
        self._looks = False

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Asked once: each time is a system call."""
        return asyncio.get_running_loop()

    def add(self, call: Waiting) -> None:
        self._calls[call] = self.loop.time()
        if not self._looks:
            self._looks = True
            self.loop.call_later(WATCHED, self._look)

    def remove(self, call: Waiting) -> None:
        del self._calls[call]

    def _look(self) -> None:
        """Have those watched that take long by now, and come back for the next."""
        due = self.loop.time() - WATCHED
        while self._calls:
            call, began = next(iter(self._calls.items()))
            if began > due:
                self.loop.call_at(began + WATCHED, self._look)
                return
            del self._calls[call]
            call.begin()
        self._looks = False


class Waiting:
    """One call that is under way, and the connection that its answer goes out by."""

    _begun = _ended = _is_over = False
    _pinging: asyncio.Task[None] | None = None
    _streams = False
    """Whether the answer has begun, as a stream."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, fresh: Fresh, *, stays: bool = False) -> None:
        """
        Args:
            stays: the call goes on when its caller leaves, as in sessions: only `notifications/cancelled` ends it there.
        """
        self._scope = scope
        self._receive = receive
        self._send = send
        self._fresh = fresh
        self._stays = stays
        self._loop = fresh.loop
        self._call = asyncio.current_task(self._loop)
        fresh.add(self)

    def over(self) -> Awaitable[None] | None:
        """The call has ended: look no longer. What is just being sent is sent to its end, which is to be awaited."""
        if not self._begun:
            self._fresh.remove(self)
        elif self._sending.locked():
            return self._sent()
        else:
            self._look_away()
        return None

    async def _sent(self) -> None:
        try:
            with anyio.CancelScope(shield=True):
                async with self._sending:
                    pass
        finally:
            self._look_away()

    def _look_away(self) -> None:
        self._is_over = True
        self._silence.cancel()
        if self._pinging is not None:
            self._pinging.cancel()

    async def tell(self, message: Mapping[str, Any]) -> None:
        """Send a message ahead of the answer, which is a stream from now on."""
        if not self._begun:
            self._fresh.remove(self)
            self.begin()
        async with self._sending:
            await self._write(event(whole(message)))

    async def answer(self, status: int | None, body: bytes) -> None:
        """Send the answer, JSON in one line. After `over`.

        Args:
            status: of HTTP, unless the answer has begun by now; None for a call that went well.
        """
        if self._streams:
            await self._send({"type": "http.response.body", "body": event(body)})
        elif status is not None or not self._at_once(body):
            await send_json(self._send, status or 200, body)

    def cancel(self) -> None:
        """End the call."""
        self._ended = True
        if self._call is not None:
            self._call.cancel()

    def was_cancelled(self) -> bool:
        """Whether the call was cancelled by `cancel` or its caller's leaving, and by nothing else."""
        return self._ended and self._call is not None and self._call.uncancel() == 0

    def begin(self) -> None:
        """From now on somebody looks after the call."""
        self._begun = True
        self._sending = asyncio.Lock()
        self._watching = None if self._stays else self._loop.create_task(self._watch())
        self._silence = self._loop.call_later(SILENCE - WATCHED, self._pings)

    def _pings(self) -> None:
        self._pinging = self._loop.create_task(self._ping())

    async def _watch(self) -> None:
        # It ends by itself: who has been answered counts as gone. To be cancelled would cost as much as to have waited.
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self._is_over:
            self.cancel()

    async def _ping(self) -> None:
        while True:
            async with self._sending:
                await self._write(PING)
            await asyncio.sleep(SILENCE)

    async def _write(self, piece: bytes) -> None:
        if not self._streams:
            self._streams = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(STREAM)})
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def _at_once(self, body: bytes) -> bool:
        """Whether the server could send the whole answer at once."""
        answer = self._scope.get("extensions", {}).get(ANSWER)
        return answer is not None and answer(body)


async def send_json(send: Send, status: int, *pieces: bytes) -> None:
    """Send an answer whose JSON is `pieces`, which are not copied to make one of them."""
    length = sum(map(len, pieces))
    headers = [(b"content-length", b"%d" % length), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1]})


def event(message: bytes) -> bytes:
    """`message`, JSON in one line, as a server-sent event."""
    return b"event: message\r\ndata: %b\r\n\r\n" % message
