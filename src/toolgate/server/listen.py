"""Listen for HTTP: uvicorn, with the deadlines it does not have and an ending that loses no call.

uvicorn 0.54 holds a connection whose request line never comes for ever, keeps any length of headers in memory, and
waits for ever for a client that does not read (300 of 300 half-open requests were still held after 8 s). The parser's
callbacks say when a request begins and when its headers are complete, so a timer between the two is enough.

On the first signal no new connection is taken, calls under way may finish within a grace period, streams that wait
for nothing end (`draining` in the state of each request tells their owners); on the second everything ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import socket
import threading
from asyncio import TimerHandle, Transport
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import ClassVar
from urllib.parse import urlsplit
from weakref import ReferenceType, ref

import anyio
import uvicorn
from starlette.types import ASGIApp
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from toolgate.errors import Misconfigured
from toolgate.server import ANSWER, DRAINING, WHOLE
from toolgate.server.heads import HEADS, Head, learnt
from toolgate.server.ingress import ENCODED, MAX_HEADERS
from toolgate.settings import Server

SETTLE_SECONDS = 5.0  # what cancelled calls get to write down how they ended; an audit line may take 2
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

log = logging.getLogger("toolgate.server")


async def listen(app: ASGIApp, server: Server, *, ready: Callable[[str], None], stop: anyio.Event | None = None) -> None:
    """Serve `app` until SIGTERM or SIGINT, and return when the last call has ended.

    Args:
        ready: called with the URL that really answers, once it does.
        stop: ends serving like a signal when it is set; signals are then left to whoever set them up.

    Raises:
        Misconfigured: the address cannot be listened on.
    """
    # uvicorn closes the socket itself, but not when the application fails to start.
    with bound(server) as listener:
        running = _Server(_config(app, server), lambda: ready(url(server, listener)))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_when_told, running, stop)
            await running.serve_all(listener)
            tasks.cancel_scope.cancel()
        if running.server_state.tasks:
            await asyncio.wait(running.server_state.tasks, timeout=SETTLE_SECONDS)


def bound(server: Server) -> socket.socket:
    """A socket on the server's address.

    Raises:
        Misconfigured: the address is taken, not ours, or none.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    try:
        return socket.create_server((server.host, server.port), family=family, backlog=2048)
    except OSError as error:
        why = (error.strerror or str(error)).partition(" (while")[0]  # the address is named already
        raise Misconfigured(f"cannot listen on {server.host} port {server.port}: {why}") from error


def url(server: Server, listener: socket.socket) -> str:
    """Where the server is reached; a server on every address is named by this machine's loopback."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(server.host, server.host)  # noqa: S104  # compared, not bound
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _config(app: ASGIApp, server: Server) -> uvicorn.Config:
    protocol: type[Deadlined] = type(
        "Protocol", (Deadlined,), {"header_timeout": server.header_timeout, "write_timeout": server.write_timeout, "answers": Answers()}
    )
    logging.getLogger("uvicorn.asgi").setLevel(logging.INFO)  # below it are traces of requests, with whole bodies in them
    return uvicorn.Config(
        app,
        http=protocol,
        interface="asgi3",  # uvicorn takes what is no coroutine function for the second
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the peer's address decides who is anonymous: nobody may write it into a header
        limit_concurrency=server.max_connections,
        timeout_keep_alive=math.ceil(server.keep_alive),
        timeout_graceful_shutdown=math.ceil(server.grace),
    )


async def _stop_when_told(running: _Server, stop: anyio.Event | None) -> None:
    if stop is not None:
        await stop.wait()
        running.should_exit = True
        return
    if threading.current_thread() is not threading.main_thread():
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            running.force_exit = running.should_exit
            running.should_exit = True


class _Server(uvicorn.Server):
    """uvicorn's server, but it says when it is ready and when it is draining, and leaves signals to `listen`."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._draining = anyio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again once it has drained, so that the process would not end with 0.
        yield

    async def serve_all(self, listener: socket.socket) -> None:
        try:
            await self.serve(sockets=[listener])
        except SystemExit:
            raise RuntimeError("the application did not start; the log says why") from None
        except BaseException:  # cancelled: no grace, but no connection and no lifespan left open either
            if self.started:
                self.force_exit = True
                with anyio.move_on_after(SETTLE_SECONDS, shield=True):
                    await self.shutdown([listener])
            raise

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # Copied into the state of every request.
            self.lifespan.state[DRAINING] = self._draining
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._draining.set()
        await super().shutdown(sockets)
        if self.force_exit:
            await self.lifespan.shutdown()  # uvicorn leaves it out, and the application would end by a cancellation


