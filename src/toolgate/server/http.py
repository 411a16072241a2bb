"""The MCP endpoints over HTTP: `/mcp` in every protocol era, and `/sse` with `/messages/` for clients of 2024.

One SDK server answers all of them. Era routing, sessions and streams are the SDK's; ours are who is asking, that a
session is used by nobody but the principal that opened it, and how streams end when the process does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import mcp_types as types
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.runner import serve_dual_era_loop
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.calls import Principal
from toolgate.errors import LimitReached, NotIdentified, ToolgateError
from toolgate.gateway import Gateway
from toolgate.internal.jobs import Jobs
from toolgate.server import DRAINING
from toolgate.server.calling import called
from toolgate.server.clients import Clients
from toolgate.server.fast import Fast
from toolgate.server.handlers import Underway, build_server
from toolgate.server.handshake import SESSION, Sessions
from toolgate.server.headers import headers_of
from toolgate.server.identify import Identify, principal_of
from toolgate.server.ingress import ENDPOINTS, VALUE
from toolgate.server.offered import Offered
from toolgate.server.tasks import Tasks
from toolgate.settings import Server

_asking: ContextVar[Principal] = ContextVar("toolgate_asking")
"""Whose request the SDK is reading, for the one question that it asks without the request."""


LINGER = 0.25  # seconds; the last answer still has to pass the SDK's streams on its way out
LOOKED = 5.0
"""Seconds between two looks whether who has a stream open may still come in; what other processes change is seen 5 s later at most."""


class McpFace:
    """The routes of MCP over one gateway, to be composed with others. They run while `lifespan` is entered, once."""

    def __init__(
        self,
        gateway: Gateway,
        server: Server,
        clients: Clients | None = None,
        jobs: Jobs | None = None,
        identify: Identify | None = None,
        prefix: str = "",
    ) -> None:
        """
        Args:
            clients: hears who calls; None: nobody wants to know.
            jobs: None: no call becomes a task.
            identify: who has a stream open still may; None: whoever was let in stays.
            prefix: what clients have before every path of ours.
        """
        self._gateway = gateway
        self._clients = clients
        self._identify = identify
        self._prefix = prefix
        self._underway = Underway()
        self._offered = Offered(gateway, _who, server.page_size, called)
        self._server = build_server(
            gateway,
            _who,
            page_size=server.page_size,
            schema_of=self._schema_of,
            underway=self._underway,
            offered=self._offered,
            instructions=server.instructions,
            tasks=Tasks(gateway, jobs, _who, server.task_after) if jobs is not None else None,
        )
        self._sessions = Sessions(gateway, self._underway)
        self._server.middleware.append(self._sessions.remember)
        if clients is not None:
            clients.watch(self._server, _who)
        self._manager = StreamableHTTPSessionManager(self._server, max_request_body_size=server.max_body, stateless=not server.sessions)
        self._sse = SseServerTransport("/messages/", max_request_body_size=server.max_body)

    def fast(self, app: ASGIApp) -> ASGIApp:
        """`app`, which has the routes below, with the short way around them for regular requests."""
        stamp = {types.SERVER_INFO_META_KEY: self._server.server_info_stamp}
        return Fast(app, self._gateway, stamp, self._underway, self._sessions, self._clients)

    def routes(self) -> list[BaseRoute]:
        mcp = _Owned(self._lasting(self._begun_anew))
        return [
            *(Route(path, mcp) for path in ENDPOINTS),
            Route("/sse", _Owned(self._lasting(self._serve_sse)), methods=["GET"]),
            Mount("/messages/", _Owned(self._sse.handle_post_message)),
        ]

    def _lasting(self, app: ASGIApp) -> ASGIApp:
        return _Lasting(app, self._underway, self._identify)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with self._offered.changes.telling(), self._manager.run():
            yield

    async def _begun_anew(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Some clients name the session that they were told is over even as they begin another, and some do not say what they take."""
        if b"accept" not in headers_of(scope).named:  # RFC 9110, 12.5.1: whatever there is
            scope = {**scope, "headers": [*scope["headers"], (b"accept", b"*/*")]}
        message = scope["state"].get(VALUE)
        if isinstance(message, dict) and message.get("method") == "initialize":
            scope = {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != SESSION]}
        await self._manager.handle_request(scope, receive, send)

    async def _serve_sse(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The SDK puts it before the path where it says that messages go.
        async with self._sse.connect_sse({**scope, "root_path": self._prefix}, receive, send) as (reader, writer):
            # Not Server.run: that would enter the server's lifespan again for each connection.
            options = self._server.create_initialization_options()
            await serve_dual_era_loop(self._server, reader, writer, lifespan_state={}, init_options=options)

    def _schema_of(self, name: str) -> Mapping[str, Any] | None:
        tool = self._gateway.visible(_asking.get()).get(name)
        return tool.input_schema if tool else None


def _who(context: Any) -> Principal:
    return principal_of(context.request.scope)


class _Owned:
    """Tell the SDK who is asking in its own terms: it then keeps each session to whoever opened it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        principal = principal_of(scope)
        token = AccessToken(
            token="",  # none is needed: the principal is already known
            client_id=principal.id,
            scopes=[],
            subject=principal.tenant,
            claims={"iss": principal.via},
        )
        scope["user"] = AuthenticatedUser(token)
        _asking.set(principal)
        await self._app(scope, receive, send)


class _Lasting:
    """End a stream of changes when the server is told to stop, or its caller would be let in no longer: its client seems to have gone.

    Only what lasts until somebody leaves: GET streams, and requests to listen. On `/sse` the answers of calls under way come out of them.
    """

    def __init__(self, app: ASGIApp, underway: Underway, identify: Identify | None) -> None:
        self._app = app
        self._underway = underway
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        streams = scope["method"] == "GET"
        if not streams and not _listens(scope):
            await self._app(scope, receive, send)
            return
        draining = scope["state"].get(DRAINING) if streams else None
        began = ended = over = False

        async def receive_until_over() -> Message:
            nonlocal over
            message: Message | None = None
            async with anyio.create_task_group() as tasks:
                if draining is not None:
                    tasks.start_soon(self._drained, draining, tasks.cancel_scope)
                if self._identify is not None:
                    tasks.start_soon(self._shut_out, self._identify, scope, tasks.cancel_scope)
                message = await receive()
                tasks.cancel_scope.cancel()
            over = message is None
            return message or {"type": "http.disconnect"}

        async def send_and_see(message: Message) -> None:
            nonlocal began, ended
            began = True
            ended = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        await self._app(scope, receive_until_over, send_and_see)
        if began and not ended and over:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _drained(self, draining: anyio.Event, scope: anyio.CancelScope) -> None:
        await draining.wait()
        await self._underway.ended()
        await anyio.sleep(LINGER)
        scope.cancel()

    async def _shut_out(self, identify: Identify, request: Scope, scope: anyio.CancelScope) -> None:
        """Returns once the key is revoked, or the token has expired, that the request came with."""
        while True:
            await anyio.sleep(LOOKED)
            try:
                await identify(request)
            except (NotIdentified, LimitReached):
                break
            except ToolgateError:  # nobody can say at present
                pass
        scope.cancel()


def _listens(scope: Scope) -> bool:
    message = scope["state"].get(VALUE)
    return isinstance(message, dict) and message.get("method") == "subscriptions/listen"
