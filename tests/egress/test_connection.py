"""How an answer is read, whatever the pieces that it comes in and whatever else the other side says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toolgate.egress.connection import AHEAD
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Caps, Reach, Request, Response
from toolgate.errors import UpstreamFailed
from toolgate.testing import RawServer, raw_server

Handler = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
LENGTH = b"HTTP/1.1 200 OK\r\nX-A: b \r\nContent-Length: 5\r\n\r\nabcde"
CHUNKS = b"HTTP/1.1 201 \r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n2\r\nab\r\n3 \r\ncde\r\n0\r\nX-A: trailer\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early\r\nX-A: early\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as opened:
        yield opened


def reach(server: RawServer) -> Reach:
    return Reach(frozenset({server.origin}), (ip_network("127.0.0.0/8"),))


async def get(transport: Transport, server: RawServer) -> Response:
    return await transport.send(Request("GET", server.origin + "/"), reach=reach(server), seconds=5)


def in_pieces(answer: bytes, cuts: list[int]) -> Handler:
    async def send(_: bytes, writer: asyncio.StreamWriter) -> None:
        at = 0
        for cut in [*sorted(cut % len(answer) for cut in cuts), len(answer)]:
            writer.write(answer[at:cut])
            await writer.drain()
            await asyncio.sleep(0)
            at = cut

    return send


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(LENGTH, 200, b"abcde"), (CHUNKS, 201, b"abcde"), (HINTS + HINTS + LENGTH, 200, b"abcde"), (EMPTY, 204, b"")]),
    st.lists(st.integers(0, len(HINTS + HINTS + LENGTH)), max_size=12),
)
async def test_an_answer_is_the_same_in_whatever_pieces_it_comes(answer: tuple[bytes, int, bytes], cuts: list[int]) -> None:
    sent, status, body = answer
    async with raw_server(in_pieces(sent, cuts)) as server, open_transport() as transport:
        for _ in range(2):
            found = await get(transport, server)
            assert (found.status, found.body) == (status, body)
            assert [value for name, value in found.headers if name == "X-A"] == ["b"]
        assert server.connections == 1  # kept, since it was read to its end


@pytest.mark.parametrize(
    "sent",
    [
        LENGTH + b"HTTP/1.1 200 OK\r\n",  # another begins
        LENGTH + LENGTH,
        LENGTH + b"\x00\xffpoison",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcdeand more",
    ],
)
async def test_what_follows_an_answer_spoils_its_connection_and_not_the_answer(transport: Transport, sent: bytes) -> None:
    async with raw_server(sent) as server:
        assert [(await get(transport, server)).body for _ in range(3)] == [b"abcde"] * 3
        assert server.connections == 3


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nabcde",  # RFC 9112, 6.3: smuggling
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nabcde",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\nabcde",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(129)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 17_000 + b"\r\n\r\n",
        HINTS * 5000,  # interim answers without an end
        b"\r\n" * 100_000,
    ],
)
async def test_an_answer_that_can_be_read_in_two_ways_or_has_no_end_is_refused(transport: Transport, sent: bytes) -> None:
    async with raw_server(sent) as server:
        with pytest.raises(UpstreamFailed):
            await get(transport, server)
        with pytest.raises(UpstreamFailed):  # and nothing of it is left for the next
            await get(transport, server)


@pytest.mark.parametrize("endless", [b"0\r\nX-A: ", b"5;a=", b"0\r\n" + b"X-A: b\r\n" * 1000])
async def test_what_stands_beside_a_body_has_an_end_too(transport: Transport, endless: bytes) -> None:
    sent = 0

    async def send(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n" + endless)
        more = b"X-A: b\r\n" * 2000 if endless.endswith(b"\n") else b"a" * 16_000
        with suppress(ConnectionError):
            while sent < 64 * 1024 * 1024:
                writer.write(more)
                await writer.drain()
                sent += len(more)

    async with raw_server(send) as server:
        with pytest.raises(UpstreamFailed, match="broke off"):
            await get(transport, server)

    assert sent < 16 * 1024 * 1024


async def test_an_answer_that_nobody_reads_is_not_taken_in_without_bound(transport: Transport) -> None:
    sent, full = 0, asyncio.Event()

    async def flood(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.transport.set_write_buffer_limits(high=0)
        while sent < 64 * 1024 * 1024:
            writer.write(bytes(65536))
            sent += 65536
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                break
        full.set()

    async with raw_server(flood) as server, asyncio.timeout(10):
        exchange = transport.exchange(
            Request("GET", server.origin + "/"), reach=reach(server), caps=Caps(received=1 << 30, decoded=1 << 30)
        )
        await exchange.start()
        await full.wait()
        assert sent < 32 * 1024 * 1024  # what the two systems' sockets hold, and AHEAD
        first = await exchange.read()
        assert 0 < len(first) < AHEAD + 1024 * 1024
        assert await exchange.read()  # and it goes on
        exchange.close()


async def test_an_idle_connection_that_is_closed_by_the_other_side_is_not_handed_out(transport: Transport) -> None:
    closed = asyncio.Event()

    async def once(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(LENGTH)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        closed.set()

    async with raw_server(once) as server, asyncio.timeout(30):
        for n in range(3):
            closed.clear()
            assert (await get(transport, server)).body == b"abcde"
            await closed.wait()
            assert server.connections == n + 1
