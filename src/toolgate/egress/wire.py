"""What goes out and what comes back, as values. No I/O here: pure code makes and reads these."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from toolgate.calls import Call

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, exactly as it goes onto the wire."""

    method: str
    url: str
    """Absolute, ASCII, percent-encoded as wanted: nobody may normalise it."""
    headers: Headers = ()
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP answer, decoded from its content encoding, complete."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """The first header of that name, in any case."""
        return first(self.headers, name)


def first(headers: Headers, name: str) -> str | None:
    """The value of the first header called `name`, in any case."""
    wanted = name.lower()
    for key, value in headers:
        if key.lower() == wanted:
            return value
    return None


@dataclass(frozen=True, slots=True)
class Reach:
    """Where a request may go. Everything else is refused before a connection is made."""

    origins: frozenset[str]
    """`scheme://host:port`, lower case, port always given."""
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Allowed besides public addresses."""


@dataclass(frozen=True, slots=True)
class Caps:
    """How much of an answer is taken."""

    received: int = 5 * 1024 * 1024
    """Bytes on the wire."""
    decoded: int = 10 * 1024 * 1024
    """Bytes after the content encoding is undone."""
    ratio: int = 100
    """Decoded bytes a received byte, counted from 64 KiB on."""


CAPS = Caps()
"""What is taken where nobody says otherwise."""
SMALL = Caps(received=256 * 1024, decoded=256 * 1024)
"""What is taken of tokens, of keys, and of what tells where they are."""


class Sender(Protocol):
    """Carries one request out: the guarded transport, or an application in this process."""

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        """
        Args:
            seconds: until the whole answer must be here.
            call: on whose behalf; never sent over a network.

        Raises:
            EgressBlocked: `reach` does not allow the URL or what its name resolves to.
            Unreachable: no connection within `seconds`, or it broke before the request was sent.
            TimedOut: `seconds` passed after the request was sent.
            AnswerTooLarge: a cap was passed.
            UpstreamFailed: the connection broke while answering, or the answer is not HTTP.
        """
