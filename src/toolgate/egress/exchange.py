"""One request over one connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toolgate.egress.connection import Connection, Lost, NotHttp
from toolgate.egress.decoding import Intake
from toolgate.egress.wire import Caps, Headers
from toolgate.errors import AnswerTooLarge, TimedOut, Unreachable, UpstreamFailed

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

    async def connect(self) -> None:
        """Have a connection for `start`, which otherwise makes its own: for callers who give that a time of its own."""
        self._ready = await self._pool.connect(self._lane)

    async def start(self) -> None:
        """Send, and wait for `status` and `headers`."""
        while True:
            connection, self._ready = self._ready or self._pool.idle(self._lane) or await self._pool.connect(self._lane), None
            self._connection = connection  # given back or dropped by `close`, whatever comes
            used, self._sent = connection.used, True
            connection.ask(self._wire, without_body=self._method == "HEAD")
            try:
                while not connection.has_head:
                    await connection.more()
                break
            except Lost:
                self.close()
                if not used or self._method not in SAFE:  # else once more, which ends at the latest with a connection that is new
                    raise UpstreamFailed(f"{self._place.origin} closed the connection without an answer") from None
            except NotHttp:
                raise UpstreamFailed(f"{self._place.origin} answered with something that is not HTTP, or with headers too large") from None
        if connection.status == 101:
            raise UpstreamFailed(f"{self._place.origin} wants to speak another protocol than HTTP")
        self.status: int = connection.status
        self.headers: Headers = tuple(connection.headers)
        named = connection.named
        codings = [value for name, value in self.headers if name.lower() == "content-encoding"] if "content-encoding" in named else ()
        self._intake = Intake(codings, self._caps, self._place.origin)
        if self._method != "HEAD" and (length := named.get("content-length")):
            self._intake.expect(int(length))

    async def read(self) -> bytes:
        """The next piece of the decoded body; empty at its end."""
        assert self._connection is not None
        while True:
            try:
                while (chunk := self._connection.here()) is None:
                    await self._connection.more()
            except (Lost, NotHttp):
                raise UpstreamFailed(f"{self._place.origin} broke off in the middle of its answer") from None
            if not chunk:
                self._intake.end()
                return b""
            if piece := self._intake.take(chunk):
                return piece

    async def whole(self, most: int | None = None) -> bytes:
        """The decoded body to its end. Raises AnswerTooLarge when it has more than `most` bytes, which the caps may allow."""
        body = await self.read()
        assert self._connection is not None
        if self._connection.at_end and body:
            self._intake.end()
        else:
            whole = bytearray(body)  # not a list of pieces: a million tiny ones would weigh ten times their bytes
            while (most is None or len(whole) <= most) and (piece := await self.read()):
                whole += piece
            body = bytes(whole)
        if most is not None and len(body) > most:
            raise AnswerTooLarge(f"the answer of {self._place.origin} has more than {most} bytes")
        return body

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
