"""A short way for what is asked most: calls and lists of MCP 2026-07-28, as one HTTP request and one answer.

Of the CPU time of such a call the SDK's layers took more than the whole gate. Here are none of them: the request is held
against a description of the regular case, the gate decides, and the answer is put together. Whatever is not regular in any
detail goes on to the SDK untouched, which alone knows how to refuse it, so that there is one reading of the specification:

    exactly one of each header · version 2026-07-28 · Mcp-Method and Mcp-Name that say what the body says
    a tool that wants none of its arguments in headers, and no client that takes a task for an answer
    what is regular on every way (`regular`)

Lists are not made here at all (`lists`). Sessions of the handshake eras have a short way of their own (`handshake`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Any, get_args
from weakref import WeakKeyDictionary

import mcp_types as types
from mcp.server.streamable_http import check_accept_headers
from mcp.shared.inbound import decode_header_value
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from toolgate.calls import Principal, Tool
from toolgate.gateway import Gateway
from toolgate.server import asking
from toolgate.server.clients import Clients
from toolgate.server.handlers import NAME, Underway, with_headers
from toolgate.server.handshake import SESSION, Sessions
from toolgate.server.headers import Headers, headers_of
from toolgate.server.identify import principal_of
from toolgate.server.ingress import ENDPOINTS, VALUE
from toolgate.server.lists import Lists
from toolgate.server.passing import LOG_LEVEL
from toolgate.server.regular import KNOWN, NEWEST, PROGRESS, Calls, Envelopes, Said, answer, has_token, is_request
from toolgate.server.reply import reply
from toolgate.server.spoken import InRounds
from toolgate.server.waiting import Fresh, Waiting

TOLD = KNOWN | {PROGRESS, LOG_LEVEL}
"""Keys in `_meta`, also of a client that wants to be told what happens meanwhile."""
LEVELS = get_args(types.LoggingLevel)
OLDER = "", None  # itself, and nothing that is equal
LARGEST_NAME = 256
"""Bytes of a tool's name in a header; written in Base64 it has 80 at most."""


class Fast:
    """Around the application that has the SDK's routes; behind `guarded`."""

    def __init__(
        self,
        app: ASGIApp,
        gateway: Gateway,
        stamp: Mapping[str, Any],
        underway: Underway,
        sessions: Sessions,
        clients: Clients | None = None,
    ) -> None:
        """
        Args:
            stamp: what `_meta` of every result says of this server.
            underway: counts the calls that have not ended.
            sessions: those of the handshake eras.
            clients: hears who calls; None: nobody wants to know.
        """
        self._app = app
        self._gateway = gateway
        self._stamp = stamp
        self._underway = underway
        self._sessions = sessions
        self._clients = clients
        self._calls = Calls(gateway)
        self._envelopes = Envelopes()
        self._tools: WeakKeyDictionary[Tool, bool] = WeakKeyDictionary()
        self._lists = Lists(app)
        self._fresh = Fresh()
        self._seal = asking.Sealing(gateway.approvals, NAME)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        served = self._served(scope, receive, send) if scope["type"] == "http" and scope["path"] in ENDPOINTS else None
        return served or self._app(scope, receive, send)

    def _served(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None] | None:
        """Answers a request; None: that cannot be done here."""
        headers = headers_of(scope)
        told = headers.once(_told, scope["method"])
        if told is None or scope.get("root_path"):
            return None
        message = scope["state"].get(VALUE)
        if told is OLDER:
            return self._sessions.served(scope, receive, send, headers.named, message, self._lists)
        method, name = told
        if not is_request(message) or message["method"] != method or (said := self._said(message["params"].get("_meta"))) is None:
            return None
        principal, params = principal_of(scope), message["params"]
        if method == "tools/call":
            tool = self._calls.tool(params, principal) if params["name"] == name else None
            if tool is None or said.tasks or self._wants_headers(tool):
                return None
            return self._heard(said, principal, self._call(scope, receive, send, message["id"], params, principal, said))
        if name is not None or said.shows:
            return None
        key = NEWEST, False, params.get("cursor")
        page = self._lists.serve(scope, receive, send, message["id"], key, lambda: self._gateway.visible(principal))
        return self._heard(said, principal, page)

    def _heard(self, said: Said, principal: Principal, served: Awaitable[None]) -> Awaitable[None]:
        """`served`, once it is known who asks."""
        if self._clients is None or said.client is None or self._clients.knows(said.client, principal):
            return served
        return _after(self._clients.hear(said.client, principal), served)

    def _said(self, meta: Any) -> Said | None:
        """What the client of a call or a list says of itself. None: this is not regular."""
        if isinstance(meta, dict) and (not has_token(meta) or meta.get(LOG_LEVEL, "info") not in LEVELS):
            return None
        return self._envelopes.said(meta, TOLD)

    def _wants_headers(self, tool: Tool) -> bool:
        wants = self._tools.get(tool)
        if wants is None:
            wants = self._tools[tool] = with_headers(tool.input_schema) is not None
        return wants

    async def _call(
        self, scope: Scope, receive: Receive, send: Send, id: int | str, params: dict[str, Any], principal: Principal, said: Said
    ) -> None:
        async def seal(question: Mapping[str, Any]) -> Mapping[str, Any]:
            return await self._seal(question, params, principal)

        waiting = Waiting(scope, receive, send, self._fresh)
        client = InRounds(params["_meta"], waiting)
        try:
            with self._underway:
                try:
                    status, member = await reply(
                        self._gateway,
                        params,
                        principal,
                        client,
                        NEWEST,
                        self._stamp,
                        scope=scope,
                        progress=client.progress,
                        asks=asking.Rounds() if said.person else None,
                        seal=seal,
                    )
                finally:
                    if (sending := waiting.over()) is not None:
                        await sending
        except asyncio.CancelledError:
            if waiting.was_cancelled():
                return  # nothing more may be sent
            raise
        await waiting.answer(status, answer(id, member))


async def _after(first: Awaitable[None], then: Awaitable[None]) -> None:
    await first
    await then


def _told(headers: Headers, method: str) -> tuple[str, str | None] | None:
    """`Mcp-Method` and `Mcp-Name` of a POST of 2026-07-28, `OLDER` for a request in a session; None: this is not regular."""
    named = headers.named
    takes_all = method == "DELETE" or all(check_accept_headers(Request({"type": "http", "headers": headers})))
    if len(named) < len(headers) or not takes_all:
        return None
    if named.get(b"mcp-protocol-version") != b"2026-07-28":
        return OLDER if SESSION in named else None
    shown = named.get(b"mcp-name")
    name = None if shown is None else decode_header_value(shown.decode("latin-1"))
    if method != "POST" or len(shown or b"") > LARGEST_NAME or (name is None and shown is not None):
        return None
    return named.get(b"mcp-method", b"").decode("latin-1"), name


__all__ = ["Fast"]
