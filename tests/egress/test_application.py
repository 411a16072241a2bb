"""An application in this process as a `Sender`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse
from starlette.routing import Route

from toolgate.egress.application import Application, Message
from toolgate.egress.wire import Caps, Reach, Request, Response
from toolgate.errors import AnswerTooLarge, EgressBlocked, TimedOut, UpstreamFailed
from toolgate.testing import a_call

REACH = Reach(frozenset({"http://internal:80"}))
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def describe(request: Asked) -> JSONResponse:
    return JSONResponse(
        {
            "method": request.method,
            "id": request.path_params["id"],
            "raw": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "headers": request.headers.items(),
            "body": (await request.body()).decode(),
            "caller": request.state.call.principal.id,
        },
        status_code=201,
    )


async def test_an_application_is_asked_like_a_server_and_knows_the_call() -> None:
    app = Application(Starlette(routes=[Route("/items/{id:path}", describe, methods=["POST"])]))
    request = Request("POST", "http://internal/items/a%2Fb?q=%41&r", (("X-A", "1"), ("x-a", "2")), b"text")

    response = await app.send(request, reach=REACH, seconds=5, call=a_call())

    assert response.status == 201
    assert response.header("Content-Type") == "application/json"
    assert response.body == (
        b'{"method":"POST","id":"a/b","raw":"/items/a%2Fb","query":"q=%41&r",'
        b'"headers":[["host","internal"],["x-a","1"],["x-a","2"],["content-length","4"]],"body":"text","caller":"local:ada"}'
    )


async def test_only_origins_within_reach_are_answered() -> None:
    with pytest.raises(EgressBlocked):
        await Application(Starlette()).send(Request("GET", "http://other/"), reach=REACH, seconds=5)


async def test_an_unknown_path_is_an_answer() -> None:
    response = await Application(Starlette()).send(Request("GET", "http://internal/x"), reach=REACH, seconds=5)

    assert (response.status, response.body) == (404, b"Not Found")


async def test_an_application_that_does_not_come_to_an_end_runs_into_the_deadline() -> None:
    async def waits(scope: Message, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimedOut):
        await Application(waits).send(Request("GET", "http://internal/?key=canary"), reach=REACH, seconds=0.02)


async def test_an_application_hears_of_the_end_only_after_its_answer() -> None:
    heard: list[str] = []

    async def listens(scope: Message, receive: Receive, send: Send) -> None:
        heard.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        heard.append((await receive())["type"])

    assert await Application(listens).send(Request("GET", "http://internal/"), reach=REACH, seconds=5) == Response(204)
    assert heard == ["http.request", "http.disconnect"]


async def test_an_answer_over_a_cap_is_dropped() -> None:
    async def talks(scope: Message, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})

    with pytest.raises(AnswerTooLarge):
        await Application(talks).send(Request("GET", "http://internal/"), reach=REACH, seconds=5, caps=Caps(received=10_000))


@pytest.mark.parametrize("messages", [[], [{"type": "http.response.start", "status": 200}]])
async def test_an_application_that_ends_without_a_complete_answer_has_failed(messages: list[dict[str, Any]]) -> None:
    async def stops(scope: Message, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    with pytest.raises(UpstreamFailed, match="ended without a complete answer"):
        await Application(stops).send(Request("GET", "http://internal/"), reach=REACH, seconds=5)


async def test_a_bug_of_the_application_is_let_through() -> None:
    async def broken(scope: Message, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Application(broken).send(Request("GET", "http://internal/"), reach=REACH, seconds=5)
