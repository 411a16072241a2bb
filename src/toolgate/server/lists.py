"""Pages of `tools/list` as bytes: the SDK's answer to the first request for a page is kept and sent again, with another id."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from toolgate.calls import Tool
from toolgate.server.waiting import send_json

KEPT_LISTS, KEPT_BYTES = 64, 32 * 1024 * 1024
"""Sets of tools, and bytes of their pages; a list of 1,223 tools has 1.5 MB."""

Key = tuple[str, bool, str | None]
"""A page of one set of tools: the version of the protocol, whether the client shows MCP Apps, the cursor."""


class Pages:
    """By the mapping of tools that they show: `Gateway.visible` makes a new one when the policy changes."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Mapping[str, Tool], dict[Key, bytes]]] = {}
        self._bytes = 0

    def get(self, tools: Mapping[str, Tool], key: Key) -> bytes | None:
        kept = self._kept.get(id(tools))  # its id is nobody else's while it is kept here
        return kept[1].get(key) if kept is not None else None

    def keep(self, tools: Mapping[str, Tool], key: Key, page: bytes) -> None:
        if self._bytes + len(page) > KEPT_BYTES or len(self._kept) >= KEPT_LISTS:
            self._kept.clear()
            self._bytes = 0
        pages = self._kept.setdefault(id(tools), (tools, {}))[1]
        self._bytes += len(page) - len(pages.get(key, b""))
        pages[key] = page


class Lists:
    """Pages over HTTP."""

    def __init__(self, app: ASGIApp) -> None:
        """
        Args:
            app: makes the pages.
        """
        self._app = app
        self._pages = Pages()

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, id: int | str, key: Key, visible: Callable[[], Mapping[str, Tool]]
    ) -> None:
        """Answer a regular request for the page `key`.

        Args:
            id: of the request.
            visible: the tools that the caller may see.
        """
        tools = visible()
        page = self._pages.get(tools, key)
        if page is not None:
            await send_json(send, 200, b'{"jsonrpc":"2.0","id":%b,"result":' % orjson.dumps(id), page, b"}")
            return
        heard = _Heard(send)
        await self._app(scope, receive, heard)
        # The policy may have changed while the list was made.
        if visible() is tools and (result := heard.result) is not None:
            self._pages.keep(tools, key, orjson.dumps(result))


class _Heard:
    """A `send` that remembers what was sent."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._body = b""

    async def __call__(self, message: Message) -> None:
        self._status = message.get("status", self._status)
        self._body += message.get("body", b"")
        await self._send(message)

    @property
    def result(self) -> Any:
        """What the answer says went well; None: it says something else."""
        if self._status != 200:
            return None
        # An answer in a session is a stream, of this one event.
        json = self._body.partition(b"data: ")[2] if self._body.startswith(b"event: message\r\n") else self._body
        try:
            return orjson.loads(json).get("result")
        except orjson.JSONDecodeError:
            return None
