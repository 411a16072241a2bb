"""Connections to checked addresses, on aiohttp's connector.

The name is looked up once, every address of the answer is checked, and the connection is made to those very addresses;
Host header and TLS still carry the name. A pool serves one set of allowed networks: what one integration may reach is
never handed, as a cached address or an idle connection, to another that may not.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from ssl import SSLContext
from weakref import WeakSet

from aiohttp import ClientConnectorCertificateError, ClientConnectorDNSError, ClientError, ClientRequest, ClientTimeout, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from toolgate.egress.address import Network, why_blocked
from toolgate.egress.exchange import Exchange, drop
from toolgate.egress.origin import Place
from toolgate.egress.wire import Caps
from toolgate.errors import EgressBlocked, Unreachable

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""A host name to its addresses, as text. Raises OSError when there are none."""

CONNECTIONS = 1024
CONNECTIONS_AN_ORIGIN = 128  # so that one slow API cannot take all
NO_TIMEOUT = ClientTimeout()  # the caller's deadline covers everything


async def look_up(host: str) -> list[str]:
    """The addresses that the machine's resolver knows for `host`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Pool:
    """Keep-alive connections of all requests that have the same networks allowed."""

    def __init__(self, networks: frozenset[Network], resolver: Resolver, tls: SSLContext | None) -> None:
        self._networks = networks
        self._connector = TCPConnector(
            resolver=Checked(resolver, networks), ssl=tls or True, limit=CONNECTIONS, limit_per_host=CONNECTIONS_AN_ORIGIN
        )
        self._dials: dict[Place, ClientRequest] = {}
        self._used: WeakSet[ResponseHandler] = WeakSet()

    def exchange(self, method: str, place: Place, wire: bytes, caps: Caps) -> Exchange:
        """The request whose bytes are `wire`, ready to be sent to `place`."""
        return Exchange(method, place, wire, self, caps)

    async def connect(self, place: Place) -> tuple[Connection, bool]:
        """An idle or new connection, ready for a request, and whether it was used before.

        Raises:
            EgressBlocked: an address of the host is neither public nor allowed.
            Unreachable: no connection could be made.
        """
        dial = self._dials.get(place) or self._dial(place)
        while True:
            connection = await self._connect(dial, place)
            protocol = connection.protocol
            assert protocol is not None
            used = protocol in self._used
            if used and protocol.should_close:  # it said something while nobody had asked
                drop(connection)
                continue
            self._used.add(protocol)
            return connection, used

    async def close(self) -> None:
        await self._connector.close()

    def _dial(self, place: Place) -> ClientRequest:
        """What the connector wants to know of `place`; made once, for places that are allowed."""
        if place.address is not None and (kind := why_blocked(place.address, self._networks)):
            raise EgressBlocked(f"{place.origin} is {kind}; only the operator can allow it, with allow_networks")
        dial = ClientRequest("GET", URL(place.origin), loop=asyncio.get_running_loop())
        self._dials[place] = dial
        return dial

    async def _connect(self, dial: ClientRequest, place: Place) -> Connection:
        try:
            return await self._connector.connect(dial, [], NO_TIMEOUT)
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
