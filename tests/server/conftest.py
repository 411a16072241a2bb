"""A real server on loopback, in this process, on a port of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskStatus
from starlette.applications import Starlette
from starlette.types import ASGIApp

from toolgate.calls import Tool
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.http import McpFace
from toolgate.server.identify import Identify, anonymous
from toolgate.server.ingress import guarded
from toolgate.server.listen import listen
from toolgate.settings import Caller, Server, Settings
from toolgate.stores.memory import MemoryJournal, memory_stores

Serve = Callable[..., AbstractAsyncContextManager[str]]

READER = Role(
    role="reader",
    permissions=(
        Permission(id="reader.calls", tools="*"),
        Permission(id="reader.not.secret", tools="secret*", effect="deny"),
        Permission(id="reader.not.frozen", tools="frozen*", operations=("call",), effect="deny", reason="it is frozen until Monday"),
    ),
)


def a_gateway(tools: Sequence[Tool], journal: MemoryJournal | None = None) -> Gateway:
    return build_gateway(tools, Policy([READER]), memory_stores(journal), Settings())


@asynccontextmanager
async def serving(
    what: Sequence[Tool] | Gateway | ASGIApp, server: Server | None = None, identify: Identify | None = None
) -> AsyncIterator[str]:
    """The URL of a server over tools, a gateway, or an application without the MCP face."""
    server = server or Server(port=0)
    gateway = a_gateway(what) if isinstance(what, Sequence) else what
    if isinstance(gateway, Gateway):
        face = McpFace(gateway, server, identify=identify)
        app: ASGIApp = face.fast(Starlette(routes=face.routes(), lifespan=lambda _app: face.lifespan()))
    else:
        app = gateway
    app = guarded(app, server, identify or anonymous(Caller(roles=("reader",)), server))
    stop = anyio.Event()

    async def run(*, task_status: TaskStatus[str]) -> None:
        await listen(app, server, ready=task_status.started, stop=stop)

    async with anyio.create_task_group() as tasks:
        url = await tasks.start(run)
        yield url
        stop.set()


@pytest.fixture
def serve() -> Serve:
    return serving


@pytest.fixture
def gateway_of() -> Callable[..., Gateway]:
    return a_gateway
