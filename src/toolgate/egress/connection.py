"""One connection to another machine: a request goes out, and its answer is taken in as llhttp reads it.

aiohttp makes the connection, and then it is ours: its own way of reading an answer takes eight times the time of this one
(measured, 1 kB over loopback), most of it for streams, parsers and headers that are made anew for each.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

if TYPE_CHECKING:
    from aiohttp.connector import Connection as Dialled

MAX_HEAD = 128 * 1024
"""Bytes of a status line and all headers."""
MAX_FIELD = 16 * 1024
"""Bytes of one header."""
MAX_FIELDS = 128
AHEAD = 256 * 1024
"""Bytes of an answer that are taken in before anybody reads them."""


class Lost(Exception):
    """The other side closed the connection, or it broke, before the answer was complete."""


class NotHttp(Exception):
    """What came is no HTTP, or its headers are too large."""


class Connection(asyncio.Protocol):
    """Carries one request after the other. Those who ask wait for `more` until `has_head`, then until what is `here` is empty."""

    has_head: bool
    """Whether `status` and `headers` are those of the answer to the last request."""

    status: int
    headers: list[tuple[str, str]]
    """As they came, without the white space around values."""
    named: dict[str, str]
    """The last header of each name, which is in lower case."""

    def __init__(self, dialled: Dialled) -> None:
        assert dialled.transport is not None
        self._dialled = dialled
        self._transport = dialled.transport
        self._transport.set_protocol(self)
        self._loop = asyncio.get_running_loop()
        self._parser = HttpResponseParser(self)
        # As aiohttp and browsers read answers: what is only untidy is not refused.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._waiter: asyncio.Future[None] | None = None
        self._pieces: deque[bytes] = deque()
        self._problem: Exception | None = None
        self._asked = self.has_head = self._done = False
        self._spoiled = False
        """Nobody can be sure any more where the next answer would begin."""
        self._keeps = True
        """Whether the other side keeps the connection after this answer."""
        self._until_close = False
        self._paused = False
        self._waiting_bytes = 0
        self._beside = 0
        """Bytes since the last ones of a body: of what frames it, and of trailers, which nobody reads."""
        self.used = False
        """Whether it has carried a request before."""

    @property
    def reusable(self) -> bool:
        """Whether another request may go out."""
        # A rest of the last request may still be on its way when the answer came early; nothing may be queued behind it.
        idle = self._keeps and (self._done or not self.used)
        return idle and not (self._spoiled or self._transport.is_closing() or self._transport.get_write_buffer_size())

    def ask(self, wire: bytes, *, without_body: bool) -> None:
        """Send a request.

        Args:
            without_body: its answer has none, whatever the headers say (HEAD).
        """
        self._without_body = without_body
        self._asked, self.has_head, self._done = True, False, False
        self._head_bytes = self._beside = 0
        self.used = True
        self._transport.write(wire)

    def here(self) -> bytes | None:
        """What has come of the body, as it went over the wire; empty at its end, None where more is to come."""
        pieces = self._pieces
        if not pieces:
            return b"" if self._done else None
        piece = pieces.popleft() if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._waiting_bytes = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return piece

    @property
    def at_end(self) -> bool:
        """Whether the answer was read to its end."""
        return self._done and not self._pieces

    def drop(self) -> None:
        """Close it now. Closing it the polite way would first wait until the other side has read everything."""
        self._spoiled = True
        self._transport.abort()
        self._dialled.close()

    def more(self) -> asyncio.Future[None]:
        """Done when more of the answer has come, or will not come. Raises Lost or NotHttp when nothing will."""
        if self._problem is not None:
            raise self._problem
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, problem: Exception) -> None:
        if self._problem is None:
            self._problem = problem
        self._spoiled = True
        self._wake()

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        if self._spoiled or not self._asked or self._done:  # it says something that nobody has asked for
            self._spoiled = True
            self._transport.abort()
            return
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:  # after a 101, which whoever asked will not take
            self._spoiled = True
        except HttpParserError:
            self._spoiled = True
            if not self._done:
                self._fail(NotHttp())
                self._transport.abort()
        if not self.has_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._fail(NotHttp())
                self._transport.abort()
        elif self._beside > MAX_HEAD + len(data) and not self._done:
            self._fail(NotHttp())
            self._transport.abort()
        elif self._waiting_bytes > AHEAD and not self._paused and not self._done:
            self._paused = True
            self._transport.pause_reading()
        if self.has_head:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is None and self.has_head and self._until_close:  # RFC 9112, 6.3: nothing else tells of the end
            self._done = True
        if not self._done:
            self._fail(Lost())
        self._spoiled = True
        self._wake()
        self._dialled.close()

    # What the parser reads.

    def on_message_begin(self) -> None:
        if self._done:
            self._spoiled = True
            return
        self._fields: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.has_head:  # RFC 9110, 6.5: a trailer, or what follows the answer, is no header of it
            if len(self._fields) == MAX_FIELDS:
                raise NotHttp
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.has_head or (100 <= status < 200 and status != 101):  # RFC 9110, 15.2: the answer itself is yet to come
            return
        if self._beside > MAX_FIELD and any(len(name) + len(value) > MAX_FIELD for name, value in self._fields):
            raise NotHttp
        self.status = status
        self.has_head = True
        self.headers = [(name.decode("latin-1"), value.strip(b" \t").decode("latin-1")) for name, value in self._fields]
        self._keeps = self._parser.should_keep_alive()
        if self._without_body:
            self._done = True
            self._keeps = False  # the parser would wait for a body
        self.named = named = {name.lower(): value for name, value in self.headers}
        self._until_close = "content-length" not in named and not named.get("transfer-encoding", "").lower().endswith("chunked")

    def on_body(self, body: bytes) -> None:
        if not self._done:
            self._pieces.append(body)
            self._waiting_bytes += len(body)
            self._beside = 0

    def on_message_complete(self) -> None:
        if self.has_head:
            self._done = True
