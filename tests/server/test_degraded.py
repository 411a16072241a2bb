"""Answers say when the calls of other processes are not counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from toolgate.server import ANSWER
from toolgate.server.degraded import telling
from toolgate.stores import Allowance, UsedUp


class Counting:
    def __init__(self, degraded: bool) -> None:
        self.degraded = degraded

    async def take(self, allowances: Sequence[Allowance]) -> UsedUp | None:
        return None


@pytest.mark.parametrize(("degraded", "said"), [(True, "degraded"), (False, None)])
async def test_an_answer_says_that_limits_are_degraded_while_they_are(degraded: bool, said: str | None) -> None:
    async def answer(_request: Request) -> Response:
        return Response("here", headers={"x-of-its-own": "kept"})

    app = telling(Starlette(routes=[Route("/", answer)]), Counting(degraded))

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://gate") as client:
        response = await client.get("/")

    assert (response.headers.get("x-toolgate-limits"), response.headers["x-of-its-own"], response.text) == (said, "kept", "here")


@pytest.mark.parametrize("degraded", [True, False])
async def test_an_answer_is_not_sent_at_once_while_it_has_more_to_say(degraded: bool) -> None:
    sent: list[bytes] = []

    def at_once(body: bytes) -> bool:
        sent.append(body)
        return True

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["extensions"][ANSWER](b"{}") is not degraded

    async def nothing(*_: object) -> Any:
        raise AssertionError

    await telling(answer, Counting(degraded))({"type": "http", "extensions": {ANSWER: at_once}}, nothing, nothing)

    assert sent == ([] if degraded else [b"{}"])
