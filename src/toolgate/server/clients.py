"""Which MCP clients there are: what each says of itself, whose it is, and how many sessions it has.

A client tells its name with its handshake, or since 2026-07-28 with each request. It is written down where all processes on
one store see it when one of them first hears of it, and again once that is old: most calls write nothing, and ask one
question of a dictionary. What clients say of themselves is anybody's word; so much of one principal is kept, and no more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import anyio
from mcp.server.context import CallNext, HandlerResult
from mcp_types.version import is_version_at_least

from toolgate.calls import Principal, key
from toolgate.errors import ToolgateError
from toolgate.server import passing
from toolgate.stores import Records, every

KIND = "client"
"""Of the records."""
KEPT = 30 * 86_400.0
"""Seconds after which nobody speaks of a client that was not heard of again."""
OLD = 3600.0
"""Seconds after which a client that is still heard of is written down anew."""
MOST = 20
"""Clients of one principal that are written down; those not heard of longest go first."""
MET = 1024
"""Clients that one process remembers."""
PREFIX = 16  # characters of an id that stand for the principal
NAME, VERSION = 120, 60
"""Characters of what a client is called."""

Who = Callable[[Any], Principal]
SECONDS = 5.0
"""That it may take to write a client down."""

log = logging.getLogger("toolgate.server")


@dataclass(frozen=True, slots=True)
class Client:
    name: str
    version: str
    protocol: str
    """The version of MCP that it speaks."""
    transport: str
    """`stdio`, `sse` or `streamable-http`."""
    principal: str
    tenant: str


@dataclass(frozen=True, slots=True)
class Seen:
    client: Client
    first: float
    """Seconds since 1970, as `last`."""
    last: float
    sessions: int | None
    """Those that are open in this process; None: it speaks a version of MCP that has no sessions."""


class Session(Protocol):
    def is_set(self) -> bool:
        """Whether it has ended."""


@dataclass(slots=True)
class _Met:
    last: float
    written: float = 0.0
    sessions: list[Session] = field(default_factory=list)

    def open(self) -> int:
        """How many sessions have not ended."""
        self.sessions = [each for each in self.sessions if not each.is_set()]
        return len(self.sessions)


class Clients:
    def __init__(self, records: Records, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            clock: seconds since 1970.
        """
        self._records = records
        self._clock = clock
        self._met: dict[Client, _Met] = {}
        self._heard: set[tuple[tuple[str, str], str, str, int]] = set()
        """Who called without a session in this hour."""

    def watch(self, server: Any, who: Who) -> None:
        """Hear of the clients of an SDK's server."""

        async def remember(ctx: Any, call_next: CallNext) -> HandlerResult:
            told = ctx.session.client_params
            rounds = is_version_at_least(ctx.protocol_version, passing.ROUNDS)
            if told is not None and (rounds or ctx.method == "notifications/initialized"):
                principal, info = who(ctx), told.client_info
                client = client_of(info.name, info.version, ctx.protocol_version, _transport(ctx.request), principal)
                await self.meet(client, None if rounds else passing.gone_of(passing.connection_of(ctx)))
            return await call_next(ctx)

        server.middleware.append(remember)

    async def meet(self, client: Client, session: Session | None = None) -> None:
        """Hear of a client, and of its session where it has one."""
        now = self._clock()
        met = self._met.pop(client, None) or _Met(now)
        while len(self._met) >= MET:
            del self._met[next(iter(self._met))]
        self._met[client] = met  # the one that was heard of last is the last to go
        met.last = now
        if session is not None and session not in met.sessions:
            met.open()
            met.sessions.append(session)
        if met.written + OLD <= now:
            met.written = now
            try:
                # A client over stdio may leave before it is written down that it was there.
                with anyio.move_on_after(SECONDS, shield=True):
                    await self._write(client, now)
            except ToolgateError as error:  # a call is not refused for it
                log.warning("the client %.60r is not written down: %s", client.name, error)

    def knows(self, told: tuple[str, str], principal: Principal) -> bool:
        """Whether such a client was heard of in this hour."""
        return self._named(told, principal) in self._heard

    async def hear(self, told: tuple[str, str], principal: Principal) -> None:
        """Hear of a client that calls without a session, by its name and version."""
        if self.knows(told, principal):
            return
        if len(self._heard) >= MET:
            self._heard.clear()
        self._heard.add(self._named(told, principal))
        await self.meet(client_of(*told, passing.ROUNDS, "streamable-http", principal))

    async def list(self, of: Principal | None = None) -> Sequence[Seen]:
        """The one heard of last first.

        Args:
            of: only those of this principal; None: everybody's.
        """
        seen = list[Seen]()
        async for each in every(self._records, KIND, _prefix(of.tenant, of.id) if of else ""):
            client = Client(**each.body["client"])
            met = self._met.get(client)
            last = max(each.body["last"], met.last if met else 0.0)
            rounds = is_version_at_least(client.protocol, passing.ROUNDS)
            seen.append(Seen(client, each.body["first"], last, None if rounds else met.open() if met else 0))
        return sorted(seen, key=lambda each: -each.last)

    def _named(self, told: tuple[str, str], principal: Principal) -> tuple[tuple[str, str], str, str, int]:
        return told, principal.id, principal.tenant, int(self._clock() / OLD)

    async def _write(self, client: Client, now: float) -> None:
        whose = _prefix(client.tenant, client.principal)
        name = whose + key(*asdict(client).values())[:PREFIX]
        there = await self._records.get(KIND, name)
        if there is None:
            await self._make_room(whose)
        body = {"client": asdict(client), "first": there.body["first"] if there else now, "last": now}
        await self._records.put(KIND, name, body, replaces=there.version if there else 0, expires=now + KEPT)

    async def _make_room(self, prefix: str) -> None:
        page = await self._records.list(KIND, limit=MOST + 1, after=prefix)
        own = sorted((each for each in page if each.id.startswith(prefix)), key=lambda each: each.body["last"])
        for each in own[: max(0, len(own) - MOST + 1)]:
            await self._records.delete(KIND, each.id)


def client_of(name: object, version: object, protocol: str, transport: str, principal: Principal) -> Client:
    return Client(_text(name, NAME), _text(version, VERSION), protocol, transport, principal.id, principal.tenant)


def _text(said: object, most: int) -> str:
    return str(said)[:most].encode(errors="replace").decode()  # a lone surrogate cannot be kept


def _prefix(tenant: str, principal: str) -> str:
    return key(tenant, principal)[:PREFIX]


def _transport(request: Any) -> str:
    if request is None:
        return "stdio"
    return "sse" if request.scope["path"].startswith(("/sse", "/messages")) else "streamable-http"
