"""Connections to checked addresses, made by aiohttp's connector.

The name is looked up once, every address of the answer is checked, and the connection is made to those very addresses;
Host header and TLS still carry the name. A pool serves one set of allowed networks: what one integration may reach is
never handed, as a cached address or an idle connection, to another that may not.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from ssl import SSLContext

from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection as Dialled
from yarl import URL

from toolgate.egress.address import Network, why_blocked
from toolgate.egress.connection import Connection
from toolgate.egress.exchange import Exchange
from toolgate.egress.origin import Place
from toolgate.egress.room import Room
from toolgate.egress.wire import Caps
from toolgate.errors import EgressBlocked, Unreachable

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""A host name to its addresses, as text. Raises OSError when there are none."""

CONNECTIONS = 1024
CONNECTIONS_AN_ORIGIN = 128  # so that one slow API cannot take all
IDLE = 15.0
"""Seconds after which a connection that nobody needs is closed; many servers close theirs after as many or a few more."""
NO_TIMEOUT = ClientTimeout()  # the caller's deadline covers everything


async def look_up(host: str) -> list[str]:
    """The addresses that the machine's resolver knows for `host`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


@dataclass(slots=True)
class Lane:
    """Connections to one place."""

    place: Place
    dial: ClientRequest
    """What the connector wants to know of it."""
    room: Room = field(default_factory=lambda: Room(CONNECTIONS_AN_ORIGIN))
    """For more that are under way."""
    idle: list[tuple[Connection, float]] = field(default_factory=list)
    """With the loop's time at which each is closed, the longest idle first."""


class Pool:
    """Keep-alive connections of all requests that have the same networks allowed."""

    def __init__(self, networks: frozenset[Network], resolver: Resolver, tls: SSLContext | None) -> None:
        self._networks = networks
        self._loop = asyncio.get_running_loop()
        self._connector = TCPConnector(
            resolver=Checked(resolver, networks),
            ssl=tls or True,
            limit=0,  # kept here, where idle connections are not counted
        )
        self._lanes: dict[str, Lane] = {}
        """By origin."""
        self._under_way = Room(CONNECTIONS)
        self._sweeping: asyncio.TimerHandle | None = None

    def exchange(self, method: str, place: Place, wire: bytes, caps: Caps) -> Exchange:
        """The request whose bytes are `wire`, ready to be sent to `place`.

        Raises:
            EgressBlocked: the address that it names is neither public nor allowed.
        """
        return Exchange(method, self._lanes.get(place.origin) or self._lane(place), wire, self, caps)

    def idle(self, lane: Lane) -> Connection | None:
        """An idle connection, ready for a request, if there is one and room for a request. It has to be given back."""
        if not lane.idle or not lane.room.take():
            return None
        if self._under_way.take():
            if (connection := self._rested(lane)) is not None:
                return connection
            self._under_way.give()
        lane.room.give()
        return None

    async def connect(self, lane: Lane) -> Connection:
        """An idle or new connection, ready for a request. It has to be given back.

        Raises:
            EgressBlocked: an address of the host is neither public nor allowed.
            Unreachable: no connection could be made.
        """
        await lane.room.wait()
        try:
            await self._under_way.wait()
        except BaseException:
            lane.room.give()
            raise
        try:
            return self._rested(lane) or Connection(await self._connect(lane))
        except BaseException:
            self._release(lane)
            raise

    def give_back(self, lane: Lane, connection: Connection) -> None:
        """Keep it for others if its answer was read to its end, else drop it."""
        self._release(lane)
        if not connection.at_end or not connection.reusable:
            connection.drop()
            return
        lane.idle.append((connection, self._loop.time() + IDLE))
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(IDLE, self._sweep)

    async def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
        for lane in self._lanes.values():
            while lane.idle:
                lane.idle.pop()[0].drop()
        await self._connector.close()

    def _rested(self, lane: Lane) -> Connection | None:
        while lane.idle:
            connection, _ = lane.idle.pop()
            if connection.reusable:
                return connection
            connection.drop()  # it was closed, or said something while nobody had asked
        return None

    def _release(self, lane: Lane) -> None:
        self._under_way.give()
        lane.room.give()

    def _sweep(self) -> None:
        """Close what has been idle for long."""
        now, kept = self._loop.time(), 0
        for lane in self._lanes.values():
            idle, lane.idle = lane.idle, []
            for connection, until in idle:
                if until > now and connection.reusable:
                    lane.idle.append((connection, until))
                else:
                    connection.drop()
            kept += len(lane.idle)
        self._sweeping = self._loop.call_later(IDLE, self._sweep) if kept else None

    def _lane(self, place: Place) -> Lane:
        """What there is for `place`; made once, for places that are allowed."""
        if place.address is not None and (kind := why_blocked(place.address, self._networks)):
            raise EgressBlocked(f"{place.origin} is {kind}; only the operator can allow it, with allow_networks")
        dial = ClientRequest("GET", URL(place.origin), loop=asyncio.get_running_loop())
        lane = self._lanes[place.origin] = Lane(place, dial)
        return lane

    async def _connect(self, lane: Lane) -> Dialled:
        place = lane.place
        try:
            return await self._connector.connect(lane.dial, [], NO_TIMEOUT)
        except ClientConnectorDNSError:
            raise Unreachable(f"the name {place.host} cannot be resolved") from None
        except ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "it does not fit"
            raise Unreachable(f"{place.origin} shows a certificate that cannot be trusted: {reason}") from None
        except (ClientError, OSError) as error:
            number = getattr(error, "errno", None)
            reason = os.strerror(number) if number else "the TLS or TCP handshake failed"
            raise Unreachable(f"no connection to {place.origin}: {reason}") from None


class Checked(AbstractResolver):
    """A resolver that answers only when every address may be reached."""

    def __init__(self, resolver: Resolver, networks: frozenset[Network]) -> None:
        self._resolver = resolver
        self._networks = networks

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        found = await self._resolver(host)
        if not found:
            raise OSError(f"{host} has no address")
        # One blocked address condemns all: a name that mixes public and private ones is after something.
        for text in found:
            if kind := why_blocked(ip_address(text), self._networks):
                raise EgressBlocked(f"{host} leads to {kind}; only the operator can allow it, with allow_networks")
        return [
            ResolveResult(hostname=host, host=text, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST)
            for text in found
        ]

    async def close(self) -> None:
        pass
