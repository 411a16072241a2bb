"""Begin a conversation with a server, whatever era it is of; the era is found once and remembered.

A server is asked `server/discover` first, which only one of 2026-07-28 or later understands. Over HTTP anything but an
error of that era's own means an older one (basic/versioning); over stdio older ones may as well say nothing, or end.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import anyio

from toolgate.calls import Principal
from toolgate.errors import EgressBlocked, Failed, ProtocolError, ToolgateError, UpstreamFailed
from toolgate.integration import Integration
from toolgate.tasks import beside
from toolgate.upstream.child import Keeper, child
from toolgate.upstream.endpoint import Endpoint
from toolgate.upstream.messages import (
    CAPABILITIES,
    CLIENT_INFO,
    HANDSHAKE,
    IDENTITY,
    MODERN,
    MODERN_ERRORS,
    PROTOCOL_VERSION,
    UNSUPPORTED_VERSION,
)
from toolgate.upstream.modern import Modern
from toolgate.upstream.peer import Ear, Peer
from toolgate.upstream.streams import Sse, Streamable

Way = Literal["modern", "streamable", "sse", "modern child", "child"]
OLDER: Mapping[Way | None, Way] = {"modern": "streamable", "modern child": "child"}
"""How a server of two eras is spoken to in the older one."""
PROBE_SECONDS = 4.0  # that a child has to answer a question it may not understand; then it is greeted the old way
NOT_THERE = frozenset({400, 404, 405, 406, 415, 501})
"""Statuses by which a server says that it does not know such requests; 401, 403, 429 and 5xx say nothing of its era."""

log = logging.getLogger("toolgate.upstream")


class NotOlder(UpstreamFailed):
    """The server is of 2026-07-28 only."""


@dataclass(frozen=True)
class Conversation:
    """One that has begun."""

    peer: Peer | Modern
    modern: bool
    """Of 2026-07-28: each request says who asks and what they can."""
    version: str
    capabilities: Mapping[str, Any]
    """The server's."""


class Dial:
    """How one server is reached."""

    def __init__(self, integration: Integration, folder: Path, endpoint: Endpoint | None, keeper: Keeper) -> None:
        """
        Args:
            endpoint: None for a child process.
        """
        self.who = integration.name
        self._integration = integration
        self._folder = folder
        self.endpoint = endpoint
        self._keeper = keeper
        self.may_be_older = True
        """Whether a server of 2026-07-28 may be of an older era as well, which `server/discover` does not tell."""
        self._way: Way | None = {"sse": "sse"}.get(integration.transport)  # type: ignore[assignment]

    def endpoint_of(self, principal: Principal) -> Endpoint | None:
        return self.endpoint.of(principal) if self.endpoint else None

    @asynccontextmanager
    async def open(
        self,
        common: Ear,
        capabilities: Mapping[str, Any],
        *,
        endpoint: Endpoint | None = None,
        owned: bool = False,
        handshake: bool = False,
    ) -> AsyncIterator[Conversation]:
        """A conversation, until the block ends. Raises Failed and EgressBlocked when there is none to be had.

        Args:
            common: hears what belongs to no request.
            capabilities: what is declared for whoever it is held with, where it is declared once.
            endpoint: the same with another's credentials.
            owned: it is held with one caller alone.
            handshake: in the older era, with a server of two.

        Raises:
            NotOlder: it has no older era; once that is known, `may_be_older` says so.
        """
        endpoint = endpoint or self.endpoint
        if handshake and (older := OLDER.get(self._way)):
            async with AsyncExitStack() as stack:
                try:
                    began = await self._begin(older, stack, common, capabilities, endpoint, owned)
                except UpstreamFailed as error:
                    if error.status is not None and not _another_way(error, older) and not isinstance(error, ProtocolError):
                        raise
                    self.may_be_older = False
                    raise NotOlder(f"{self.who} has no handshake") from error
                yield began
            return
        for way in self._ways():
            async with AsyncExitStack() as stack:
                try:
                    began = await self._begin(way, stack, common, capabilities, endpoint, owned)
                except (Failed, EgressBlocked) as error:
                    if way == self._ways()[-1] or not _another_way(error, way):
                        if self._integration.transport != "sse":
                            self._way = None  # it may be another server by now
                        raise
                    log.debug("%s is not of the %s kind: %s", self.who, way, error)
                    continue
                if self._way is None or way != "modern child":
                    self._way = way if way != "modern child" else ("modern child" if began.modern else "child")
                yield began
                return

    def _ways(self) -> Sequence[Way]:
        if self._way is not None:
            return (self._way,)
        if self.endpoint is None:
            return ("modern child", "child")
        return ("modern", "streamable") if self._integration.transport == "http" else ("modern", "streamable", "sse")

    async def _begin(
        self, way: Way, stack: AsyncExitStack, common: Ear, capabilities: Mapping[str, Any], endpoint: Endpoint | None, owned: bool
    ) -> Conversation:
        if way in ("modern child", "child"):
            integration = self._integration
            env = {name: value for name, value in integration.env.items() if value is not None}
            line = await stack.enter_async_context(child(self.who, integration.command, env, self._folder, self._keeper))
            peer = await stack.enter_async_context(_talking(Peer, self.who, line, common, line.listen, owned))
            return await self._greet_child(peer, capabilities, discover=way == "modern child")
        assert endpoint is not None
        if way == "modern":
            return _discovered(Modern(endpoint), await Modern(endpoint).ask("server/discover", envelope({})))
        if way == "sse":
            old = Sse(endpoint)
            peer = await stack.enter_async_context(_talking(Peer, self.who, old, common, old.listen, owned))
            return await _greet(peer, capabilities)
        stream = Streamable(endpoint)
        tasks = await stack.enter_async_context(beside())
        stack.push_async_callback(stream.close)
        peer = Peer(self.who, stream, common, tasks, owned=owned)
        greeted = await _greet(peer, capabilities, agreed=lambda version: setattr(stream, "version", version))
        tasks.start_soon(stream.listen)
        tasks.start_soon(_end_when_gone, peer, stream)
        return greeted

    async def _greet_child(self, peer: Peer, capabilities: Mapping[str, Any], *, discover: bool) -> Conversation:
        if discover:
            with anyio.move_on_after(PROBE_SECONDS):
                try:
                    return _discovered(peer, await peer.ask("server/discover", envelope({})))
                except UpstreamFailed:
                    if peer.ended.is_set():
                        raise
        try:
            return await _greet(peer, capabilities)
        except ProtocolError as error:
            if error.number != UNSUPPORTED_VERSION:
                raise
            # It began slowly: the question that we no longer waited for was heard after all.
            return _discovered(peer, await peer.ask("server/discover", envelope({})))


