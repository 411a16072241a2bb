"""Slow, silent and stubborn clients, and how serving ends. Raw sockets, because well-behaved clients do none of it."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from toolgate.calls import Principal
from toolgate.errors import Misconfigured
from toolgate.server import ANSWER
from toolgate.server.listen import bound, listen, url
from toolgate.settings import Server

Serve = Callable[..., AbstractAsyncContextManager[str]]
IMPATIENT = Server(port=0, header_timeout=0.2, keep_alive=1)


async def anybody(_scope: Scope) -> Principal:
    return Principal(id="anybody")


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


async def either_way(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers in two messages, or at once where that is asked for and can be; the body says whether it could."""
    if scope["type"] == "http":
        if scope["query_string"] == b"at-once" and scope["extensions"][ANSWER](b'{"whole": 1}'):
            assert not scope["extensions"][ANSWER](b"{}")  # never two answers
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"12")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"pieces":1}'})


async def connect(address: str) -> SocketStream:
    parts = httpx2.URL(address)
    return await anyio.connect_tcp(parts.host, parts.port or 0)


async def until_closed(stream: SocketStream) -> bytes:
    """What arrives until the other side closes, which it has to before a server would by default."""
    received = b""
    with anyio.fail_after(9.5):
        while True:
            try:
                received += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return received


async def drip(stream: SocketStream, what: bytes) -> None:
    """Send a byte every 20 ms for as long as somebody takes it."""
    with anyio.fail_after(9.5):
        try:
            while True:
                await stream.send(what)
                await anyio.sleep(0.02)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


async def test_an_answer_sent_at_once_is_the_same_as_one_in_pieces(serve: Serve) -> None:
    async with serve(either_way, Server(port=0), anybody) as address, httpx2.AsyncClient(base_url=address) as client:
        for _ in range(3):  # over one connection
            whole, pieces = await client.get("/?at-once"), await client.get("/")

            assert (whole.status_code, whole.json(), pieces.json()) == (200, {"whole": 1}, {"pieces": 1})
            assert {**whole.headers, "date": ""} == {**pieces.headers, "date": ""}
            assert len(whole.headers.raw) == len(pieces.headers.raw)


async def test_who_closes_its_connection_is_answered_in_pieces(serve: Serve) -> None:
    async with serve(either_way, Server(port=0), anybody) as address, httpx2.AsyncClient(base_url=address) as client:
        answer = await client.get("/?at-once", headers={"connection": "close"})

        assert (answer.json(), answer.headers["connection"]) == ({"pieces": 1}, "close")


async def test_what_an_answer_leaves_behind_is_gone_without_the_collector(serve: Serve) -> None:
    async with serve(either_way, Server(port=0)) as address, await connect(address) as stream:
        gc.collect()
        try:
            gc.disable()
            for _ in range(5):
                await stream.send(b"GET /?at-once HTTP/1.1\r\nhost: %b\r\n\r\n" % address.removeprefix("http://").encode())
                with anyio.fail_after(30):
                    assert b'{"whole": 1}' in await stream.receive()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            left = [thing for thing in gc.garbage if isinstance(thing, RequestResponseCycle)]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

    assert left == []


@pytest.mark.parametrize(
    "beginning", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "], ids=["silence", "a line", "a header"]
)
async def test_a_connection_whose_request_does_not_come_is_closed(serve: Serve, beginning: bytes) -> None:
    async with serve(hello, IMPATIENT, anybody) as address, await connect(address) as stream:
        if beginning:
            await stream.send(beginning)

        assert await until_closed(stream) == b""


@pytest.mark.parametrize("byte", [b"a", b"\r\n"])
async def test_dripping_keeps_no_connection_open(serve: Serve, byte: bytes) -> None:
    async with serve(hello, IMPATIENT, anybody) as address, await connect(address) as stream:
        if byte == b"a":
            await stream.send(b"GET / HTTP/1.1\r\nX-A: ")

        await drip(stream, byte)


async def test_dripping_after_an_answer_keeps_no_connection_open_either(serve: Serve) -> None:
    async with serve(hello, IMPATIENT, anybody) as address, await connect(address) as stream:
        await stream.send(f"GET / HTTP/1.1\r\nHost: {httpx2.URL(address).netloc.decode()}\r\n\r\n".encode())
        assert (await stream.receive()).startswith(b"HTTP/1.1 200 ")

        await drip(stream, b"\r\n")


