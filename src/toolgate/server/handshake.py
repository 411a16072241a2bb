"""Sessions of the handshake eras, 2024-11-05 to 2025-11-25, over HTTP: their calls and lists go a short way, too.

The SDK opens a session, ends it, closes it for idleness, and refuses it to everybody but its owner. All that is known of one here
is the SDK's own: a middleware sees it begin, its connection says what was agreed there, its exit stack when it is over. So

    a call goes short         if its owner makes it, in words that leave nothing to refuse, with an id that no call here has
    its answer is JSON        or a stream, from the first message on that its client is told or asked before
    it stays                  when its caller's connection ends; `notifications/cancelled` ends it, or the end of its session
    an answer of the client   finds who asked here; the ids of our questions are no numbers, those of the SDK's are
    once in a while           one goes by the SDK, which would close for idleness a session whose calls it never sees
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from itertools import count
from typing import Any

import anyio
import mcp_types as types
import orjson
from mcp.server.context import CallNext, HandlerResult
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.dispatcher import coerce_request_id
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.types import Receive, Scope, Send

from toolgate.calls import Principal
from toolgate.calls import Session as ClientSession
from toolgate.errors import ProtocolError
from toolgate.gateway import Gateway
from toolgate.server import asking, passing
from toolgate.server.apps import can_show
from toolgate.server.handlers import Underway
from toolgate.server.identify import principal_of
from toolgate.server.lists import Lists
from toolgate.server.regular import Calls, answer, is_plain, is_request
from toolgate.server.reply import reply
from toolgate.server.spoken import Spoken
from toolgate.server.waiting import Fresh, Waiting

SESSION = b"mcp-session-id"
VERSIONS = frozenset(version.encode() for version in HANDSHAKE_PROTOCOL_VERSIONS)
SEEN = 60.0
"""Seconds after which the SDK gets to see a call again; it closes a session after half an hour."""
ENDED = {"code": types.INVALID_REQUEST, "message": "Not Found: Session has been terminated"}
CANCELLED = {"code": REQUEST_CANCELLED, "message": "Request cancelled"}
ACCEPTED = [(b"content-length", b"0"), (b"content-type", b"application/json")]


class Session:
    """What goes on in one of the SDK's sessions beside it."""

    def __init__(self, connection: Any, owner: Principal) -> None:
        """
        Args:
            connection: the SDK's.
        """
        self._connection = connection
        self.key = passing.key_of(connection)
        self.line = passing.Line(connection)
        self._owner = _named(owner)
        self._declared: Any = None
        self._capabilities: Mapping[str, Any] = {}
        self._numbers = count(1)
        self.calls: dict[int | str, Waiting] = {}
        self.asked: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        """Our questions to its client that have no answer yet."""
        self.seen = asyncio.get_running_loop().time()
        """When the SDK was last given something of it, on the loop's clock."""
        self.ended = False

    def is_of(self, principal: Principal) -> bool:
        """Whether `principal` may use it now: it has opened it, and `initialize` has been answered."""
        return self._owner == _named(principal) and self._connection.client_params is not None

    @property
    def version(self) -> str:
        version: str = self._connection.protocol_version
        return version

    @property
    def log_level(self) -> str:
        level: str = self._connection.state.get(passing.LEVEL, passing.EVERYTHING)
        return level

    @property
    def asks(self) -> bool:
        """Whether its client can put a question to its person."""
        return asking.able(self._connection.client_capabilities)

    @property
    def capabilities(self) -> Mapping[str, Any]:
        declared = self._connection.client_capabilities
        if declared is not self._declared:
            self._declared, self._capabilities = declared, passing.declared(declared)
        return self._capabilities

    def end(self) -> None:
        """It is over, and so are its calls."""
        self.ended = True
        for call in self.calls.values():
            call.cancel()

    def resolve(self, id: str, answer: Mapping[str, Any]) -> bool:
        """Hand its client's answer to who asked here; False: nobody did."""
        waiting = self.asked.pop(id, None)
        if waiting is None:
            return False
        if not waiting.done():
            waiting.set_result(answer)
        return True

    def expect(self, answer: asyncio.Future[Mapping[str, Any]]) -> str:
        """The id of a question whose answer is to be `answer`."""
        name = f"toolgate-{next(self._numbers)}"
        self.asked[name] = answer
        return name


