"""The public keys of an issuer, fetched through the guarded way out and kept.

A token names its key by `kid`. One that we do not know may be new, or made up: so an unknown name asks the issuer again,
but never more than once in 30 s, however many such tokens come. When the issuer does not answer, the keys that we have
stay good for an hour. Addresses that a token itself offers (`jku`, `x5u`) are never followed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import jwt
import orjson

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import SMALL, Reach, Request, Sender
from toolgate.errors import EgressBlocked, NotIdentified, ToolgateError, Unreachable, UpstreamFailed
from toolgate.oauth.metadata import is_issuer
from toolgate.settings import Issuer

FRESH = 300.0  # seconds after which known keys are fetched anew; a guess between a rotation's haste and the issuer's load
STALE = 3600.0
"""Seconds since they were fetched that keys stay good while the issuer does not answer."""
AGAIN = 30.0
"""Seconds between two fetches at least."""
STEP, WHOLE = 5.0, 10.0
"""Seconds that one request, and all that are needed, may take."""
MOST = 100  # keys of one issuer; the largest seen have about ten
KINDS: Mapping[str, Mapping[str, str]] = {
    **{name: {"kty": "RSA"} for name in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")},
    "ES256": {"kty": "EC", "crv": "P-256"},
    "ES384": {"kty": "EC", "crv": "P-384"},
    "ES512": {"kty": "EC", "crv": "P-521"},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}
"""What a key must be for an algorithm, RFC 7518 (3.1) and RFC 8037: a key is never used for another than its own."""

log = logging.getLogger("toolgate.server")


class Jwks:
    """The keys of one issuer."""

    def __init__(self, issuer: Issuer, sender: Sender, ticks: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._sender = sender
        self._ticks = ticks
        self._fetching = anyio.Lock()
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._ready: dict[tuple[str | None, str], jwt.PyJWK] = {}
        self._fetched = self._asked = float("-inf")
        self._uri = issuer.jwks_uri

    async def key(self, kid: str | None, algorithm: str) -> jwt.PyJWK:
        """The key called `kid`, for `algorithm`.

        Args:
            kid: None: the token names none, which is enough where there is only one that fits.

        Raises:
            NotIdentified: the issuer has no such key.
            Unreachable: the issuer's keys are not known, and it does not answer.
        """
        if self._age() > FRESH and (self._age() > STALE or not self._fetching.locked()):
            await self._refresh()
        key = self._find(kid, algorithm)
        if key is None:
            await self._refresh()
            key = self._find(kid, algorithm)
        if self._age() > STALE:
            raise Unreachable(f"the keys of {self._issuer.issuer} cannot be fetched, so its tokens cannot be checked now")
        if key is None:
            raise NotIdentified("the token is not signed by a key of its issuer", shown=True)
        return key

    def _age(self) -> float:
        return self._ticks() - self._fetched

    def _find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        if (kid, algorithm) in self._ready:
            return self._ready[kid, algorithm]
        fitting = [key for key in self._keys if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)]
        if len(fitting) != 1:
            return None
        try:
            key = self._ready[kid, algorithm] = jwt.PyJWK(dict(fitting[0]), algorithm)
        except jwt.PyJWTError:
            return None
        return key

    async def _refresh(self) -> None:
        """Fetch the keys, unless that was tried a moment ago. One fetches for all who wait, and is not stopped by a caller that leaves."""
        async with self._fetching:
            if self._ticks() - self._asked < AGAIN:
                return
            self._asked = self._ticks()
            with anyio.move_on_after(WHOLE, shield=True):
                try:
                    keys = await self._fetch()
                except ToolgateError as error:
                    log.warning("the keys of %s cannot be fetched: %s", self._issuer.issuer, error)
                    self._uri = self._issuer.jwks_uri
                    return
                self._keys, self._ready, self._fetched = keys, {}, self._asked

    async def _fetch(self) -> tuple[Mapping[str, Any], ...]:
        if self._uri is None:
            self._uri = await self._discover()
        keys = (await json_at(self._uri, self._issuer, self._sender)).get("keys")
        if not isinstance(keys, list):
            raise UpstreamFailed("the answer has no list of keys")
        return tuple(key for key in keys[:MOST] if isinstance(key, dict))

    async def _discover(self) -> str:
        """Where the issuer says its keys are."""
        found = await metadata(self._issuer, self._sender)
        uri = found.get("jwks_uri")
        if not isinstance(uri, str):
            raise UpstreamFailed(f"the metadata of {self._issuer.issuer} names no keys")
        return protected(uri, self._issuer)


async def metadata(issuer: Issuer, sender: Sender) -> Mapping[str, Any]:
    """What an issuer says of itself. It must be its own (RFC 8414, 3.3).

    Raises:
        UpstreamFailed: it says nothing, or speaks for somebody else.
    """
    for url in metadata_urls(issuer.issuer):
        try:
            found = await json_at(url, issuer, sender)
        except UpstreamFailed:
            continue
        if not is_issuer(str(found.get("issuer")), issuer.issuer):
            raise UpstreamFailed(f"{url} is not the metadata of {issuer.issuer}")
        return found
    raise UpstreamFailed("it has no metadata at a well-known place")


def protected(url: str, issuer: Issuer) -> str:
    """`url`, which the metadata of `issuer` names.

    Raises:
        EgressBlocked: it would be reached unprotected, and the issuer itself would not.
    """
    if issuer.issuer.startswith("https:") and not url.startswith("https:"):
        raise EgressBlocked(f"{issuer.issuer} names {url}, which would be fetched unprotected")
    return url


async def json_at(url: str, issuer: Issuer, sender: Sender, request: Request | None = None) -> Mapping[str, Any]:
    """The JSON object that is answered there.

    Args:
        request: what to send instead of a GET of `url`.
    """
    asked = request or Request("GET", url, (("Accept", "application/json"),))
    reach = Reach(frozenset({origin_of(url)}), issuer.allow_networks)
    response = await sender.send(asked, reach=reach, seconds=STEP, caps=SMALL)
    try:
        value = orjson.loads(response.body) if response.status == 200 else None
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise UpstreamFailed(f"{url} answered {response.status} and no JSON object", status=response.status)
    return value


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be: OpenID Connect Discovery 1.0 (4), then RFC 8414 (3.1)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    return (
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{path}",
    )


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    operations = key.get("key_ops")
    return (
        all(key.get(name) == value for name, value in KINDS[algorithm].items())
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and (not isinstance(operations, list) or "verify" in operations)
    )
