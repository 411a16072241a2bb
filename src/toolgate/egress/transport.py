"""The guarded way out: every request of the program to another machine goes through `Transport`.

What it promises, whoever asks:

- only `http(s)` origins named in the request's `Reach`, only addresses that are public or allowed there (see `pool`),
- the request line and headers go out byte for byte as they were given, with Host, Accept-Encoding, User-Agent and
  Content-Length added, and nothing else: no cookies, no proxies or passwords from the environment,
- a redirect is an answer like others and is not followed,
- one deadline over name, connection, request and answer, which no slow trickle moves,
- no more of an answer is taken than `Caps` allow, before and after decoding.

aiohttp makes the connections; what goes over them is ours (`connection`).

A request that found its idle connection closed by the other side goes out once more, if its method is safe. Others are
not repeated: whether they were acted on is not known.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from ssl import SSLContext
from typing import TYPE_CHECKING

from toolgate import __version__
from toolgate.calls import Call
from toolgate.egress.address import Network
from toolgate.egress.decoding import ACCEPTED
from toolgate.egress.origin import Place, check_origin, locate
from toolgate.egress.wire import CAPS, Caps, Reach, Request, Response
from toolgate.errors import EgressBlocked
from toolgate.tasks import Deadlines, Within

if TYPE_CHECKING:  # aiohttp takes 0.16 s of CPU to import: the first request pays that, not every start
    from toolgate.egress.exchange import Exchange
    from toolgate.egress.pool import Pool, Resolver

USER_AGENT = f"toolgate/{__version__}"
WITH_CONTENT = frozenset({"POST", "PUT", "PATCH"})
"""Methods whose lack of a body is said by `Content-Length: 0` (RFC 9110, 8.6)."""
FRAMING = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
HOP_BY_HOP = frozenset({"te", "trailer", "upgrade", "expect", "keep-alive", "proxy-connection"})
OURS = FRAMING | HOP_BY_HOP
"""Headers that only the transport may set."""
KEPT = 4096  # reaches, of which each operation has its own
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
NOT_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
"""RFC 9110, 5.5. CR and LF above all."""


@asynccontextmanager
async def open_transport(*, resolver: Resolver | None = None, tls: SSLContext | None = None) -> AsyncIterator[Transport]:
    """The transport, until the block ends.

    Args:
        resolver: instead of the machine's.
        tls: instead of verification against the system's certificate store.
    """
    transport = Transport(resolver, tls)
    try:
        yield transport
    finally:
        await transport.close()


class Transport:
    """A `Sender` over the network."""

    def __init__(self, resolver: Resolver | None, tls: SSLContext | None) -> None:
        self._resolver = resolver
        self._tls = tls
        self._deadlines = Deadlines()
        self._pools: dict[tuple[Network, ...], Pool] = {}
        self._known: dict[int, tuple[Reach, Pool]] = {}
        """By the identity of the reach, which lives as long as it stands here: networks take longer to compare than all the rest."""

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        """Carry `request` out; as `Sender.send` says. A deadline that passes before anything was sent is Unreachable."""
        exchange = self.exchange(request, reach=reach, caps=caps)
        try:
            with Within(seconds, self._deadlines):
                await exchange.start()
                return Response(exchange.status, exchange.headers, await exchange.whole())
        except TimeoutError:
            raise exchange.too_late(seconds) from None
        finally:
            exchange.close()

    def exchange(self, request: Request, *, reach: Reach, caps: Caps = CAPS) -> Exchange:
        """`request`, checked and ready to be sent, for callers that read the answer as it comes and keep the time themselves.

        Raises:
            EgressBlocked: `reach` does not have the URL's origin, or the request cannot be sent as it is.
        """
        place, target = locate(request.url)
        check_origin(place.origin, reach)
        known = self._known.get(id(reach))
        pool = known[1] if known is not None else self._pool(reach)
        return pool.exchange(request.method, place, message(request, place, target), caps)

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.close()

    def _pool(self, reach: Reach) -> Pool:
        networks = reach.networks
        pool = self._pools.get(networks)
        if pool is None:
            from toolgate.egress.pool import Pool, look_up

            pool = self._pools[networks] = Pool(frozenset(networks), self._resolver or look_up, self._tls)
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[id(reach)] = reach, pool
        return pool


def message(request: Request, place: Place, target: str) -> bytes:
    """`request` as its bytes on the wire.

    Raises:
        EgressBlocked: a method or header that cannot be sent, or may not be set.
    """
    if not TOKEN.fullmatch(request.method):
        raise EgressBlocked("the method is not a word")
    names = {_allowed(name) for name, _ in request.headers}
    if NOT_A_VALUE.search("".join([value for _, value in request.headers])):
        name = next(name for name, value in request.headers if NOT_A_VALUE.search(value))
        raise EgressBlocked(f"the value of the header {name} holds characters that cannot be sent")
    lines = [f"{request.method} {target} HTTP/1.1\r\nHost: {place.authority}\r\nAccept-Encoding: {ACCEPTED}"]
    lines += map(": ".join, request.headers)
    if "user-agent" not in names:
        lines.append(f"User-Agent: {USER_AGENT}")
    if request.body is not None or request.method in WITH_CONTENT:
        lines.append(f"Content-Length: {len(request.body or b'')}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (request.body or b"")


@lru_cache(maxsize=1024)
def _allowed(name: str) -> str:
    """The header's name in lower case, if it can be sent and callers may set it."""
    lower = name.lower()
    if not TOKEN.fullmatch(name):
        raise EgressBlocked("a header's name holds characters that cannot be sent")
    if lower in OURS:
        raise EgressBlocked(f"the header {name} is set by the transport and by nobody else")
    return lower
