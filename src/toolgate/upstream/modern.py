"""A server of 2026-07-28 over HTTP: nothing is held, every request says all that there is to know, and stands and falls alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import anyio

from toolgate.errors import UpstreamFailed
from toolgate.upstream.endpoint import BOTH, Endpoint, Reply, refused
from toolgate.upstream.messages import MODERN, Garbage, Message, answered, decode, encode, in_event, is_answer, meta, request, result
from toolgate.upstream.peer import FLOOD, Ear

NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
"""Which parameter of a method `Mcp-Name` repeats."""
Marks = Mapping[tuple[str, ...], str]
"""The names of headers by the path to the argument that each repeats."""


class Modern:
    """The conversation of all callers; it never ends, because it holds nothing that could."""

    version = MODERN

    def __init__(self, endpoint: Endpoint) -> None:
        self.who = endpoint.who
        self.ended = anyio.Event()
        self._endpoint = endpoint

    def over(self, endpoint: Endpoint) -> Modern:
        """The same, with what another endpoint shows."""
        return self if endpoint is self._endpoint else Modern(endpoint)

    async def ask(
        self, method: str, params: Mapping[str, Any], ear: Ear | None = None, *, repeats: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """As `Peer.ask`.

        Args:
            repeats: `Mcp-Param-*` headers.
        """
        number = next(self._endpoint.ids)
        if ear is not None:
            params = {**params, "_meta": {**meta(params), "progressToken": number}}
        name = params.get(NAMED.get(method, ""))
        headers = standard(method, name if isinstance(name, str) else None)
        reading = _Reading(self.who, number, ear)
        await self._endpoint.exchange(
            "POST",
            {**headers, **repeats} if repeats else headers,
            encode(request(number, method, params)),
            reading.take,
            endless=method == "subscriptions/listen",
        )
        if reading.answer is None:
            raise UpstreamFailed(f"{self.who} ended its answer before it was complete")
        return result(reading.answer, self.who)

    async def tell(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Nothing: closing a request's stream is all that there is to tell."""


class _Reading:
    answer: Message | None = None

    def __init__(self, who: str, id: int, ear: Ear | None) -> None:
        self._who = who
        self._id = id
        self._ear = ear

    async def take(self, reply: Reply) -> None:
        if reply.events is None:
            self._take_body(reply)
            return
        heard = 0
        async for event in reply.events:
            if not event.data or event.kind != "message":
                continue
            for message in in_event(event.data, self._who):
                if answered(message) == self._id:
                    self.answer = message
                    return
                heard += 1
                if heard > FLOOD:
                    raise UpstreamFailed(f"{self._who} says more than {FLOOD} things while it answers one request")
                await self._hear(message)

    def _take_body(self, reply: Reply) -> None:
        try:
            messages = decode(reply.body)
        except Garbage:
            raise refused(reply, self._who) from None
        for message in messages:
            # An error about a request that could not be read has no id, or null.
            if answered(message) == self._id or (is_answer(message) and message.get("id") is None):
                self.answer = message
                return
        raise refused(reply, self._who)

    async def _hear(self, message: Message) -> None:
        method, params = message.get("method"), message.get("params")
        # Questions of the server's own are no longer part of the protocol, so that one with an id is passed over.
        if self._ear is not None and isinstance(method, str) and isinstance(params, dict | None) and "id" not in message:
            await self._ear.hear(method, params or {})


@lru_cache(maxsize=256)  # of tools and prompts, as a rule
def standard(method: str, name: str | None) -> Mapping[str, str]:
    """The headers of a request by its method and what it names (transports/streamable-http, "Standard Request Headers")."""
    from mcp.shared.inbound import encode_header_value

    named = {} if name is None else {"Mcp-Name": encode_header_value(name)}
    return {BOTH[0]: BOTH[1], "MCP-Protocol-Version": MODERN, "Mcp-Method": method, **named}


def marks(schema: Mapping[str, Any]) -> Marks:
    """What `x-mcp-header` marks in a tool's schema."""
    from mcp.shared.inbound import x_mcp_header_map

    return x_mcp_header_map(schema)


def repeated(marked: Marks, arguments: Mapping[str, Any]) -> Mapping[str, str]:
    """The `Mcp-Param-*` headers for a call."""
    from mcp.shared.inbound import mcp_param_headers

    return mcp_param_headers(marked, arguments)
