"""The guarded way out for libraries that want an httpx2 client: the same guard, the same pools.

    httpx2.AsyncClient(transport=Guarded(transport, reach=reach))

Answers are streamed. A library's own timeouts hold for each step; `seconds` is the one deadline over all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import httpx2

from toolgate.egress.exchange import Exchange
from toolgate.egress.transport import OURS, Transport
from toolgate.egress.wire import CAPS, Caps, Reach, Request
from toolgate.errors import EgressBlocked, TimedOut, ToolgateError, Unreachable

T = TypeVar("T")

DECODED = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Headers that no longer say the truth once the body is decoded."""


class Guarded(httpx2.AsyncBaseTransport):
    """An httpx2 transport that reaches what one `Reach` allows."""

    def __init__(self, transport: Transport, *, reach: Reach, seconds: float = 600.0, caps: Caps = CAPS) -> None:
        """
        Args:
            seconds: until an answer must have been read to its end.
        """
        self._transport = transport
        self._reach = reach
        self._seconds = seconds
        self._caps = caps

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Raises httpx2's own errors, so that libraries may act on them; ours are their cause."""
        timeout = request.extensions.get("timeout", {})
        clock = _Clock(self._seconds, timeout.get("read"))
        connecting = timeout.get("connect")
        body = await request.aread()
        with _as_httpx2(request):
            exchange = self._transport.exchange(_plain(request, body), reach=self._reach, caps=self._caps)
            try:
                if connecting is not None:
                    await clock.wait(exchange, exchange.connect, connecting)
                await clock.wait(exchange, exchange.start)
            except BaseException:
                exchange.close()
                raise
        headers = [(name, value) for name, value in exchange.headers if name.lower() not in DECODED]
        return httpx2.Response(exchange.status, headers=headers, stream=_Body(exchange, clock, request))

    async def aclose(self) -> None:
        """Nothing: the pools belong to whoever opened the transport."""


class _Clock:
    """A deadline over all steps, and the seconds that one step may take."""

    def __init__(self, seconds: float, step: float | None) -> None:
        self._seconds = seconds
        self._step = seconds if step is None else step
        self._deadline = asyncio.get_running_loop().time() + seconds

    async def wait(self, exchange: Exchange, step: Callable[[], Awaitable[T]], seconds: float | None = None) -> T:
        """`step`, for at most `seconds`, or what a step may take."""
        most = self._step if seconds is None else seconds
        try:
            async with asyncio.timeout_at(min(self._deadline, asyncio.get_running_loop().time() + most)):
                return await step()
        except TimeoutError:
            raise exchange.too_late(min(self._seconds, most)) from None


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: Exchange, clock: _Clock, request: httpx2.Request) -> None:
        self._exchange = exchange
        self._clock = clock
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2(self._request):
            while piece := await self._clock.wait(self._exchange, self._exchange.read):
                yield piece

    async def aclose(self) -> None:
        self._exchange.close()


def _plain(request: httpx2.Request, body: bytes) -> Request:
    """`request` as our own value, without the headers that the transport sets."""
    url = request.url
    target = url.raw_path.decode("ascii")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw]
    return Request(
        method=request.method,
        url=f"{url.scheme}://{url.netloc.decode('ascii')}{target}",
        headers=tuple((name, value) for name, value in headers if name.lower() not in OURS),
        body=body or None,
    )


@contextmanager
def _as_httpx2(request: httpx2.Request) -> Iterator[None]:
    try:
        yield
    except (Unreachable, EgressBlocked) as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except TimedOut as error:
        raise httpx2.ReadTimeout(str(error), request=request) from error
    except ToolgateError as error:
        raise httpx2.RemoteProtocolError(str(error), request=request) from error
