"""A short way for what is asked most: calls and lists of MCP 2026-07-28, as one HTTP request and one answer.

Of the CPU time of such a call the SDK's layers took more than the whole gate. Here are none of them: the request is held
against a description of the regular case, the gate decides, and the answer is put together. Whatever is not regular in any
detail goes on to the SDK untouched, which alone knows how to refuse it, so that there is one reading of the specification:

    exactly one of each header · version 2026-07-28 · Mcp-Method and Mcp-Name that say what the body says
    jsonrpc, id, method and params, nothing else · an id that is text or an integer · no progress token, no log level
    a tool that the caller sees, and that wants none of its arguments in headers
    a tool that says nothing while it runs, or a client that said it could not be asked anything
    nobody who could be asked, where the policy asks

Lists are not made here at all (`lists`).

Sessions of the handshake eras stay with the SDK: only it knows which of them still live, who has opened them and what was
agreed there, and it would close for idleness a session whose calls it does not see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import mcp_types as types
import orjson
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import decode_header_value
from mcp_types import methods
from pydantic import ValidationError
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from toolgate.calls import Principal, Tool
from toolgate.gateway import Gateway, unwrapped
from toolgate.policy.rules import Policy
from toolgate.server import asking, convert, passing
from toolgate.server.apps import can_show
from toolgate.server.handlers import NAME, Underway, with_headers
from toolgate.server.identify import principal_of
from toolgate.server.ingress import VALUE
from toolgate.server.lists import Lists
from toolgate.server.reply import reply
from toolgate.server.waiting import Fresh, Waiting

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
LARGEST_NAME = 256
"""Bytes of a tool's name in a header; written in Base64 it has 80 at most."""


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
        self._lists = Lists(app)
        self._fresh = Fresh()
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
                elif _is_regular_list(params, headers):
                    key = VERSION, False, params.get("cursor")
                    await self._lists.serve(scope, receive, send, message["id"], key, lambda: self._gateway.visible(principal))
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
        async def seal(question: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._sealed(question, params, principal)

        waiting = Waiting(scope, receive, send, self._fresh)
        try:
            with self._underway:
                try:
                    client, request = passing.Mute(params["_meta"]), HTTPConnection(scope)
                    status, answer = await reply(self._gateway, params, principal, client, VERSION, self._stamp, request=request, seal=seal)
                finally:
                    await waiting.over()
        except asyncio.CancelledError:
            if waiting.was_cancelled():
                return  # nothing more may be sent
            raise
        await waiting.answer(status, b'{"jsonrpc":"2.0","id":%b,%b}' % (orjson.dumps(id), answer))

    async def _sealed(self, question: Mapping[str, Any], params: Mapping[str, Any], principal: Principal) -> Mapping[str, Any]:
        """With what the client is to carry to its next round sealed, as the SDK would."""

        async def asked(_: Any) -> Mapping[str, Any]:
            return question

        answer = await self._seal(Carried("tools/call", params, principal), asked)
        assert isinstance(answer, Mapping)
        return answer


def _is_regular_list(params: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> bool:
    if not params.keys() <= LIST or b"mcp-name" in headers or can_show(params["_meta"][CAPABILITIES_KEY]):
        return False
    return isinstance(params.get("cursor"), str | None)


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


__all__ = ["Fast"]
