"""An application in this process, called as if it were a server: integrations with `asgi:` need no network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from toolgate.calls import Call
from toolgate.egress.decoding import Intake
from toolgate.egress.origin import check_origin, locate
from toolgate.egress.wire import CAPS, Caps, Headers, Reach, Request, Response
from toolgate.errors import TimedOut, UpstreamFailed

Message = MutableMapping[str, Any]
Asgi = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]


@dataclass(frozen=True)
class Application:
    """A `Sender` that hands requests to an ASGI application.

    The application finds the call on whose behalf it is asked in the scope's `state`: Starlette's `request.state.call`.
    What it raises is a bug of this program and is let through.
    """

    app: Asgi

    async def send(self, request: Request, *, reach: Reach, seconds: float, caps: Caps = CAPS, call: Call | None = None) -> Response:
        place, target = locate(request.url)
        check_origin(place.origin, reach)
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": place.scheme,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": _headers(request, place.authority),
            "client": None,
            "server": (place.host, place.port),
            "state": {"call": call},
        }
        answer = _Answer(request.body or b"", caps, place.origin)
        try:
            async with asyncio.timeout(seconds):
                await self.app(scope, answer.receive, answer.send)
        except TimeoutError:
            raise TimedOut(f"{place.origin} did not complete its answer within {seconds:g} s; whether it acted is not known") from None
        return answer.complete()


@dataclass
class _Answer:
    """Both directions of one exchange with the application."""

    request_body: bytes
    caps: Caps
    who: str
    status: int | None = None
    headers: Headers = ()
    pieces: list[bytes] = field(default_factory=list)
    asked: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    intake: Intake | None = None

    async def receive(self) -> Message:
        if self.asked:
            await self.ended.wait()
            return {"type": "http.disconnect"}
        self.asked = True
        return {"type": "http.request", "body": self.request_body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ()))
            self.intake = Intake([value for name, value in self.headers if name.lower() == "content-encoding"], self.caps, self.who)
        elif message["type"] == "http.response.body" and self.intake is not None:
            if body := message.get("body", b""):
                self.pieces.append(self.intake.take(body))
            if not message.get("more_body", False):
                self.ended.set()

    def complete(self) -> Response:
        if self.status is None or self.intake is None or not self.ended.is_set():
            raise UpstreamFailed(f"{self.who} ended without a complete answer")
        self.intake.end()
        return Response(self.status, self.headers, b"".join(self.pieces))


def _headers(request: Request, host: str) -> list[tuple[bytes, bytes]]:
    headers = [(b"host", host.encode())]
    headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
    if request.body is not None:
        headers.append((b"content-length", str(len(request.body)).encode()))
    return headers
