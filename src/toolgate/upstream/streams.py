"""The lines of the handshake eras over HTTP: Streamable HTTP with its session, and HTTP+SSE of 2024."""

from __future__ import annotations

import logging
from urllib.parse import urljoin

import anyio

from toolgate.egress.origin import origin_of
from toolgate.errors import EgressBlocked, Failed, ToolgateError, Unreachable, UpstreamFailed
from toolgate.upstream.endpoint import BOTH, Endpoint, Reply, refused
from toolgate.upstream.events import Event
from toolgate.upstream.messages import Garbage, Message, answered, decode, encode, in_event, is_answer
from toolgate.upstream.peer import Hear

EVENTS = {"Accept": "text/event-stream"}
AGAIN = 1.0
"""Seconds before a stream that broke off is taken up again, where the server says nothing else. A guess; it may say 0."""
MOST_AGAIN = 30.0
"""Seconds of that at most: a caller waits."""
TRIES = 5  # of taking one stream up again with nothing new on it
CLOSE_SECONDS = 2.0  # that ending a session may take
SESSION = "Mcp-Session-Id"
LONGEST_SESSION = 1024

log = logging.getLogger("toolgate.upstream")


class SessionGone(Unreachable):
    """The server no longer knows our session, so that it has done nothing; a new one is needed."""


class Streamable:
    """Streamable HTTP, 2025-03-26 to 2025-11-25: a POST for each message, its answer on its own stream."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._who = endpoint.who
        self._session: str | None = None
        self.version: str | None = None
        """What was agreed on; None until then."""
        self.gone = anyio.Event()
        """Set when the server has forgotten our session."""

    def begin(self, hear: Hear) -> None:
        self._hear = hear

    async def send(self, message: Message) -> None:
        asked = message.get("id") if "method" in message else None
        reading = _Reading(self._who, asked if isinstance(asked, int) else None, self._hear)

        async def take(reply: Reply) -> None:
            if message.get("method") == "initialize" and reply.status == 200:
                self._take_session(reply.header(SESSION))
            if self._session is not None and _has_forgotten(reply):
                self.gone.set()
                raise SessionGone(f"{self._who} has forgotten our session")
            await reading.take(reply)

        await self._endpoint.exchange("POST", {BOTH[0]: BOTH[1], **self._headers()}, encode(message), take)
        await self._taken_up(reading)

    async def listen(self) -> None:
        """Take in what the server says by itself, for as long as it lets us; returns when it does not at all."""
        reading = _Reading(self._who, None, self._hear)
        wait, before = AGAIN, 0
        while True:
            before, reading.status = reading.status or before, 0
            try:
                await self._get(reading)
            except Failed as error:
                log.debug("the stream of %s: %s", self._who, error)
            if reading.status and reading.status != 200:  # 405: it has nothing to say by itself
                if before == 200 and reading.status in (400, 404):
                    self.gone.set()
                return
            await anyio.sleep(reading.retry if reading.retry is not None else wait)
            wait = min(MOST_AGAIN, 2 * wait)

    async def close(self) -> None:
        if self._session is None:
            return

        async def take(_reply: Reply) -> None:
            pass

        with anyio.move_on_after(CLOSE_SECONDS, shield=True):
            try:
                await self._endpoint.exchange("DELETE", self._headers(), None, take)
            except (Failed, EgressBlocked) as error:
                log.debug("the session with %s could not be ended: %s", self._who, error)

    async def _taken_up(self, reading: _Reading) -> None:
        """Wait for an answer whose stream has ended before it (transports, "Resumability and Redelivery")."""
        idle = 0
        while reading.of is not None and not reading.answered:
            if reading.last is None or idle >= TRIES:
                raise UpstreamFailed(f"{self._who} ended its answer before it was complete")
            before = reading.last
            await anyio.sleep(min(MOST_AGAIN, AGAIN if reading.retry is None else reading.retry))
            await self._get(reading)
            idle = idle + 1 if reading.last == before else 0

    async def _get(self, reading: _Reading) -> None:
        last = {"Last-Event-ID": reading.last} if reading.last else {}
        await self._endpoint.exchange("GET", {**EVENTS, **self._headers(), **last}, None, reading.take, endless=True)

    def _headers(self) -> dict[str, str]:
        headers = {"MCP-Protocol-Version": self.version} if self.version else {}
        return {**headers, SESSION: self._session} if self._session else headers

    def _take_session(self, session: str | None) -> None:
        if session is not None and (len(session) > LONGEST_SESSION or not session.isascii() or not session.isprintable() or " " in session):
            raise UpstreamFailed(f"{self._who} names its session in characters that cannot be sent back")
        self._session = session


def _has_forgotten(reply: Reply) -> bool:
    """404 says so (transports, "Session Management"); many servers, the reference one too, say 400 and -32000 instead."""
    if reply.status != 400:
        return reply.status == 404
    try:
        errors = [message.get("error") for message in decode(reply.body)]
    except Garbage:
        return False
    said = [str(error.get("message")).lower() for error in errors if isinstance(error, dict) and error.get("code") == -32000]
    return any("session" in each or "not initialized" in each for each in said)


class Sse:
    """HTTP+SSE of 2024-11-05: everything comes over one stream, which says where to send."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._who = endpoint.who
        self._where: str | None = None
        self._ready = anyio.Event()
        self._why: ToolgateError = UpstreamFailed(f"{self._who} does not say where its messages go")
        """Why there is nowhere to send to, once that is so."""

    def begin(self, hear: Hear) -> None:
        self._hear = hear

    async def send(self, message: Message) -> None:
        await self._ready.wait()
        if self._where is None:
            raise self._why

        async def take(reply: Reply) -> None:
            if not 200 <= reply.status < 300:
                raise refused(reply, self._who)

        await self._endpoint.exchange("POST", {}, encode(message), take, url=self._where)

    async def listen(self) -> None:
        """Take in what comes, until the stream ends."""

        async def take(reply: Reply) -> None:
            if reply.events is None:
                raise refused(reply, self._who)
            async for event in reply.events:
                if event.kind == "endpoint":
                    self._take_endpoint(event.data)
                elif event.data and event.kind == "message":
                    for message in in_event(event.data, self._who):
                        await self._hear(message, None)

        try:
            await self._endpoint.exchange("GET", EVENTS, None, take, endless=True)
        except ToolgateError as error:
            self._why = error
            raise
        finally:
            self._ready.set()

    def _take_endpoint(self, data: bytes) -> None:
        url = urljoin(self._endpoint.url, data.decode(errors="replace"))
        try:
            same = origin_of(url) == origin_of(self._endpoint.url)
        except EgressBlocked:
            same = False
        if not same:
            raise UpstreamFailed(f"{self._who} wants its messages sent to another origin than its own")
        self._where = url
        self._ready.set()


