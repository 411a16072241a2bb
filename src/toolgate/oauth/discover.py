"""Find out who gives tokens for a server. Every URL here was said by somebody else, so each is fetched by the guarded way out.

No redirect is followed, and a document is at most 256 KiB. Addresses that are not public are reached where the integration
allows them and its file names the origin: a server that may be in a private network may not send us around in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import SMALL, Caps, Reach, Request, Response, Sender
from toolgate.errors import EgressBlocked, UpstreamFailed
from toolgate.integration import AuthorizationCode, ClientCredentials, Integration
from toolgate.oauth.metadata import (
    Challenge,
    Protected,
    Server,
    challenge_of,
    is_issuer,
    is_safe,
    protected_of,
    resource_places,
    server_of,
    server_places,
)

SECONDS = 10.0
"""Seconds that one document may take."""


@dataclass(frozen=True, slots=True)
class Way:
    """The way out to what others name, for one integration."""

    sender: Sender
    integration: Integration

    async def send(self, request: Request, *, seconds: float, caps: Caps = SMALL) -> Response:
        """Carry `request` out. Raises as `Sender.send`."""
        origin, integration = origin_of(request.url), self.integration
        if origin in _named(integration):
            return await self.sender.send(request, reach=Reach(frozenset({origin}), integration.allow_networks), seconds=seconds, caps=caps)
        try:
            return await self.sender.send(request, reach=Reach(frozenset({origin})), seconds=seconds, caps=caps)
        except EgressBlocked as error:
            if not integration.allow_networks:
                raise
            raise EgressBlocked(f"{error}, and only where {integration.name} names {origin}: as auth.issuer, or in servers") from None


def _named(integration: Integration) -> Iterator[str]:
    """The origins in the operator's file."""
    auth = integration.auth
    issuer = auth.issuer if isinstance(auth, AuthorizationCode | ClientCredentials) else None
    yield from map(origin_of, filter(None, (integration.url, integration.base_url, issuer, *integration.servers)))


@dataclass(frozen=True, slots=True)
class Found:
    """Who gives tokens for what."""

    resource: str
    """The identifier that tokens are asked for."""
    server: Server
    scopes: tuple[str, ...] | None = None
    """What the resource wants, as far as it says; None: it does not."""


async def challenged(way: Way, url: str, *, body: bytes | None = None) -> Challenge:
    """What the resource asks of who comes with nothing. A resource that lets everybody in asks for nothing."""
    headers = (("Accept", "application/json, text/event-stream"), *((("Content-Type", "application/json"),) if body else ()))
    answer = await way.send(Request("POST" if body else "GET", url, headers, body), seconds=SECONDS)
    return challenge_of(value for name, value in answer.headers if name.lower() == "www-authenticate")


async def find(way: Way, url: str, challenge: Challenge, *, issuer: str | None = None) -> Found:
    """Who gives tokens for the resource at `url`.

    Args:
        issuer: the only one that is taken; None: whichever the resource names first.

    Raises:
        UpstreamFailed: nobody, or not `issuer`; or somebody lies.
        EgressBlocked, Unreachable: who is named is not reached.
    """
    protected = await _protected(way, url, challenge)
    if protected is None:
        # Servers before 2025-06-18 are their own authorization server, at their root.
        own = issuer or origin_of_url(url)
        return Found(url, await server(way, own), challenge.scopes)
    if issuer is not None and not any(is_issuer(named, issuer) for named in protected.servers):
        raise UpstreamFailed(f"{url} does not take tokens of {issuer}, which `auth.issuer` names; it names {', '.join(protected.servers)}")
    chosen = await server(way, issuer or protected.servers[0])
    return Found(protected.resource, chosen, challenge.scopes if challenge.scopes is not None else protected.scopes)


async def server(way: Way, issuer: str) -> Server:
    """The metadata of `issuer`.

    Raises:
        UpstreamFailed: there is none, or it is another's.
        EgressBlocked, Unreachable: it is not reached.
    """
    if not is_safe(issuer):
        raise UpstreamFailed(f"{issuer} is no https URL, and no authorization server is spoken to otherwise")
    for place in server_places(issuer):
        document = await _document(way, place)
        if document is not None:
            return server_of(document, issuer, place)
    raise UpstreamFailed(f"{issuer} has no metadata of an authorization server")


def origin_of_url(url: str) -> str:
    """`https://host` of a URL, without a port that is the scheme's own."""
    return "/".join(url.split("/", 3)[:3])


async def _protected(way: Way, url: str, challenge: Challenge) -> Protected | None:
    for place in resource_places(url, challenge):
        try:
            same = origin_of(place) == origin_of(url)
        except EgressBlocked:
            same = False
        if not same:  # RFC 9728, 3: metadata lies with the resource. Another's may name any server.
            raise UpstreamFailed(f"{url} says that its metadata is elsewhere, at {place[:200]}")
        document = await _document(way, place)
        if document is not None:
            return protected_of(document, url, place)
    return None


async def _document(way: Way, url: str) -> Any:
    """The JSON at `url`; None when there is none."""
    answer = await way.send(Request("GET", url, (("Accept", "application/json"),)), seconds=SECONDS)
    if answer.status != 200:
        if answer.status >= 500 or answer.status == 429:
            raise UpstreamFailed(f"{url} answered {answer.status}", status=answer.status)
        return None
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None
