"""Find out who gives tokens for a server. Every URL here was said by somebody else, so each is fetched by the guarded way out.

No redirect is followed, no address that is not public is reached unless the integration allows it, and a document is at
most 256 KiB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import orjson

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Caps, Reach, Request, Response, Sender
from toolgate.errors import EgressBlocked, UpstreamFailed
from toolgate.oauth.metadata import (
    Challenge,
    Protected,
    Server,
    challenge_of,
    is_safe,
    protected_of,
    resource_places,
    server_of,
    server_places,
)

CAPS = Caps(received=256 * 1024, decoded=256 * 1024)
SECONDS = 10.0
"""Seconds that one document may take."""
Networks = Sequence[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True)
class Found:
    """Who gives tokens for what."""

    resource: str
    """The identifier that tokens are asked for."""
    server: Server
    scopes: tuple[str, ...] | None = None
    """What the resource wants, as far as it says; None: it does not."""


async def challenged(sender: Sender, url: str, networks: Networks, *, body: bytes | None = None) -> Challenge:
    """What the resource asks of who comes with nothing. A resource that lets everybody in asks for nothing."""
    headers = (("Accept", "application/json, text/event-stream"), *((("Content-Type", "application/json"),) if body else ()))
    answer = await _send(sender, Request("POST" if body else "GET", url, headers, body), networks)
    return challenge_of(value for name, value in answer.headers if name.lower() == "www-authenticate")


async def find(sender: Sender, url: str, networks: Networks, challenge: Challenge, *, issuer: str | None = None) -> Found:
    """Who gives tokens for the resource at `url`.

    Args:
        issuer: the only one that is taken; None: whichever the resource names first.

    Raises:
        UpstreamFailed: nobody, or not `issuer`; or somebody lies.
        EgressBlocked, Unreachable: who is named is not reached.
    """
    protected = await _protected(sender, url, networks, challenge)
    if protected is None:
        # Servers before 2025-06-18 are their own authorization server, at their root.
        own = issuer or origin_of_url(url)
        return Found(url, await server(sender, own, networks), challenge.scopes)
    if issuer is not None and issuer not in protected.servers:
        raise UpstreamFailed(f"{url} does not take tokens of {issuer}, which `auth.issuer` names; it names {', '.join(protected.servers)}")
    chosen = await server(sender, issuer or protected.servers[0], networks)
    return Found(protected.resource, chosen, challenge.scopes if challenge.scopes is not None else protected.scopes)


async def server(sender: Sender, issuer: str, networks: Networks) -> Server:
    """The metadata of `issuer`.

    Raises:
        UpstreamFailed: there is none, or it is another's.
        EgressBlocked, Unreachable: it is not reached.
    """
    if not is_safe(issuer):
        raise UpstreamFailed(f"{issuer} is no https URL, and no authorization server is spoken to otherwise")
    for place in server_places(issuer):
        document = await _document(sender, place, networks)
        if document is not None:
            return server_of(document, issuer, place)
    raise UpstreamFailed(f"{issuer} has no metadata of an authorization server")


def origin_of_url(url: str) -> str:
    """`https://host` of a URL, without a port that is the scheme's own."""
    return "/".join(url.split("/", 3)[:3])


async def _protected(sender: Sender, url: str, networks: Networks, challenge: Challenge) -> Protected | None:
    for place in resource_places(url, challenge):
        try:
            same = origin_of(place) == origin_of(url)
        except EgressBlocked:
            same = False
        if not same:  # RFC 9728, 3: metadata lies with the resource. Another's may name any server.
            raise UpstreamFailed(f"{url} says that its metadata is elsewhere, at {place[:200]}")
        document = await _document(sender, place, networks)
        if document is not None:
            return protected_of(document, url, place)
    return None


async def _document(sender: Sender, url: str, networks: Networks) -> Any:
    """The JSON at `url`; None when there is none."""
    answer = await _send(sender, Request("GET", url, (("Accept", "application/json"),)), networks)
    if answer.status != 200:
        if answer.status >= 500 or answer.status == 429:
            raise UpstreamFailed(f"{url} answered {answer.status}", status=answer.status)
        return None
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return None


async def _send(sender: Sender, request: Request, networks: Networks) -> Response:
    reach = Reach(frozenset({origin_of(request.url)}), tuple(networks))
    return await sender.send(request, reach=reach, seconds=SECONDS, caps=CAPS)