class Answers:
    """Good answers, each in one piece.

    As two ASGI messages they cost a system call more, and uvicorn looks through headers that are the same each time.
    """

    def __init__(self) -> None:
        self._default: list[tuple[bytes, bytes]] | None = None
        self._head = b""

    def send(self, waiting: ReferenceType[RequestResponseCycle], body: bytes) -> bool:
        """Answer 200 with `body`, JSON, as uvicorn would; False: that takes more than one write, and nothing was sent."""
        cycle = waiting()
        if cycle is None or cycle.response_started or cycle.disconnected or cycle.flow.write_paused or not cycle.keep_alive:
            return False
        if cycle.default_headers is not self._default:  # every second another date
            self._default = cycle.default_headers
            headers = [*self._default, (b"content-type", b"application/json"), *ENCODED]
            self._head = STATUS_LINE[200] + b"".join([b"%b: %b\r\n" % header for header in headers])
        cycle.response_started = cycle.response_complete = True
        cycle.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (self._head, len(body), body))
        wake(cycle)
        cycle.on_response()
        return True


class _Cycle(RequestResponseCycle):
    """A request with a known head. Hardly ever does anybody wait for what happens to its connection."""

    disconnected = response_started = response_complete = waiting_for_100_continue = access_log = False
    keep_alive = more_body = True
    chunked_encoding = None
    expected_content_length = 0
    body: bytes | bytearray = b""  # type: ignore[assignment]

    def __init__(self, of: Deadlined) -> None:
        self.scope = of.scope
        self.transport = of.transport
        self.flow = of.flow
        self.logger = of.logger
        self.default_headers = of.server_state.default_headers
        self.on_response = of.on_response_complete

    def came(self, body: bytes) -> None:
        """The whole body is here."""
        self.scope["state"][WHOLE] = self.body = body
        self.more_body = False
        wake(self)

    @cached_property
    def message_event(self) -> asyncio.Event:  # type: ignore[override]
        event = asyncio.Event()
        if self.body or not self.more_body:
            event.set()
        return event


def wake(cycle: RequestResponseCycle) -> None:
    """Have who waits look, if anybody does."""
    if "message_event" in cycle.__dict__:
        cycle.message_event.set()