def envelope(capabilities: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What every request of 2026-07-28 says (basic/index, "Per-request protocol fields")."""
    return {"_meta": {**(more or {}), PROTOCOL_VERSION: MODERN, CAPABILITIES: capabilities, CLIENT_INFO: IDENTITY}}


def _discovered(peer: Peer | Modern, found: Mapping[str, Any]) -> Conversation:
    versions = found.get("supportedVersions")
    if not isinstance(versions, list) or MODERN not in versions:
        # Some older servers answer `server/discover` with the versions that begin with a handshake.
        raise UpstreamFailed(f"{peer.who} does not speak {MODERN}", status=400)
    return Conversation(peer, True, MODERN, _able(found.get("capabilities")))


async def _greet(peer: Peer, capabilities: Mapping[str, Any], *, agreed: Callable[[str], None] | None = None) -> Conversation:
    """The handshake (2025-11-25, basic/lifecycle)."""
    params = {"protocolVersion": HANDSHAKE[0], "capabilities": capabilities, "clientInfo": IDENTITY}
    said = await peer.ask("initialize", params)
    version = said.get("protocolVersion")
    if version not in HANDSHAKE:
        raise UpstreamFailed(f"{peer.who} speaks no version of MCP that is spoken here")
    if agreed is not None:
        agreed(version)
    await peer.tell("notifications/initialized")
    return Conversation(peer, False, version, _able(said.get("capabilities")))


def _able(said: Any) -> dict[str, Any]:
    """The capabilities that a server says it has; some name those, too, that they have not."""
    return {name: how for name, how in said.items() if how is not None} if isinstance(said, dict) else {}


def _another_way(error: ToolgateError, way: Way) -> bool:
    """Whether `error` may be that of a server of another kind."""
    if way == "modern child":
        return isinstance(error, UpstreamFailed)
    if isinstance(error, ProtocolError):
        if error.number not in MODERN_ERRORS:
            return way == "modern"
        offered = error.data.get("supported") if isinstance(error.data, dict) else None
        return isinstance(offered, list) and any(version in HANDSHAKE for version in offered)
    return isinstance(error, UpstreamFailed) and (error.status in NOT_THERE or (error.status is not None and error.status < 300))


@asynccontextmanager
async def _talking(
    make: type[Peer], who: str, line: Any, common: Ear, listen: Callable[[], Awaitable[None]], owned: bool
) -> AsyncIterator[Peer]:
    """A peer on a line that is listened to until the block ends."""
    async with beside() as tasks:
        peer = make(who, line, common, tasks, owned=owned)
        tasks.start_soon(_listen, peer, listen)
        yield peer


async def _listen(peer: Peer, listen: Callable[[], Awaitable[None]]) -> None:
    why: ToolgateError = UpstreamFailed(f"{peer.who} has ended the conversation")
    try:
        await listen()
    except ToolgateError as error:
        why = error
    finally:
        peer.end(why)


async def _end_when_gone(peer: Peer, stream: Streamable) -> None:
    await stream.gone.wait()
    peer.end(UpstreamFailed(f"{peer.who} has forgotten our session", status=503))
