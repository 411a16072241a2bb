"""A head that a connection had before is read as the parser read it, whatever came in between and in whichever pieces."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from starlette.types import Receive, Scope, Send

from toolgate.calls import Principal
from toolgate.errors import NotIdentified
from toolgate.server.heads import HEADS, LARGEST, learnt
from toolgate.settings import Server

Serve = Callable[..., AbstractAsyncContextManager[str]]


async def anybody(_scope: Scope) -> Principal:
    return Principal(id="anybody")


async def nobody(_scope: Scope) -> Principal:
    raise NotIdentified("nobody")


async def mirror(scope: Scope, receive: Receive, send: Send) -> None:
    """Says what was asked."""
    if scope["type"] != "http":
        return
    told = {name: scope[name] for name in ("method", "path", "http_version", "scheme")}
    told |= {name: scope[name].decode() for name in ("raw_path", "query_string")}
    told["headers"] = [(name.decode(), value.decode()) for name, value in scope["headers"]]
    told["body"] = (await receive())["body"].decode()
    body = json.dumps(told).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


def a_post(body: bytes, *, path: str = "/mcp?x=%20y", more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: @\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nX-A:  b \r\n{more}\r\n"
    return head.encode() + body


CHUNKED = (
    b"POST /mcp HTTP/1.1\r\nhost: @\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[1\r\n1\r\n]\r\n0\r\n\r\n"
)
REQUESTS = [
    a_post(b"[1]"),
    a_post(b"[1]"),
    a_post(b'["a longer one"]'),
    CHUNKED,
    a_post(b"[2]"),
    b"GET /mcp HTTP/1.1\r\nhost: @\r\n\r\n",
    a_post(b"[3]", more="Mcp-Name: a\r\n"),
    a_post(b"[3]", more="Mcp-Name: b\r\n"),
    a_post(b"[4]"),
    a_post(b"[5]", path="http://@/mcp"),
    a_post(b"[5]", path="http://@/mcp"),
    *(a_post(b"[6]", path=f"/{number % 10}") for number in range(12)),
    a_post(json.dumps("POST /mcp HTTP/1.1\r\nhost: evil\r\n\r\n").encode()),
    a_post(b"[7]", more=f"X-Long: {'x' * LARGEST}\r\n"),
    a_post(b"[7]", more=f"X-Long: {'x' * LARGEST}\r\n"),
    a_post(b"[8]"),
]


async def connect(address: str) -> SocketStream:
    parts = httpx2.URL(address)
    return await anyio.connect_tcp(parts.host, parts.port or 0)


async def answer(stream: SocketStream) -> object:
    received = b""
    with anyio.fail_after(9.5):
        while b"\r\n\r\n" not in received:
            received += await stream.receive()
        head, _, body = received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0])
        while len(body) < length:
            body += await stream.receive()
    return head.split()[1], json.loads(body)


@pytest.mark.parametrize("cut", ["nowhere", "before the body", "in the length", "in the body"])
async def test_a_connection_hears_what_each_request_would_be_told_on_its_own(serve: Serve, cut: str) -> None:
    async with serve(mirror, Server(port=0), anybody) as address:
        requests = [request.replace(b"@", address.removeprefix("http://").encode()) for request in REQUESTS]
        alone = []
        for request in requests:
            async with await connect(address) as stream:
                await stream.send(request)
                alone.append(await answer(stream))

        together = []
        async with await connect(address) as stream:
            for request in requests:
                end = request.index(b"\r\n\r\n") + 4
                places = {"before the body": end, "in the length": request.lower().find(b"length") + 9, "in the body": end + 1}
                at = places.get(cut, 0)
                await stream.send(request[:at] or request)
                if 0 < at < len(request):
                    await anyio.sleep(0.02)
                    await stream.send(request[at:])
                together.append(await answer(stream))

    assert together == alone


async def test_what_follows_an_answer_that_came_early_is_the_rest_of_its_body(serve: Serve) -> None:
    async with serve(mirror, Server(port=0), nobody) as address:
        request = a_post(b"[1]").replace(b"@", address.removeprefix("http://").encode())
        head = request.replace(b"Content-Length: 3", b"Content-Length: %d" % (len(request) + 10))[:-3]
        async with await connect(address) as stream:
            for first in (request, head):
                await stream.send(first)
                assert (await answer(stream))[0] == b"401"  # type: ignore[index]
            await stream.send(request)

            with anyio.move_on_after(0.2) as silence:
                await stream.receive()

            assert silence.cancelled_caught  # it was no request, though it looks like one
            await stream.send(b"0123456789" + request)
            assert (await answer(stream))[0] == b"401"  # type: ignore[index]


async def test_requests_in_one_piece_are_answered_in_their_order(serve: Serve) -> None:
    async with serve(mirror, Server(port=0), anybody) as address, await connect(address) as stream:
        request = a_post(b"[1]").replace(b"@", address.removeprefix("http://").encode())
        await stream.send(request)
        first = await answer(stream)
        await stream.send(request + request.replace(b"[1]", b"[2]") + request)

        received = b""
        with anyio.fail_after(9.5):
            while received.count(b'"body"') < 3:
                received += await stream.receive()

        assert [part.split(b'"')[0] for part in received.split(b'"body": "')[1:]] == [b"[1]", b"[2]", b"[1]"]
        assert first[1]["body"] == "[1]"  # type: ignore[index]


SCOPE = {"method": "POST", "headers": [(b"host", b"a"), (b"content-length", b"3")], "path": "/", "state": {}}


@pytest.mark.parametrize(
    "head",
    [
        b"\r\nPOST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\ncontent-length: 3\r\n\r\n",
        b"POST / HTTP/1.1\nhost: a\r\ncontent-length: 3\n\n[1]\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\n b\r\ncontent-length: 3\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length : 3\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3333333333\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n",
    ],
)
def test_a_head_that_leaves_a_question_is_not_learnt(head: bytes) -> None:
    assert learnt(head, SCOPE) is None


def test_only_digits_are_a_length() -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: @\r\n\r\n"
    known = learnt(head.replace(b"@", b"3"), SCOPE)
    assert known is not None

    found = [known.length(head.replace(b"@", length)) for length in (b"3", b"27", b"", b"0", b"+3", b"3 ", b"3\r\nx: y", b"3" * 10, b"0x3")]

    assert found == [b"3", b"27", b"", b"", b"", b"", b"", b"", b""]
    assert known.headers_with(b"27") == [(b"host", b"a"), (b"content-length", b"27")]
    assert HEADS * LARGEST <= 32 * 1024


@pytest.mark.parametrize("begun", [b"P", b"POST /", b"\r", b"\r\n"])
async def test_what_was_begun_before_a_known_head_counts(serve: Serve, begun: bytes) -> None:
    async with serve(mirror, Server(port=0), anybody) as address, await connect(address) as stream:
        request = a_post(b"[1]").replace(b"@", address.removeprefix("http://").encode())
        await stream.send(request)
        first = await answer(stream)
        await stream.send(begun)
        await anyio.sleep(0.02)
        await stream.send(request)

        with anyio.fail_after(9.5):
            second = await stream.receive()

    assert first[0] == b"200"  # type: ignore[index]
    assert second.split()[1] == (b"200" if begun.isspace() else b"400")