async def test_a_request_that_comes_in_pieces_within_its_time_is_answered(serve: Serve) -> None:
    async with serve(hello, IMPATIENT, anybody) as address, await connect(address) as stream:
        for piece in (b"GET / HTTP/1.1\r\n", b"Host: ", httpx2.URL(address).netloc, b"\r\nConnection: close\r\n", b"\r\n"):
            await stream.send(piece)
            await anyio.sleep(0.01)

        assert (await until_closed(stream)).startswith(b"HTTP/1.1 200 ")


async def test_endless_headers_are_cut_off(serve: Serve) -> None:
    async with serve(hello, Server(port=0), anybody) as address, await connect(address) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nX-A: ")

        await drip(stream, b"a" * 16384)

    async with serve(hello, Server(port=0), anybody) as address, await connect(address) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 65536)

        assert (await until_closed(stream)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [("http://{host}/", 200), ("http://evil.example/", 421), ("https://evil.example:{port}/", 421), ("*", 421), ("http://x@{host}/", 421)],
)
async def test_a_host_in_the_target_counts_and_not_the_header(serve: Serve, target: str, status: int) -> None:
    async with serve(hello, Server(port=0), anybody) as address, await connect(address) as stream:
        host = httpx2.URL(address).netloc.decode()
        method = "OPTIONS" if target == "*" else "GET"
        line = f"{method} {target.format(host=host, port=httpx2.URL(address).port)} HTTP/1.1"

        await stream.send(f"{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

        assert (await until_closed(stream)).startswith(b"HTTP/1.1 %d " % status)


async def test_what_trails_a_body_is_no_header(serve: Serve) -> None:
    seen: list[list[bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            seen.append([name for name, _ in scope["headers"]])
        await hello(scope, receive, send)

    async with serve(app, Server(port=0), anybody) as address, await connect(address) as stream:
        host = httpx2.URL(address).netloc.decode()
        begin = f"POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked"

        await stream.send(f"{begin}\r\n\r\n2\r\n{{}}\r\n0\r\nAuthorization: Bearer x\r\nHost: evil\r\n\r\n".encode())

        assert (await until_closed(stream)).startswith(b"HTTP/1.1 200 ")
        assert seen == [[b"host", b"connection", b"content-type", b"transfer-encoding"]]


async def test_half_open_requests_do_not_hold_up_others(serve: Serve) -> None:
    async with serve(hello, IMPATIENT, anybody) as address, anyio.create_task_group() as tasks:
        streams = [await connect(address) for _ in range(100)]
        for stream in streams:
            await stream.send(b"GET / HTTP/1.1\r\nHost")
        async with httpx2.AsyncClient(trust_env=False) as client:
            answered = await client.get(address)

        for stream in streams:
            tasks.start_soon(until_closed, stream)
    for stream in streams:
        await stream.aclose()

    assert answered.text == "hello"


async def test_a_client_that_reads_nothing_is_cut_off_and_holds_up_no_memory(serve: Serve) -> None:
    sent, cut_off = list[int](), anyio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                while True:
                    await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                    sent.append(65536)
                    await anyio.lowlevel.checkpoint()

            tasks.start_soon(write)
            await receive()
            assert (await receive())["type"] == "http.disconnect"
            cut_off.set()
            tasks.cancel_scope.cancel()

    async with serve(endless, Server(port=0, write_timeout=0.2), anybody) as address, await connect(address) as stream:
        await stream.send(f"GET / HTTP/1.1\r\nHost: {httpx2.URL(address).netloc.decode()}\r\n\r\n".encode())
        with anyio.fail_after(30):
            await cut_off.wait()

    assert sum(sent) < 16 * 1024 * 1024  # what the kernel's buffers on both sides take


async def test_a_chunked_body_over_the_limit_is_cut_off_although_it_names_no_length(serve: Serve) -> None:
    async with serve(hello, Server(port=0, max_body=100_000), anybody) as address, await connect(address) as stream:
        head = f"POST / HTTP/1.1\r\nHost: {httpx2.URL(address).netloc.decode()}\r\nContent-Type: application/json\r\n"
        await stream.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(drip, stream, b"4000\r\n" + b" " * 0x4000 + b"\r\n")
            answered = await until_closed(stream)

    assert answered.startswith(b"HTTP/1.1 413 ")


async def test_connections_beyond_the_limit_are_told_so(serve: Serve) -> None:
    server = Server(port=0, max_connections=3)
    async with serve(hello, server, anybody) as address, httpx2.AsyncClient(trust_env=False) as client:
        streams = [await connect(address) for _ in range(3)]
        refused = await client.get(address)
        for stream in streams:
            await stream.aclose()

    assert refused.status_code == 503


async def test_a_call_under_way_ends_well_after_the_server_was_told_to_stop() -> None:
    began, stop, addresses = anyio.Event(), anyio.Event(), list[str]()
    answers: list[str] = []

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            began.set()
            await scope["state"]["draining"].wait()
            await hello(scope, receive, send)

    async def serve_and_finish() -> None:
        await listen(slow, Server(port=0), ready=addresses.append, stop=stop)
        answers.append("the server has ended")

    async def ask() -> None:
        async with httpx2.AsyncClient(trust_env=False) as client:
            answers.append((await client.get(addresses[0])).text)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_and_finish)
            while not addresses:
                await anyio.sleep(0.01)
            tasks.start_soon(ask)
            await began.wait()
            stop.set()

    assert answers == ["hello", "the server has ended"]


async def test_a_call_that_outlasts_the_grace_period_is_cancelled_and_may_write_that_down() -> None:
    began, stop, addresses, endings = anyio.Event(), anyio.Event(), list[str](), list[str]()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        began.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                endings.append("written down")

    async with anyio.create_task_group() as tasks:

        async def serve_and_finish() -> None:
            await listen(endless, Server(port=0, grace=1), ready=addresses.append, stop=stop)
            endings.append("the server has ended")
            tasks.cancel_scope.cancel()

        tasks.start_soon(serve_and_finish)
        while not addresses:
            await anyio.sleep(0.01)
        async with await connect(addresses[0]) as stream:
            await stream.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with anyio.fail_after(30):
                await began.wait()
                stop.set()
                await anyio.sleep_forever()

    assert endings == ["written down", "the server has ended"]


async def test_cancelling_listen_ends_it_without_a_connection_left_open() -> None:
    addresses: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: listen(hello, Server(port=0), ready=addresses.append, stop=anyio.Event()))
        while not addresses:
            await anyio.sleep(0.01)
        stream = await connect(addresses[0])
        tasks.cancel_scope.cancel()

    assert await until_closed(stream) == b""
    await stream.aclose()
    with pytest.raises(OSError):
        await connect(addresses[0])


PROGRAM = """
import sys
from toolgate.server import ANSWER
from toolgate.server.listen import listen
from toolgate.server.start import run
from toolgate.settings import Server

async def hello(scope, receive, send):
    if scope["type"] == "http":
        print("began", flush=True)
        await scope["state"]["draining"].wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

run(lambda: listen(hello, Server(port=0), ready=lambda url: print(url, flush=True)))
print("ended", flush=True)
"""


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_a_process_that_is_told_to_end_answers_its_last_call_and_exits_with_0(told: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-W", "error", "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = httpx2.URL(process.stdout.readline().strip())
        client = subprocess.Popen(
            [sys.executable, "-c", f"import urllib.request as r; print(r.urlopen('{address}', timeout=60).read().decode())"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "no_proxy": "*"},
        )
        assert process.stdout.readline() == "began\n"

        process.send_signal(told)

        assert client.communicate(timeout=60)[0] == "hello\n"
        assert (process.communicate(timeout=60)[0], process.returncode) == ("ended\n", 0)


def test_a_process_that_is_told_twice_ends_at_once_and_has_nothing_to_complain_of() -> None:
    program = f"from starlette.applications import Starlette\n{PROGRAM.replace('listen(hello', 'listen(Starlette()')}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()

        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)

        assert (*process.communicate(timeout=60), process.returncode) == ("ended\n", "", 0)


def test_an_address_that_is_taken_is_named() -> None:
    with bound(Server(port=0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match=rf"^cannot listen on 127\.0\.0\.1 port {port}: Address already in use$"):
            bound(Server(port=port))


@pytest.mark.parametrize(("host", "named"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("localhost", "localhost")])
def test_the_url_that_is_told_is_one_that_answers(host: str, named: str) -> None:
    server = Server(host=host, port=0)
    with bound(server) as listener:
        assert url(server, listener) == f"http://{named}:{listener.getsockname()[1]}"
