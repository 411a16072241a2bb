"""A short way for what is asked most: calls and lists of MCP 2026-07-28, as one HTTP request and one answer.

Of the CPU time of such a call the SDK's layers took more than the whole gate. Here are none of them: the request is held
against a description of the regular case, the gate decides, and the answer is put together. Whatever is not regular in any
detail goes on to the SDK untouched, which alone knows how to refuse it, so that there is one reading of the specification:

    exactly one of each header · version 2026-07-28 · Mcp-Method and Mcp-Name that say what the body says
    jsonrpc, id, method and params, nothing else · an id that is text or an integer · no progress token, no log level
    a tool that the caller sees, and that wants none of its arguments in headers
    a tool that says nothing while it runs, or a client that said it could not be asked anything
    nobody who could be asked, where the policy asks

Lists are not made here at all: the SDK's answer to the first request for a page is kept and sent again, with another id, for as
long as the caller's tools are the very same mapping (`Gateway.visible` makes a new one when the policy changes).

Sessions of the handshake eras stay with the SDK: only it knows which of them still live, who has opened them and what was
agreed there, and it would close for idleness a session whose calls it does not see.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import anyio
import mcp_types as types
import orjson
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS, decode_header_value
from mcp_types import methods
from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.calls import Principal, Tool
from toolgate.gateway import Gateway, unwrapped
from toolgate.policy.rules import Policy
from toolgate.server import ANSWER, asking, convert, passing
from toolgate.server.apps import can_show
from toolgate.server.handlers import A_BUG, NAME, Underway, called, refuse_unknown, with_headers
from toolgate.server.identify import principal_of
from toolgate.server.ingress import VALUE
from toolgate.server.resource import note

VERSION = "2026-07-28"
PATH = "/mcp"
OURS = "io.modelcontextprotocol/"
"""What the specification's own keys in `_meta` begin with."""
VERSION_KEY, CAPABILITIES_KEY, INFO_KEY = (f"{OURS}{name}" for name in ("protocolVersion", "clientCapabilities", "clientInfo"))
ENVELOPE = frozenset({VERSION_KEY, CAPABILITIES_KEY, INFO_KEY})
BESIDE = frozenset({convert.META, "traceparent", "tracestate", "baggage"})
"""Further keys that are read, or known to mean nothing to us."""
KNOWN = ENVELOPE | BESIDE
MESSAGE = frozenset({"jsonrpc", "id", "method", "params"})
CALL = frozenset({"name", "arguments", "_meta"})
LIST = frozenset({"cursor", "_meta"})
KEPT_ENVELOPES = 256
"""What different clients say of themselves; the same one says the same each time."""
LARGEST_ENVELOPE = 4096
"""Bytes of what is kept of one."""
KEPT_LISTS, KEPT_BYTES = 64, 32 * 1024 * 1024
"""Sets of tools, and bytes of their pages; a list of 1,223 tools has 1.5 MB."""
LARGEST_NAME = 256
"""Bytes of a tool's name in a header; written in Base64 it has 80 at most."""
WATCHED = 0.05
"""Seconds after which somebody looks whether the caller is still there: most calls are over by then and need nobody."""
SILENCE = 15.0
"""Seconds without a byte after which the answer becomes a stream with a sign of life, as the SDK's does."""
STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]
PING = b": ping\r\n\r\n"

log = logging.getLogger("toolgate.server")


@dataclass(frozen=True, slots=True)
class Said:
    """What a client says of itself."""

    person: bool
    """It can put a question to its person."""
    mute: bool
    """It has no capability at all: no tool asks it anything, and without a token or a level none tells it anything."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What the SDK's sealing wants to know of a request."""

    method: str
    params: Mapping[str, Any]
    principal: Principal


