"""Access tokens of the issuers that the operator trusts: JWTs, checked here, without asking the issuer about each.

What is asked of a token, in this order, the cheap first: that it is small and has the form; that a trusted issuer is said
to have made it, of a type and by an algorithm that the operator allows for that issuer; that a key of the issuer signed
it; that it is meant for us and not for another server; that it is its time. Only then is anything in it believed.

Checking a signature takes 50 to 300 µs, so whom a token was taken for is kept for a minute, or until it expires. The
token itself is not kept, but for token exchange, and then only by `Subjects`.
"""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import jwt
import orjson

from toolgate.calls import AGENT, Principal
from toolgate.documents import deeper_than
from toolgate.egress.wire import Sender
from toolgate.errors import Misconfigured, NotIdentified
from toolgate.oauth.metadata import bare, spellings
from toolgate.openapi.exchange import Subjects
from toolgate.server.identify import digest
from toolgate.server.jwks import Jwks
from toolgate.settings import Issuer

KEPT_SECONDS = 60.0
KEPT = 4096  # tokens; a principal takes about 1 kB
LEEWAY = 10.0  # seconds that the issuer's clock may differ from ours
DEEPEST = 16  # levels of a token's JSON; real ones have about four
LONGEST = 256
"""Characters of an id, a role, a tier, a tenant."""
OURS = {"local": "people at this machine", AGENT.rstrip(":"): "agents of callers"}
"""What stands before ids that are none of an issuer's users."""
FORM = re.compile(r"([\w-]+)\.([\w-]+)\.[\w-]*", re.ASCII)
OPTIONS = {
    # Times are held against our own clock below: PyJWT's cannot be given one.
    **{f"verify_{name}": False for name in ("exp", "nbf", "iat")},
    "require": ["exp", "iss", "aud"],
    "enforce_minimum_key_length": True,
}