class Deadlined(HttpToolsProtocol):
    """A connection that is closed when a request's headers are too slow or too many, or its answer is not read; and
    where the request's target and trailers count for what HTTP says they are.

    The timer runs from the connection's start, or from the first byte after an answer, to the end of the next headers.
    """

    header_timeout: ClassVar[float]
    """Seconds."""
    write_timeout: ClassVar[float]
    """Seconds that the buffer towards the client may stay full."""
    answers: ClassVar[Answers]
    _due: TimerHandle | None = None
    _stalled: TimerHandle | None = None
    _head = 0
    _in_headers = _in_message = False
    _owed = 0
    """Bytes that are still to come of the body after a known head."""
    _fresh = b""
    """What came from the beginning of a request on, until its headers are complete."""
    _idle_since = math.inf

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._heads: list[Head] = []
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        if self._owed:
            data = self._body(data)
        while data and (known := self._known(data)):
            data = self._body(data[known:])
        if not data:
            return
        between = self._between_requests()
        self._fresh = data if between and not self._in_message else b""
        if between:
            self._head += len(data)
        super().data_received(data)
        if not self._head or self.transport.is_closing():
            return
        self._expect_headers()  # hardly ever: most come in one piece
        if self._head > MAX_HEADERS:
            self.transport.write(TOO_LARGE)
            self.transport.close()

    def _known(self, data: bytes) -> int:
        """Begin with a request whose head the parser has read before. Returns the bytes of the head; 0: it is to be parsed."""
        if not self._in_message and self._between_requests() and not self._is_full():
            for head in self._heads:
                if length := head.length(data):
                    self._begin(head, length)
                    return head.size + len(length)
        return 0

    def _begin(self, head: Head, length: bytes) -> None:
        """Do what uvicorn does between the first byte of a request and that of its body."""
        self._unset_keepalive_if_required()
        self._headers_came()
        self._in_message, self._owed = True, int(length)
        self.expect_100_continue = False
        self.headers = head.headers_with(length)
        self.scope = {**head.scope, "headers": self.headers, "state": self.app_state.copy()}  # type: ignore[typeddict-item]
        self.cycle = _Cycle(self)
        self._start_asgi_task(self.cycle, self.app)

    def on_message_begin(self) -> None:
        self._in_headers = self._in_message = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        # RFC 9110, 6.5.1: what trails a body is no header; a proxy that removes or adds headers has not seen it.
        if self._in_headers:
            # As uvicorn's own, which to call takes as long as all that it does, for each header of each request.
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._headers_came()
        self._in_headers = False
        if not self.url.startswith(b"/"):
            # RFC 9112, 3.2.2: a target that names a host counts, and `Host` does not. uvicorn forgets the target's.
            host = urlsplit(self.url).netloc
            self.headers[:] = [*(header for header in self.headers if header[0] != b"host"), (b"host", host)]
        super().on_headers_complete()
        if self.parser.should_upgrade():
            self._heads.clear()
        elif self._fresh and not self.expect_100_continue and self.cycle.keep_alive and (head := learnt(self._fresh, dict(self.scope))):
            self._heads = [head, *self._heads[: HEADS - 1]]
        self._fresh = b""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # Weakly, since the cycle has the scope: what refers to itself stays until the collector comes, which then has something to do.
        answer = partial(self.answers.send, ref(cycle))
        cycle.scope["extensions"] = {ANSWER: answer}  # type: ignore[dict-item]  # any value, says ASGI
        task = self.loop.create_task(cycle.run_asgi(app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def on_message_complete(self) -> None:
        if not self.expect_100_continue:  # who expects that is told first to send it
            self.scope["state"][WHOLE] = bytes(self.cycle.body)
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        # As uvicorn's own, whose timer begins and ends with each request.
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_handler()

    def timeout_keep_alive_handler(self) -> None:
        left = min(self._idle_since - self.loop.time(), 0) + self.timeout_keep_alive
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = math.inf

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.write_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reading_again()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_came()
        self._reading_again()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _is_full(self) -> bool:
        most = self.limit_concurrency
        return most is not None and (len(self.connections) >= most or len(self.tasks) >= most)

    def _body(self, data: bytes) -> bytes:
        """Takes what belongs to the body, and returns what is left."""
        if len(data) == self._owed and not self.cycle.body and not self.cycle.response_complete:
            self._owed, self._in_message = 0, False
            self.cycle.came(data)  # type: ignore[attr-defined]  # one of ours
            return b""
        piece, left = data[: self._owed], data[self._owed :]
        self._owed -= len(piece)
        if piece:
            self.on_body(piece)
        if not self._owed:
            self.on_message_complete()
        return left

    def _expect_headers(self) -> None:
        if self._due is None:
            self._due = self.loop.call_later(self.header_timeout, self._too_late)

    def _headers_came(self) -> None:
        self._head = 0
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _reading_again(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _too_late(self) -> None:
        log.info("closed a connection whose request did not arrive within %g s", self.header_timeout)
        self.transport.close()


__all__: Sequence[str] = ["bound", "listen", "url"]