class Fast:
    """Around the application that has the SDK's routes; behind `guarded`."""

    def __init__(self, app: ASGIApp, gateway: Gateway, stamp: Mapping[str, Any], underway: Underway) -> None:
        """
        Args:
            stamp: what `_meta` of every result says of this server.
            underway: counts the calls that have not ended.
        """
        self._app = app
        self._gateway = gateway
        self._stamp = stamp
        self._underway = underway
        self._envelopes: dict[bytes, Said | None] = {}
        self._tools: WeakKeyDictionary[Tool, bool] = WeakKeyDictionary()
        self._asking: tuple[Policy, bool] | None = None
        self._lists = _Lists()
        self._fresh = _Fresh()
        self._seal: Any = asking.sealed(gateway.approvals, lambda context: context.principal, NAME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == PATH and not scope.get("root_path"):
            headers = dict(scope["headers"])
            message = scope["state"].get(VALUE)
            if len(headers) == len(scope["headers"]) and (said := self._is_regular(message, headers)) is not None:
                principal, params = principal_of(scope), message["params"]
                if message["method"] == "tools/call":
                    if self._is_regular_call(params, headers, principal, said):
                        await self._call(scope, receive, send, message["id"], params, principal)
                        return
                elif params.keys() <= LIST and b"mcp-name" not in headers and not can_show(params["_meta"][CAPABILITIES_KEY]):
                    await self._list(scope, receive, send, message["id"], params.get("cursor"), principal)
                    return
        await self._app(scope, receive, send)

    def _is_regular(self, message: Any, headers: Mapping[bytes, bytes]) -> Said | None:
        """What calls and lists have in common: what their client says of itself. None: this is not regular."""
        if headers.get(b"mcp-protocol-version") != b"2026-07-28" or not _takes(headers.get(b"accept", b"")):
            return None
        if not isinstance(message, dict) or message.keys() != MESSAGE or message["jsonrpc"] != "2.0":
            return None
        method, params = message["method"], message["params"]
        if type(message["id"]) not in (int, str) or not isinstance(params, dict) or method not in ("tools/call", "tools/list"):
            return None
        return self._said(params.get("_meta")) if headers.get(b"mcp-method") == method.encode() else None

    def _said(self, meta: Any) -> Said | None:
        """None: what the client says of itself is not regular."""
        if not isinstance(meta, dict) or meta.get(VERSION_KEY) != VERSION or CAPABILITIES_KEY not in meta:
            return None
        if not meta.keys() <= KNOWN and not all(key in KNOWN or ("/" in key and not key.startswith(OURS)) for key in meta):
            return None
        said = orjson.dumps([meta[CAPABILITIES_KEY], meta.get(INFO_KEY)])
        if said not in self._envelopes:
            if len(said) > LARGEST_ENVELOPE:
                return None
            if len(self._envelopes) >= KEPT_ENVELOPES:
                self._envelopes.clear()
            self._envelopes[said] = _read({key: meta[key] for key in ENVELOPE if key in meta})
        return self._envelopes[said]

    def _is_regular_call(self, params: dict[str, Any], headers: Mapping[bytes, bytes], principal: Principal, said: Said) -> bool:
        name, arguments = params.get("name"), params.get("arguments", {})
        if not params.keys() <= CALL or not isinstance(name, str) or not isinstance(arguments, dict):
            return False
        if not _is_named(headers.get(b"mcp-name", b""), name):
            return False
        visible = self._gateway.visible(principal)
        outer, inner = visible.get(name), visible.get(unwrapped(name, arguments)[0])
        if outer is None or inner is None or not (inner.quiet or said.mute) or self._wants_headers(outer):
            return False
        return not (said.person and self._asks())

    def _wants_headers(self, tool: Tool) -> bool:
        wants = self._tools.get(tool)
        if wants is None:
            wants = self._tools[tool] = with_headers(tool.input_schema) is not None
        return wants

    def _asks(self) -> bool:
        """Whether some call needs a person's yes under the policy in force."""
        policy = self._gateway.live.current
        if self._asking is None or self._asking[0] is not policy:
            asks = any(permission.obligations for role in policy.roles.values() for permission in role.permissions)
            self._asking = policy, asks
        return self._asking[1]

    async def _call(self, scope: Scope, receive: Receive, send: Send, id: int | str, params: dict[str, Any], principal: Principal) -> None:
        waiting = _Waiting(receive, send, self._fresh)
        try:
            with self._underway:
                try:
                    status, answer = await self._answer(scope, params, principal)
                finally:
                    if waiting.begun:
                        await waiting.end()
                    else:
                        self._fresh.remove(waiting)
        except asyncio.CancelledError:
            if waiting.has_left():
                return  # nothing more may be sent
            raise
        body = b'{"jsonrpc":"2.0","id":%b,%b}' % (orjson.dumps(id), answer)
        if waiting.streams:
            await send({"type": "http.response.body", "body": b"event: message\r\ndata: %b\r\n\r\n" % body})
        elif status is not None or not _answered(scope, body):
            await _send(send, status or 200, (body,))

    async def _answer(self, scope: Scope, params: dict[str, Any], principal: Principal) -> tuple[int | None, bytes]:
        """The status, None for a call that went well, and the member of a JSON-RPC answer that says how it ended."""
        name = params["name"]
        try:
            meta = params["_meta"]
            outcome = await called(self._gateway, name, params.get("arguments", {}), principal, meta, client=passing.Mute(meta))
            if outcome.problem is None:
                return None, b'"result":' + convert.wire(outcome, self._stamp)
            if (asked := passing.round_of(outcome, VERSION)) is not None:
                return 200, b'"result":' + convert.dumped(await self._sealed(convert.shaped(asked), params, principal), self._stamp)
            note(HTTPConnection(scope), outcome)
            passing.refuse(outcome, VERSION)
            refuse_unknown(self._gateway, name, principal, outcome)
            return 200, b'"result":' + convert.wire(outcome, self._stamp)
        except MCPError as error:
            told = error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
            return ERROR_CODE_HTTP_STATUS.get(error.error.code, 200), b'"error":' + orjson.dumps(told)
        except Exception:
            log.exception("a call of %s failed by a bug", name[:64])
            return 200, b'"error":' + orjson.dumps({"code": types.INTERNAL_ERROR, "message": A_BUG})

    async def _sealed(self, question: Mapping[str, Any], params: Mapping[str, Any], principal: Principal) -> Mapping[str, Any]:
        """With what the client is to carry to its next round sealed, as the SDK would."""

        async def asked(_: Any) -> Mapping[str, Any]:
            return question

        answer = await self._seal(Carried("tools/call", params, principal), asked)
        assert isinstance(answer, Mapping)
        return answer

    async def _list(self, scope: Scope, receive: Receive, send: Send, id: int | str, cursor: Any, principal: Principal) -> None:
        visible = self._gateway.visible(principal)
        page = self._lists.get(visible, cursor) if isinstance(cursor, str | None) else None
        if page is not None:
            await _send(send, 200, (b'{"jsonrpc":"2.0","id":%b,"result":' % orjson.dumps(id), page, b"}"))
            return
        heard = _Heard(send)
        await self._app(scope, receive, heard)
        # The policy may have changed while the list was made.
        if isinstance(cursor, str | None) and heard.status == 200 and self._gateway.visible(principal) is visible:
            answer = orjson.loads(heard.body)
            if "result" in answer:
                self._lists.keep(visible, cursor, orjson.dumps(answer["result"]))


class _Fresh:
    """Calls that have only just begun. One timer for all: most are over before anybody looks."""

    def __init__(self) -> None:
        self._calls: dict[_Waiting, float] = {}
        """With the loop's time at their beginning, the oldest first."""
        self._looks = False

    def add(self, call: _Waiting) -> None:
        loop = asyncio.get_running_loop()
        self._calls[call] = loop.time()
        if not self._looks:
            self._looks = True
            loop.call_later(WATCHED, self._look)

    def remove(self, call: _Waiting) -> None:
        del self._calls[call]

    def _look(self) -> None:
        """Have those watched that take long by now, and come back for the next."""
        loop = asyncio.get_running_loop()
        due = loop.time() - WATCHED
        while self._calls:
            call, began = next(iter(self._calls.items()))
            if began > due:
                loop.call_at(began + WATCHED, self._look)
                return
            del self._calls[call]
            call.begin()
        self._looks = False


class _Waiting:
    """What a call that takes long needs: somebody who sees that its caller has left, and a sign of life now and then."""

    def __init__(self, receive: Receive, send: Send, fresh: _Fresh) -> None:
        self._receive = receive
        self._send = send
        self._call = asyncio.current_task()
        self._tasks: list[asyncio.Task[None]] = []
        self._left = False
        self.begun = False
        self.streams = False
        """Whether the answer has begun, as a stream."""
        fresh.add(self)

    async def end(self) -> None:
        """Look no longer. What is just being sent is sent to its end."""
        try:
            with anyio.CancelScope(shield=True):
                async with self._sending:
                    pass
        finally:
            for task in self._tasks:
                task.cancel()

    def has_left(self) -> bool:
        """Whether the call was cancelled because its caller has left, and for nothing else."""
        return self._left and self._call is not None and self._call.uncancel() == 0

    def begin(self) -> None:
        self.begun = True
        self._sending = asyncio.Lock()
        self._tasks = [asyncio.create_task(each) for each in (self._watch(), self._ping(self._sending))]

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._left = True
        if self._call is not None:
            self._call.cancel()

    async def _ping(self, sending: asyncio.Lock) -> None:
        await asyncio.sleep(SILENCE - WATCHED)
        while True:
            async with sending:
                if not self.streams:
                    self.streams = True
                    await self._send({"type": "http.response.start", "status": 200, "headers": list(STREAM)})
                await self._send({"type": "http.response.body", "body": PING, "more_body": True})
            await asyncio.sleep(SILENCE)


class _Lists:
    """Pages of lists as bytes, by the mapping of tools that they show and the cursor that leads to them."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Mapping[str, Tool], dict[str | None, bytes]]] = {}
        self._bytes = 0

    def get(self, tools: Mapping[str, Tool], cursor: str | None) -> bytes | None:
        kept = self._kept.get(id(tools))  # its id is nobody else's while it is kept here
        return kept[1].get(cursor) if kept is not None else None

    def keep(self, tools: Mapping[str, Tool], cursor: str | None, page: bytes) -> None:
        if self._bytes + len(page) > KEPT_BYTES or len(self._kept) >= KEPT_LISTS:
            self._kept.clear()
            self._bytes = 0
        pages = self._kept.setdefault(id(tools), (tools, {}))[1]
        self._bytes += len(page) - len(pages.get(cursor, b""))
        pages[cursor] = page


class _Heard:
    """A `send` that remembers what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        self.body = b""

    async def __call__(self, message: Message) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")
        await self._send(message)


@lru_cache(maxsize=64)
def _takes(accept: bytes) -> bool:
    """Whether a client with this `Accept` takes JSON and streams, by the SDK's own reading."""
    return all(check_accept_headers(Request({"type": "http", "headers": [(b"accept", accept)]})))


@lru_cache(maxsize=1024)
def _is_named(header: bytes, name: str) -> bool:
    """Whether the header `Mcp-Name` says `name`, in whichever way it is written there."""
    return len(header) <= LARGEST_NAME and decode_header_value(header.decode("latin-1")) == name


def _read(meta: Mapping[str, Any]) -> Said | None:
    """What a client says of itself; None: the SDK would refuse it, or read it in its own way."""
    capabilities = meta[CAPABILITIES_KEY]
    try:
        methods.validate_client_request("tools/list", VERSION, {"_meta": meta})
        return Said(asking.able(types.ClientCapabilities.model_validate(capabilities)), mute=not capabilities)
    except ValidationError:
        return None


def _answered(scope: Scope, body: bytes) -> bool:
    """Whether the server could send the whole answer at once."""
    answer = scope.get("extensions", {}).get(ANSWER)
    return answer is not None and answer(body)


async def _send(send: Send, status: int, pieces: Iterable[bytes]) -> None:
    pieces = tuple(pieces)
    length = sum(map(len, pieces))
    headers = [(b"content-length", b"%d" % length), (b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces[:-1]:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": pieces[-1]})


__all__ = ["Fast"]