class Tokens:
    """Who shows which token."""

    def __init__(
        self,
        issuers: Sequence[Issuer],
        sender: Sender,
        subjects: Subjects | None = None,
        *,
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            sender: the guarded way out, for the issuers' keys.
            subjects: keeps tokens for the exchange; None: no integration exchanges any.
            clock: seconds since 1970.

        Raises:
            Misconfigured: two issuers, or their users, cannot be told apart.
        """
        self._issuers = {bare(issuer.issuer): (issuer, name, Jwks(issuer, sender, ticks)) for name, issuer in _named(issuers).items()}
        self._subjects = subjects
        self._clock = clock
        self._kept: dict[str, _Known] = {}

    async def principal(self, token: str, mark: str | None = None) -> Principal:
        """Who shows `token`.

        Args:
            mark: its digest, from who knows it.

        Raises:
            NotIdentified: the token is not for us, not now, or not genuine; the message says which.
            Unreachable: the issuer's keys are not known and it does not answer.
        """
        mark = mark or digest(token)
        known = self._kept.get(mark)
        if known is None or known.until <= self._clock():
            known = self._keep(mark, await self._checked(token, mark))
        if self._subjects is not None:
            self._subjects.keep(mark, token, until=known.expires)
        return known.principal

    async def _checked(self, token: str, mark: str) -> _Known:
        header, payload = _peek(token)
        issuer, name, jwks = self._issuers.get(bare(_text(payload.get("iss"))), (None, "", None))
        if issuer is None or jwks is None:
            raise refused("it was issued by somebody whom this server does not trust")
        algorithm = header.get("alg")
        if algorithm not in issuer.algorithms:
            raise refused("it is signed in a way that is not allowed for its issuer")
        if _type(header) not in {kind.lower() for kind in issuer.types}:
            raise refused(f"it is not an access token: the `typ` in its header must be {' or '.join(issuer.types)}")
        kid = header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise refused("it does not have the form of a token")
        claims = _verified(token, await jwks.key(kid, algorithm), issuer)
        _in_time(claims, self._clock())
        principal = _principal(claims, issuer, name, mark if self._subjects is not None else None)
        return _Known(principal, claims["exp"], min(claims["exp"], self._clock() + KEPT_SECONDS))

    def _keep(self, mark: str, known: _Known) -> _Known:
        self._kept.pop(mark, None)
        while len(self._kept) >= KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[mark] = known
        return known


@dataclass(frozen=True, slots=True)
class _Known:
    """Whom a token was taken for. Times are seconds since 1970."""

    principal: Principal
    expires: float
    """When the token does."""
    until: float
    """When it has to be checked again."""


def refused(why: str, *, expired: bool = False) -> NotIdentified:
    return NotIdentified(f"the token is not taken: {why}", shown=True, expired=expired)


def _named(issuers: Sequence[Issuer]) -> Mapping[str, Issuer]:
    """Issuers by what stands before their users' ids."""
    named: dict[str, Issuer] = {}
    for issuer in issuers:
        name = issuer.name or urlsplit(issuer.issuer).hostname or ""
        if not name:
            raise Misconfigured(f"identity.issuers: {issuer.issuer} is not a URL with a host")
        if name in OURS:
            raise Misconfigured(f"identity.issuers: {name}:… are {OURS[name]}; give {issuer.issuer} another `name`")
        if name in named or bare(issuer.issuer) in {bare(other.issuer) for other in named.values()}:
            raise Misconfigured(f"identity.issuers: the users of two issuers would both be called {name}:…; give each issuer a `name`")
        named[name] = issuer
    return named


def _peek(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The header and the payload that `token` says it has; nothing in them is to be believed yet."""
    match = FORM.fullmatch(token)
    header, payload = map(_object, match.groups()) if match else (None, None)
    if header is None or payload is None:
        raise refused("it does not have the form of a token")
    return header, payload


def _object(part: str) -> Mapping[str, Any] | None:
    """The JSON object in a part of a token; None when it is something else. PyJWT's own parser can be exhausted by nesting."""
    try:
        value = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:  # neither base64 nor JSON
        return None
    return value if isinstance(value, dict) and not deeper_than(value, DEEPEST) else None


def _type(header: Mapping[str, Any]) -> str:
    """RFC 7515, 4.1.9: without regard to case, and `application/` may be left out. Okta leaves out all of it."""
    return _text(header.get("typ", "jwt")).lower().removeprefix("application/")


def _verified(token: str, key: jwt.PyJWK, issuer: Issuer) -> Mapping[str, Any]:
    try:
        return jwt.decode(
            token,
            key.key,
            algorithms=[key.algorithm_name],
            audience=[each for audience in issuer.audience for each in spellings(audience)],
            issuer=spellings(issuer.issuer),
            options=OPTIONS,  # type: ignore[arg-type]
        )
    except jwt.InvalidAudienceError:
        raise refused("it was issued for another server (`aud`)") from None
    except jwt.MissingRequiredClaimError as error:
        raise refused(f"it lacks the claim {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise refused("it is not genuine, or does not have the form of a token") from None


def _in_time(claims: Mapping[str, Any], now: float) -> None:
    times = {name: claims[name] for name in ("exp", "nbf", "iat") if name in claims}
    if any(isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at) for at in times.values()):
        raise refused("its times are not numbers")
    if times["exp"] <= now:
        raise refused("it has expired; ask its issuer for a new one", expired=True)
    if max(times.get("nbf", now), times.get("iat", now)) > now + LEEWAY:
        raise refused("its time has not come yet")


def _principal(claims: Mapping[str, Any], issuer: Issuer, name: str, subject: str | None) -> Principal:
    wanted, everyone = issuer.claims, issuer.everyone
    user = _name(_claim(claims, wanted.id), wanted.id)
    said = _claim(claims, wanted.roles) if wanted.roles else None
    # Zitadel and IBM Verify have an object whose names are the roles.
    values = [said] if isinstance(said, str) else list(said) if isinstance(said, list | dict) else []
    roles = {role: None for value in values if isinstance(value, str) for role in issuer.roles.get(value, ())}
    tier = _claim(claims, wanted.tier) if wanted.tier else None
    return Principal(
        id=f"{name}:{user}",
        roles=tuple(roles) or everyone.roles,
        tier=everyone.tier if tier is None else _name(tier, wanted.tier or ""),
        tenant=_name(_claim(claims, wanted.tenant), wanted.tenant) if wanted.tenant else everyone.tenant,
        via="token",
        scopes=_scopes(claims) if issuer.scoped else None,
        credential=issuer.issuer,
        subject=subject,
    )


def _claim(claims: Mapping[str, Any], name: str) -> Any:
    """The claim `name`; or, where there is none, what its parts lead to: Keycloak's `realm_access.roles`. A part may have dots itself,
    as names of Keycloak's clients do that are URLs."""
    if name in claims:
        return claims[name]
    for dot in re.finditer(r"\.", name):
        below = claims.get(name[: dot.start()])
        if isinstance(below, Mapping) and (found := _claim(below, name[dot.end() :])) is not None:
            return found
    return None


def _name(value: Any, claim: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable():
        raise refused(f"its claim {claim} is not a name")
    return value


def _scopes(claims: Mapping[str, Any]) -> frozenset[str]:
    """RFC 9068 (2.2.3) has them in `scope`, with spaces between; some issuers in `scp`, or as a list."""
    said = claims.get("scope", claims.get("scp"))
    words = said.split(" ") if isinstance(said, str) else said if isinstance(said, list) else []
    return frozenset(word for word in words if isinstance(word, str) and word)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