class _Reading:
    """Reads the replies that may hold the answer to one request, and whatever else is on their streams."""

    def __init__(self, who: str, of: int | None, hear: Hear) -> None:
        self._who = who
        self.of = of
        self._hear = hear
        self.answered = False
        self.last: str | None = None
        """The id of the last event."""
        self.retry: float | None = None
        self.status = 0

    async def take(self, reply: Reply) -> None:
        self.status = reply.status
        if reply.events is not None:
            async for event in reply.events:
                await self._take_event(event)
                if self.answered:
                    return
        elif reply.body:
            try:
                messages = decode(reply.body)
            except Garbage:
                if self.of is None and 200 <= reply.status < 300:
                    return  # "Accepted", or "ok": it is about nothing that was asked
                raise refused(reply, self._who) from None
            for message in messages:
                # An error about a request that could not be read has no id, or null.
                lost = self.of is not None and is_answer(message) and message.get("id") is None
                await self._take({**message, "id": self.of} if lost else message)
        elif self.of is not None or not 200 <= reply.status < 300:
            raise refused(reply, self._who)

    async def _take_event(self, event: Event) -> None:
        self.last = event.id or self.last
        self.retry = event.retry if event.retry is not None else self.retry
        if event.data and event.kind == "message":
            for message in in_event(event.data, self._who):
                await self._take(message)

    async def _take(self, message: Message) -> None:
        if self.of is not None and answered(message) == self.of:
            self.answered = True
        await self._hear(message, self.of)
