from __future__ import annotations

import pytest
from anyio import to_thread
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.cli.conftest import Ran, Terminal
from toolgate.standin import serving


def answering(status: int, text: str) -> Starlette:
    return Starlette(routes=[Route("/readyz", lambda request: PlainTextResponse(text, status))])


async def health(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, application: Starlette) -> Ran:
    async with serving(application) as url:
        monkeypatch.setenv("TOOLGATE_SERVER__PORT", url.rpartition(":")[2])
        return await to_thread.run_sync(lambda: terminal("health", "--json"))


async def test_a_server_that_takes_calls_is_ready(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = await health(terminal, monkeypatch, answering(200, ""))

    assert (ran.code, ran.value) == (0, {"ready": True})


async def test_a_server_that_cannot_take_calls_says_why(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = await health(terminal, monkeypatch, answering(503, "the disk is full"))

    assert (ran.code, ran.error["message"]) == (4, "not ready: the disk is full")


def test_a_server_that_is_not_there_is_not_ready(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_SERVER__PORT", "1")

    ran = terminal("health")

    assert ran.code == 4
    assert "not ready" in ran.err