class Sessions:
    def __init__(self, gateway: Gateway, underway: Underway) -> None:
        """
        Args:
            underway: counts the calls that have not ended.
        """
        self._gateway = gateway
        self._underway = underway
        self._calls = Calls(gateway)
        self._open: dict[bytes, Session] = {}
        self._fresh = Fresh()

    async def remember(self, ctx: Any, call_next: CallNext) -> HandlerResult:
        """A middleware of the SDK's."""
        result = await call_next(ctx)
        connection = passing.connection_of(ctx)
        if ctx.method == "initialize" and connection.session_id is not None:
            name = connection.session_id.encode()
            if name not in self._open:
                self._open[name] = Session(connection, principal_of(ctx.request.scope))
                connection.exit_stack.callback(self._open.pop, name, None)
        return result

    def served(
        self, scope: Scope, receive: Receive, send: Send, headers: Mapping[bytes, bytes], message: Any, lists: Lists
    ) -> Awaitable[None] | None:
        """Answers a request; None: the SDK is to do that.

        Args:
            headers: of a request that takes JSON and streams; each name is there once.
            message: its body.
        """
        session = self._open.get(headers[SESSION])
        principal = principal_of(scope)
        if session is None or headers.get(b"mcp-protocol-version", b"2025-11-25") not in VERSIONS or not session.is_of(principal):
            return None
        if scope["method"] == "DELETE":
            del self._open[headers[SESSION]]
            session.end()
        elif isinstance(message, dict) and message.get("jsonrpc") == "2.0":
            if is_request(message):
                now = asyncio.get_running_loop().time()
                if now - session.seen < SEEN and (answered := self._answered(session, scope, receive, send, message, principal, lists)):
                    return answered
                session.seen = now
            elif _was_taken(session, message):
                return _accept(send, headers[SESSION])
        return None

    def _answered(
        self, session: Session, scope: Scope, receive: Receive, send: Send, message: Mapping[str, Any], principal: Principal, lists: Lists
    ) -> Awaitable[None] | None:
        params = message["params"]
        if not is_plain(params):
            return None
        if message["method"] == "tools/list":
            key = session.version, can_show(session.capabilities), params.get("cursor")
            return lists.serve(scope, receive, send, message["id"], key, lambda: self._gateway.visible(principal))
        if self._calls.tool(params, principal) is None or coerce_request_id(message["id"]) in session.calls:
            return None
        return self._call(session, scope, receive, send, message["id"], params, principal)

    async def _call(
        self, session: Session, scope: Scope, receive: Receive, send: Send, id: int | str, params: Mapping[str, Any], principal: Principal
    ) -> None:
        key, waiting = coerce_request_id(id), Waiting(scope, receive, send, self._fresh, stays=True)
        session.calls[key] = waiting
        try:
            with self._underway:
                try:
                    status, member = await self._reply(
                        session, _Client(session, params.get("_meta", {}), waiting), scope, params, principal
                    )
                finally:
                    if (sending := waiting.over()) is not None:
                        await sending
        except asyncio.CancelledError:
            if not waiting.was_cancelled():
                raise
            status, member = (404, b'"error":' + orjson.dumps(ENDED)) if session.ended else (200, b'"error":' + orjson.dumps(CANCELLED))
        finally:
            del session.calls[key]
        await waiting.answer(status, answer(id, member))

    def _reply(
        self, session: Session, client: _Client, scope: Scope, params: Mapping[str, Any], principal: Principal
    ) -> Awaitable[tuple[int | None, bytes]]:
        wait = self._gateway.approvals.settings.wait
        return reply(
            self._gateway,
            params,
            principal,
            client,
            session.version,
            {},
            scope=scope,
            progress=client.progress,
            asks=asking.Elicitation(client.elicit, wait) if session.asks else None,
        )


class _Client(Spoken):
    """`toolgate.calls.Client` in a session."""

    in_rounds = False

    def __init__(self, session: Session, meta: Mapping[str, Any], waiting: Waiting) -> None:
        super().__init__(meta, waiting)
        self._session = session
        self.key = session.key
        self.capabilities = session.capabilities
        self.log_level: str | None = session.log_level
        self.session: ClientSession | None = session.line

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        asked: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        name = self._session.expect(asked)
        try:
            await self._waiting.tell({"jsonrpc": "2.0", "id": name, "method": method, "params": params})
            answer = await asked
        except asyncio.CancelledError:
            with anyio.move_on_after(1, shield=True):
                await self.tell("notifications/cancelled", {"requestId": name, "reason": "caller cancelled"})
            raise
        finally:
            self._session.asked.pop(name, None)
        if "error" in answer:
            error = answer["error"]
            raise ProtocolError(error["message"], error["code"], error.get("data"))
        result: Mapping[str, Any] = answer["result"]
        return result

    async def elicit(self, text: str) -> types.ElicitResult:
        """Put the question `text` to the client's person. Raises ValidationError for what is no answer to it."""
        return types.ElicitResult.model_validate(await self.ask("elicitation/create", asking.form(text)))


async def _accept(send: Send, session: bytes) -> None:
    await send({"type": "http.response.start", "status": 202, "headers": [*ACCEPTED, (SESSION, session)]})
    await send({"type": "http.response.body", "body": b""})


def _named(principal: Principal) -> tuple[str, str, str]:
    """Whose session it is, in the SDK's reading of what `http` tells it."""
    return principal.id, principal.tenant, principal.via


def _was_taken(session: Session, message: Mapping[str, Any]) -> bool:
    """Whether `message`, which is no request, was for a call that goes the short way."""
    match message:
        case {"method": "notifications/cancelled", "params": {"requestId": int() | str() as id}, **rest} if rest.keys() == {"jsonrpc"}:
            if (call := session.calls.get(coerce_request_id(id))) is not None:
                call.cancel()
                return True
            return False
        case {"id": str() as id, "result": dict(), **rest} | {"id": str() as id, "error": {"code": int(), "message": str()}, **rest}:
            return rest.keys() == {"jsonrpc"} and session.resolve(id, message)
    return False
