"""One request over one connection, on aiohttp's protocol and parser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import ClientError, ClientOSError, ServerDisconnectedError, StreamReader
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError

from toolgate.egress.decoding import Intake
from toolgate.egress.origin import Place
from toolgate.egress.wire import Caps, Headers, Response
from toolgate.errors import TimedOut, Unreachable, UpstreamFailed

if TYPE_CHECKING:
    from aiohttp.connector import Connection

    from toolgate.egress.pool import Pool

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
MAX_FIELD = 16 * 1024  # bytes of one header; aiohttp takes 128 headers at most


class Exchange:
    """One request and its answer, which is read in pieces."""

    def __init__(self, method: str, place: Place, wire: bytes, pool: Pool, caps: Caps) -> None:
        self._method = method
        self._place = place
        self._wire = wire
        self._pool = pool
        self._caps = caps
        self._sent = False
        self._ready: tuple[Connection, bool] | None = None
        self._connection: Connection | None = None

    async def complete(self) -> Response:
        """Send, and read the whole answer. Raises as `Sender.send`."""
        try:
            await self.start()
            body = await self.read()
            if body and (piece := await self.read()):
                whole = bytearray(body)  # not a list of pieces: a million tiny ones would weigh ten times their bytes
                while piece:
                    whole += piece
                    piece = await self.read()
                body = bytes(whole)
            return Response(self.status, self.headers, body)
        finally:
            self.close()

    async def connect(self) -> None:
        """Have a connection for `start`, which otherwise makes its own: for callers who give that a time of its own."""
        self._ready = await self._pool.connect(self._place)

    async def start(self) -> None:
        """Send, and wait for `status` and `headers`."""
        head, self._content = await self._ask()
        self.status: int = head.code
        self.headers: Headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.raw_headers)
        self._intake = Intake(head.headers.getall("Content-Encoding", ()), self._caps, self._place.origin)
        if self._method != "HEAD" and (length := head.headers.get("Content-Length")):
            self._intake.expect(int(length))

    async def read(self) -> bytes:
        """The next piece of the decoded body; empty at its end."""
        while True:
            try:
                chunk = await self._content.readany()
            except (ClientError, OSError):
                raise UpstreamFailed(f"{self._place.origin} broke off in the middle of its answer") from None
            if not chunk:
                self._intake.end()
                return b""
            if piece := self._intake.take(chunk):
                return piece

    def close(self) -> None:
        """Give the connection back when the answer was read to its end, else drop it. May be called again."""
        ready, self._ready = self._ready, None
        if ready is not None:
            drop(ready[0])
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        # A rest of the request may still be on its way when the answer came early; nothing may be queued behind it.
        if self._content.is_eof() and transport is not None and not transport.get_write_buffer_size():
            connection.release()
        else:
            drop(connection)

    def too_late(self, seconds: float) -> Unreachable | TimedOut:
        """What to raise when `seconds` passed."""
        if self._sent:
            return TimedOut(f"{self._place.origin} did not complete its answer within {seconds:g} s; whether it acted is not known")
        return Unreachable(f"no connection to {self._place.origin} within {seconds:g} s")

    async def _ask(self) -> tuple[RawResponseMessage, StreamReader]:
        while True:
            ready, self._ready = self._ready, None
            connection, used = ready or await self._pool.connect(self._place)
            try:
                answer = await self._ask_over(connection)
            except (ServerDisconnectedError, ClientOSError):
                drop(connection)
                if used and self._method in SAFE:
                    continue  # ends at the latest with the first connection that is new
                raise UpstreamFailed(f"{self._place.origin} closed the connection without an answer") from None
            except HttpProcessingError:
                drop(connection)
                raise UpstreamFailed(f"{self._place.origin} answered with something that is not HTTP, or with headers too large") from None
            except BaseException:
                drop(connection)
                raise
            self._connection = connection
            return answer

    async def _ask_over(self, connection: Connection) -> tuple[RawResponseMessage, StreamReader]:
        protocol, transport = connection.protocol, connection.transport
        assert protocol is not None
        assert transport is not None
        protocol.set_response_params(
            skip_payload=self._method == "HEAD", read_until_eof=True, auto_decompress=False, max_field_size=MAX_FIELD
        )
        self._sent = True
        transport.write(self._wire)
        while True:
            head, content = await protocol.read()
            if head.code >= 200:
                return head, content
            if head.code == 101:
                raise UpstreamFailed(f"{self._place.origin} wants to speak another protocol than HTTP")


def drop(connection: Connection) -> None:
    """Close `connection` now. Closing it the polite way would first wait until the other side has read everything."""
    if connection.transport is not None:
        connection.transport.abort()
    connection.close()
