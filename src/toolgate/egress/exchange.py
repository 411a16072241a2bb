"""One request over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolgate.egress.connection import Connection, Lost, NotHttp
from toolgate.egress.decoding import Intake
from toolgate.egress.wire import Caps, Headers, Response
from toolgate.errors import TimedOut, Unreachable, UpstreamFailed

if TYPE_CHECKING:
    from toolgate.egress.pool import Lane, Pool

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Exchange:
    """One request and its answer, which is read in pieces."""

    def __init__(self, method: str, lane: Lane, wire: bytes, pool: Pool, caps: Caps) -> None:
        self._method = method
        self._lane = lane
        self._place = lane.place
        self._wire = wire
        self._pool = pool
        self._caps = caps
        self._sent = False
        self._ready: Connection | None = None
        self._connection: Connection | None = None

    async def complete(self) -> Response:
        """Send, and read the whole answer. Raises as `Sender.send`."""
        try:
            connection = await self._begun()
            body = await self.read()
            if not connection.at_end:
                whole = bytearray(body)  # not a list of pieces: a million tiny ones would weigh ten times their bytes
                while piece := await self.read():
                    whole += piece
                body = bytes(whole)
            elif body:
                self._intake.end()
            return Response(self.status, self.headers, body)
        finally:
            self.close()

    async def connect(self) -> None:
        """Have a connection for `start`, which otherwise makes its own: for callers who give that a time of its own."""
        self._ready = await self._pool.connect(self._lane)

    async def start(self) -> None:
        """Send, and wait for `status` and `headers`."""
        await self._begun()

    async def read(self) -> bytes:
        """The next piece of the decoded body; empty at its end."""
        assert self._connection is not None
        while True:
            try:
                chunk = self._connection.here()
                if chunk is None:
                    chunk = await self._connection.piece()
            except (Lost, NotHttp):
                raise UpstreamFailed(f"{self._place.origin} broke off in the middle of its answer") from None
            if not chunk:
                self._intake.end()
                return b""
            if piece := self._intake.take(chunk):
                return piece

    def close(self) -> None:
        """Give the connection back when the answer was read to its end, else drop it. May be called again."""
        for connection in (self._ready, self._connection):
            if connection is not None:
                self._pool.give_back(self._lane, connection)
        self._ready = self._connection = None

    def too_late(self, seconds: float) -> Unreachable | TimedOut:
        """What to raise when `seconds` passed."""
        if self._sent:
            return TimedOut(f"{self._place.origin} did not complete its answer within {seconds:g} s; whether it acted is not known")
        return Unreachable(f"no connection to {self._place.origin} within {seconds:g} s")

    async def _begun(self) -> Connection:
        """The connection, once the head of the answer has come over it."""
        connection = await self._ask()
        self.status: int = connection.status
        self.headers: Headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in connection.headers])
        named = connection.named
        codings = [value for name, value in self.headers if name.lower() == "content-encoding"] if b"content-encoding" in named else ()
        self._intake = Intake(codings, self._caps, self._place.origin)
        if self._method != "HEAD" and (length := named.get(b"content-length")):
            self._intake.expect(int(length))
        return connection

    async def _ask(self) -> Connection:
        while True:
            connection, self._ready = self._ready or self._pool.idle(self._lane) or await self._pool.connect(self._lane), None
            self._connection = connection  # given back or dropped by `close`, whatever comes
            used, self._sent = connection.used, True
            connection.ask(self._wire, without_body=self._method == "HEAD")
            try:
                while not connection.has_head:
                    await connection.more()
            except Lost:
                self.close()
                if used and self._method in SAFE:
                    continue  # ends at the latest with the first connection that is new
                raise UpstreamFailed(f"{self._place.origin} closed the connection without an answer") from None
            except NotHttp:
                raise UpstreamFailed(f"{self._place.origin} answered with something that is not HTTP, or with headers too large") from None
            if connection.status == 101:
                raise UpstreamFailed(f"{self._place.origin} wants to speak another protocol than HTTP")
            return connection
