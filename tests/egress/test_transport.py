"""What leaves and what is taken in, against a server that sees bytes."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network

import pytest

from toolgate import __version__
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Caps, Headers, Reach, Request, Response
from toolgate.errors import AnswerTooLarge, EgressBlocked, TimedOut, ToolgateError, Unreachable, UpstreamFailed
from toolgate.testing import RawServer, raw_server

LOOPBACK = ip_network("127.0.0.0/8")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as opened:
        yield opened


def reach(server: RawServer) -> Reach:
    return Reach(frozenset({server.origin}), (LOOPBACK,))


async def ask(
    transport: Transport,
    server: RawServer,
    target: str = "/",
    *,
    method: str = "GET",
    headers: Headers = (),
    body: bytes | None = None,
    seconds: float = 5.0,
    caps: Caps = Caps(),  # noqa: B008
) -> Response:
    return await transport.send(Request(method, server.origin + target, headers, body), reach=reach(server), seconds=seconds, caps=caps)


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_request_goes_out_with_its_own_headers_and_four_of_ours(transport: Transport) -> None:
    async with raw_server(OK) as server:
        await ask(transport, server, "/a?b=c", method="POST", headers=(("X-Own", "1"), ("x-own", "2")), body=b"\0body")

        assert server.seen == [
            f"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAccept-Encoding: gzip, identity\r\nX-Own: 1\r\nx-own: 2\r\n"
            f"User-Agent: toolgate/{__version__}\r\nContent-Length: 5\r\n\r\n\0body".encode()
        ]


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", None, None),
        ("DELETE", None, None),
        ("POST", None, b"0"),
        ("PUT", b"", b"0"),
        ("GET", b"q", b"1"),
        ("QUERY", b"select", b"6"),
    ],
)
async def test_a_length_is_sent_where_there_is_or_could_be_a_body(
    transport: Transport, method: str, body: bytes | None, length: bytes | None
) -> None:
    async with raw_server(OK) as server:
        await ask(transport, server, method=method, body=body)

        lines = server.seen[0].split(b"\r\n")
        assert [line for line in lines if line.startswith(b"Content-Length")] == ([b"Content-Length: " + length] if length else [])


async def test_a_user_agent_of_the_operators_stays_the_only_one(transport: Transport) -> None:
    async with raw_server(OK) as server:
        await ask(transport, server, headers=(("user-agent", "acme/1"),))

        assert server.seen[0].lower().count(b"user-agent:") == 1
        assert b"user-agent: acme/1\r\n" in server.seen[0]


@pytest.mark.parametrize(
    "target", ["/a/../b", "/a//b", "/%2e%2e/%2E", "/?q=%7e~'()*", "/a%2Fb;c=1,2", "/?", "/'\"<>[]^`{|}", "/?x=a+b%20c&&", "/@:8080/"]
)
async def test_nobody_normalises_the_target(transport: Transport, target: str) -> None:
    async with raw_server(OK) as server:
        await ask(transport, server, target)

        assert server.seen[0].split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "header",
    [
        ("X-A", "canary\r\nX-B: 1"),
        ("X-A", "canary\n"),
        ("X-A", "canary\0"),
        ("X-A", "canary\x7f"),
        ("X-A", "canary\u2028"),
        ("X-A\r\nX-B", "canary"),
        ("X A", "canary"),
        ("", "canary"),
        ("Host", "canary"),
        ("content-length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "canary"),
        ("Accept-Encoding", "br"),
        ("Expect", "100-continue"),
    ],
)
async def test_a_header_that_would_reshape_the_request_is_refused_before_anything_is_sent(
    transport: Transport, header: tuple[str, str]
) -> None:
    async with raw_server(OK) as server:
        with pytest.raises(EgressBlocked) as refused:
            await ask(transport, server, headers=(header,))

        assert "canary" not in str(refused.value)
        assert server.connections == 0


@pytest.mark.parametrize("method", ["GET / HTTP/1.1\r\nX: y\r\n\r\nGET", "", "GE T"])
async def test_a_method_that_is_not_a_word_is_refused(transport: Transport, method: str) -> None:
    async with raw_server(OK) as server:
        with pytest.raises(EgressBlocked, match="the method is not a word"):
            await ask(transport, server, method=method)

        assert server.connections == 0


async def test_an_answer_comes_back_with_status_headers_and_body(transport: Transport) -> None:
    async with raw_server(b"HTTP/1.1 404 Not Found\r\nX-A: 1\r\nx-a: \xe4\r\nContent-Length: 4\r\n\r\ngone") as server:
        response = await ask(transport, server)

    assert response == Response(404, (("X-A", "1"), ("x-a", "ä"), ("Content-Length", "4")), b"gone")


async def test_chunks_and_interim_answers_make_one_answer(transport: Transport) -> None:
    async with raw_server(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
    ) as server:
        response = await ask(transport, server)

    assert (response.status, response.body) == (200, b"abcde")


async def test_a_long_answer_arrives_whole(transport: Transport) -> None:
    body = b"".join(number.to_bytes(4) for number in range(500_000))
    async with raw_server(answer(body)) as server:
        assert (await ask(transport, server)).body == body


async def test_an_answer_without_length_ends_with_its_connection(transport: Transport) -> None:
    async def until_the_end(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        writer.close()

    async with raw_server(until_the_end) as server:
        assert (await ask(transport, server)).body == b"all of it"


async def test_a_head_request_has_no_body_however_long_it_says_to_be(transport: Transport) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n") as server:
        assert (await ask(transport, server, method="HEAD")).body == b""


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/", "/same-origin", "https://other.example/", "file:///etc/passwd", "http://127.0.0.1:1/"]
)
async def test_a_redirect_is_an_answer_and_is_not_followed(transport: Transport, location: str) -> None:
    async with raw_server(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()) as server:
        response = await ask(transport, server, headers=(("Authorization", "Bearer canary"),))

        assert (response.status, response.header("location")) == (302, location)
        assert len(server.seen) == 1


async def test_a_cookie_that_is_set_is_not_sent_back(transport: Transport) -> None:
    async with raw_server(answer(b"", "Set-Cookie: session=1; Path=/")) as server:
        await ask(transport, server)
        await ask(transport, server)

        assert all(b"ookie" not in request for request in server.seen)


async def test_proxies_and_passwords_of_the_environment_are_ignored(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(OK) as server, raw_server(OK) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
        await ask(transport, server)

        assert (len(server.seen), len(proxy.seen)) == (1, 0)


async def test_a_gzip_answer_is_decoded(transport: Transport) -> None:
    async with raw_server(answer(gzip.compress(b"hello" * 100), "Content-Encoding: gzip")) as server:
        assert (await ask(transport, server)).body == b"hello" * 100


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (answer(gzip.compress(bytes(20 * 1024 * 1024)), "Content-Encoding: gzip"), AnswerTooLarge),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n", AnswerTooLarge),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + bytes(1 << 20) + b"\r\n0\r\n\r\n", AnswerTooLarge),
        (answer(gzip.compress(gzip.compress(b"x")), "Content-Encoding: gzip, gzip"), UpstreamFailed),
        (answer(b"x", "Content-Encoding: br"), UpstreamFailed),
        (answer(b"ok", "X-Long: " + "x" * 300_000), UpstreamFailed),
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", UpstreamFailed),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", UpstreamFailed),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", UpstreamFailed),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UpstreamFailed),
    ],
)
async def test_an_answer_that_is_too_large_or_not_http_is_dropped(transport: Transport, sent: bytes, error: type[ToolgateError]) -> None:
    async with raw_server(sent) as server:
        with pytest.raises(error) as failed:
            await ask(transport, server, "/?api_key=canary", headers=(("Authorization", "canary"),), caps=Caps(received=900_000))

        assert server.origin in str(failed.value)
        assert "canary" not in str(failed.value)
        assert failed.value.__cause__ is None


async def test_a_short_body_is_a_failure_of_the_other_side(transport: Transport) -> None:
    async def short(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        writer.close()

    async with raw_server(short) as server:
        with pytest.raises(UpstreamFailed, match="broke off in the middle of its answer"):
            await ask(transport, server)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_reset_after_the_request_is_a_failure_of_the_other_side(transport: Transport, method: str) -> None:
    async def reset(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with raw_server(reset) as server:
        with pytest.raises(UpstreamFailed, match="closed the connection without an answer"):
            await ask(transport, server, method=method)

        assert len(server.seen) == 1


async def test_nobody_listening_is_unreachable(transport: Transport) -> None:
    async with raw_server(OK) as server:
        pass

    with pytest.raises(Unreachable) as failed:
        await ask(transport, server, "/?api_key=canary")

    assert str(failed.value) == f"no connection to {server.origin}: Connection refused"


async def test_a_slow_trickle_does_not_move_the_deadline(transport: Transport) -> None:
    async def trickle(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\nx\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_server(trickle) as server:
        begun = time.monotonic()
        with pytest.raises(TimedOut) as failed:
            async with asyncio.timeout(60):  # the trickle itself never ends
                await ask(transport, server, "/?api_key=canary", seconds=0.3)

        assert time.monotonic() - begun > 0.25
        assert str(failed.value) == f"{server.origin} did not complete its answer within 0.3 s; whether it acted is not known"


async def test_a_deadline_before_the_connection_is_there_is_unreachable() -> None:
    async def never(host: str) -> list[str]:
        await asyncio.Event().wait()
        return []

    async with open_transport(resolver=never) as transport:
        with pytest.raises(Unreachable, match=r"^no connection to http://slow.example:80 within 0.05 s$"):
            await transport.send(
                Request("GET", "http://slow.example/?key=canary"), reach=Reach(frozenset({"http://slow.example:80"})), seconds=0.05
            )


async def test_a_cancelled_call_closes_its_connection(transport: Transport) -> None:
    asked = asyncio.Event()

    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        asked.set()

    async with raw_server(silent) as server, asyncio.timeout(30):
        task = asyncio.create_task(ask(transport, server))
        await asked.wait()

        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        await server.ended.wait()


async def test_a_request_that_is_given_up_is_not_sent_on_in_the_background() -> None:
    given_up, arrived = asyncio.Event(), 0

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await given_up.wait()
        with suppress(ConnectionError):
            while piece := await reader.read(1 << 20):
                arrived += len(piece)
        writer.close()
        done.set()

    done = asyncio.Event()
    listening = await asyncio.start_server(reads_late, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with listening, open_transport() as transport, asyncio.timeout(30):
        request = Request("POST", origin, body=bytes(32 * 1024 * 1024))
        with pytest.raises(TimedOut):
            await transport.send(request, reach=Reach(frozenset({origin}), (LOOPBACK,)), seconds=0.1)
        given_up.set()
        await done.wait()

    assert arrived < 32 * 1024 * 1024


def test_a_start_does_not_pay_for_what_only_requests_need() -> None:
    code = "import sys, toolgate.egress.transport; print(sys.modules.keys() & {'aiohttp', 'httpx2', 'yarl', 'idna'})"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert shown.stdout == "set()\n"
