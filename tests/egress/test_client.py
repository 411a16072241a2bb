"""httpx2 clients over the guarded transport."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from ipaddress import ip_network

import httpx2
import pytest

from toolgate import __version__
from toolgate.egress.client import Guarded
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Caps, Reach, Request
from toolgate.errors import EgressBlocked, ToolgateError, Unreachable
from toolgate.testing import RawServer, Script, raw_server

LOOPBACK = ip_network("127.0.0.0/8")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as opened:
        yield opened


def client(transport: Transport, server: RawServer, *, seconds: float = 5.0, caps: Caps | None = None) -> httpx2.AsyncClient:
    reach = Reach(frozenset({server.origin}), (LOOPBACK,))
    return httpx2.AsyncClient(transport=Guarded(transport, reach=reach, seconds=seconds, caps=caps or Caps()), base_url=server.origin)


async def test_a_librarys_request_goes_out_framed_by_us(transport: Transport) -> None:
    async with raw_server(OK) as server, client(transport, server) as http:
        response = await http.post(
            "/v1/x?a=%7E", json={"b": 1}, headers={"Authorization": "Bearer t", "User-Agent": "sdk/1", "Accept": "a/b"}
        )

        assert (response.status_code, response.text) == (200, "ok")
        assert server.seen == [
            f"POST /v1/x?a=%7E HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept-Encoding: gzip, identity\r\n"
            f"Authorization: Bearer t\r\nUser-Agent: sdk/1\r\nAccept: a/b\r\nContent-Type: application/json\r\n"
            f'Content-Length: 7\r\n\r\n{{"b":1}}'.encode()
        ]


async def test_a_request_without_user_agent_gets_ours(transport: Transport) -> None:
    async with raw_server(OK) as server, client(transport, server) as http:
        del http.headers["user-agent"]
        await http.get("/")

        assert f"User-Agent: toolgate/{__version__}\r\n".encode() in server.seen[0]


async def test_an_encoded_answer_arrives_decoded_once(transport: Transport) -> None:
    body = gzip.compress(b"hello" * 50)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nX-A: 1\r\nContent-Length: {len(body)}\r\n\r\n"
    async with raw_server(head.encode() + body) as server, client(transport, server) as http:
        response = await http.get("/")

        assert response.content == b"hello" * 50
        assert response.headers.multi_items() == [("x-a", "1")]


async def test_an_answer_is_streamed_as_it_comes(transport: Transport) -> None:
    asked_for_more = asyncio.Event()

    async def in_two_pieces(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        await asked_for_more.wait()
        writer.write(b"6\r\nsecond\r\n0\r\n\r\n")

    pieces = []
    async with raw_server(in_two_pieces) as server, client(transport, server) as http, asyncio.timeout(30):
        async with http.stream("GET", "/") as response:
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                asked_for_more.set()
        await http.get("/")

        assert pieces == [b"first", b"second"]
        assert server.connections == 1


async def test_a_packed_answer_is_streamed_as_it_comes_too(transport: Transport) -> None:
    packer, asked_for_more = zlib.compressobj(wbits=16 + zlib.MAX_WBITS), asyncio.Event()

    def packed(data: bytes, mode: int) -> bytes:
        body = packer.compress(data) + packer.flush(mode)
        return b"%x\r\n%s\r\n" % (len(body), body)

    async def in_two_pieces(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n" + packed(b"first", zlib.Z_SYNC_FLUSH)
        )
        await asked_for_more.wait()
        writer.write(packed(b"second", zlib.Z_FINISH) + b"0\r\n\r\n")

    pieces = []
    async with (
        asyncio.timeout(30),
        raw_server(in_two_pieces) as server,
        client(transport, server) as http,
        http.stream("GET", "/") as response,
    ):
        async for piece in response.aiter_bytes():
            pieces.append(piece)
            asked_for_more.set()

    assert pieces == [b"first", b"second"]


async def test_an_answer_that_is_given_up_closes_its_connection(transport: Transport) -> None:
    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")

    async with raw_server(endless) as server, client(transport, server) as http, asyncio.timeout(30):
        async with http.stream("GET", "/") as response:
            assert response.status_code == 200
        await server.ended.wait()


async def test_one_pool_serves_both_faces(transport: Transport) -> None:
    async with raw_server(OK) as server:
        for _ in range(3):
            async with client(transport, server) as http:
                await http.get("/")

        assert server.connections == 1


async def test_a_redirect_is_not_followed_outside_even_when_the_library_follows(transport: Transport) -> None:
    async with raw_server(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n") as server:
        async with client(transport, server) as http:
            with pytest.raises(httpx2.ConnectError, match="is not among the origins"):
                await http.get("/", follow_redirects=True, headers={"Authorization": "canary"})

        assert len(server.seen) == 1


async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
    """Answers nothing."""


async def stops_in_the_body(_: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")


@pytest.mark.parametrize("script", [silent, stops_in_the_body])
async def test_a_librarys_own_timeout_holds_for_each_step(transport: Transport, script: Script) -> None:
    async with raw_server(script) as server, client(transport, server, seconds=5) as http:
        with pytest.raises(httpx2.ReadTimeout, match=r"within 0\.05 s"):
            await http.get("/?key=canary", timeout=0.05)


@pytest.mark.parametrize("script", [silent, stops_in_the_body])
async def test_one_deadline_holds_over_all_steps(transport: Transport, script: Script) -> None:
    async with raw_server(script) as server, client(transport, server, seconds=0.05) as http:
        with pytest.raises(httpx2.ReadTimeout, match=r"within 0\.05 s"):
            await http.get("/", timeout=5)


@pytest.mark.parametrize(
    ("answer", "caps", "error"),
    [
        (b"nonsense\r\n\r\n", Caps(), httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", Caps(received=2), httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Caps(received=2), httpx2.RemoteProtocolError),
    ],
)
async def test_failures_are_httpx2s_own_with_ours_as_cause(
    transport: Transport, answer: bytes, caps: Caps, error: type[httpx2.TransportError]
) -> None:
    async with raw_server(answer) as server, client(transport, server, caps=caps) as http:
        with pytest.raises(error) as failed:
            await http.get("/?key=canary")

        assert isinstance(failed.value.__cause__, ToolgateError)
        assert "canary" not in str(failed.value)


async def test_a_place_out_of_reach_is_a_connection_error(transport: Transport) -> None:
    async with raw_server(OK) as server:
        blocked = httpx2.AsyncClient(transport=Guarded(transport, reach=Reach(frozenset({server.origin}))))
        async with blocked as http:
            with pytest.raises(httpx2.ConnectError) as failed:
                await http.get(server.origin)
            assert isinstance(failed.value.__cause__, EgressBlocked)

    async with client(transport, server) as http:
        with pytest.raises(httpx2.ConnectError) as failed:
            await http.get("/")
        assert isinstance(failed.value.__cause__, Unreachable)


async def test_a_connection_has_a_time_of_its_own() -> None:
    async def never(_: str) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    timeout = httpx2.Timeout(60.0, connect=0.02)
    async with open_transport(resolver=never) as transport, asyncio.timeout(30):
        reach = Reach(frozenset({"https://api.example:443"}))
        async with httpx2.AsyncClient(transport=Guarded(transport, reach=reach), timeout=timeout) as http:
            with pytest.raises(httpx2.ConnectError, match=r"no connection to https://api.example:443 within 0.02 s"):
                await http.get("https://api.example/")


async def test_who_gives_up_after_connecting_leaves_no_connection_behind() -> None:
    async with raw_server(OK) as server, open_transport() as transport:
        exchange = transport.exchange(Request("GET", server.origin + "/"), reach=Reach(frozenset({server.origin}), (LOOPBACK,)))

        await exchange.connect()
        exchange.close()
        answer = await transport.send(Request("GET", server.origin + "/"), reach=Reach(frozenset({server.origin}), (LOOPBACK,)), seconds=5)

        assert answer.status == 200
        assert len(server.seen) == 1
