"""What a request shows the other side to be let in: bound by the operator, unknown to callers and models.

A proof is put onto a finished request, and only onto one that goes to an origin of the integration. Values appear in
no message and no `repr`.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, quote_plus

from toolgate.calls import Principal
from toolgate.egress.origin import check_origin, origin_of
from toolgate.egress.wire import SMALL, Headers, Reach, Request, Response, Sender
from toolgate.errors import NotLinked, TimedOut, ToolgateError, Unreachable
from toolgate.integration import ApiKey, Basic, Bearer, TokenEndpoint
from toolgate.openapi.request import with_cookie, with_query

if TYPE_CHECKING:  # only who asks for a token pays for OAuth
    from toolgate.oauth.flow import Given

T = TypeVar("T")

MASK = "REDACTED"
SECRET_NAME = re.compile(r"auth|cookie|key|token|secret|passw|session|signature|credential", re.IGNORECASE)
UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
"""What no URL encodes (RFC 3986, 2.3)."""
EARLY_SECONDS = 60.0  # a token is renewed so long before its end, or a tenth of its life if that is shorter
PAUSE = 0.25  # seconds in which one who gives tokens is not asked again after a failure; as the gate's first pause before a retry
CLIENT_CREDENTIALS = {"grant_type": "client_credentials"}
SHORTEST_SECRET = 8
"""Characters; anything shorter may stand in an answer by chance."""
METHODS = {"basic": "client_secret_basic", "body": "client_secret_post"}
"""What RFC 8414 calls the ways in which the operator says that a client shows itself."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Headers, query parameters and cookies that carry a secret."""

    headers: Headers = field(default=(), repr=False)
    query: Headers = field(default=(), repr=False)
    cookies: Headers = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What of it must never come back in an answer."""

    def on(self, request: Request, origins: frozenset[str]) -> Request:
        """`request` with the proof in it. Raises EgressBlocked when it goes to none of `origins`."""
        if not (self.headers or self.query or self.cookies):
            return request  # with nothing to show it may go wherever the way out lets it
        check_origin(origin_of(request.url), Reach(origins))
        if self.headers:
            names = {name.lower() for name, _ in self.headers}
            kept = tuple(pair for pair in request.headers if pair[0].lower() not in names)
            request = replace(request, headers=(*kept, *self.headers))
        for name, value in self.query:
            request = with_query(request, name, value)
        for name, value in self.cookies:
            request = with_cookie(request, name, value)
        return request

    def masked(self) -> Proof:
        """The same, fit to be shown."""
        headers, query, cookies = (tuple((name, MASK) for name, _ in part) for part in (self.headers, self.query, self.cookies))
        return Proof(headers, query, cookies)


class Credentials(ABC):
    """Where an integration's proofs come from; for everybody the same, unless `of` says otherwise."""

    def of(self, principal: Principal) -> Credentials:
        """Those that a call of `principal` is made with."""
        return self

    @abstractmethod
    async def proof(self, seconds: float) -> Proof:
        """The proof for a request that goes out now.

        Args:
            seconds: until it must be here.

        Raises:
            NotLinked: the caller's own is needed, and there is none.
            Unreachable, UpstreamFailed: it had to be fetched and could not be.
        """

    def renew(self, refused: Proof) -> bool:
        """Hear that the other side no longer takes `refused`. True when the next proof will be another."""
        return False

    def masked(self) -> Proof:
        """What a proof looks like, fit to be shown."""
        return proof_of_token(MASK)


def proof_of(auth: ApiKey | Bearer | Basic, secret: str, *, public: Collection[str | None] = ()) -> Proof:
    """`secret` where `auth` wants it.

    Args:
        secret: the key, the token, or `username:password`.
        public: keys that limit call by their name, such as `DEMO_KEY`; they are no secrets.
    """
    match auth:
        case ApiKey():
            pair, secrets = ((auth.name, secret),), () if secret in public else (secret,)
            places = {"header": Proof(headers=pair), "query": Proof(query=pair), "cookie": Proof(cookies=pair)}
            return replace(places[auth.location], secrets=secrets)
        case Bearer():
            return proof_of_token(secret)
        case Basic():
            user, _, password = secret.partition(":")
            value = base64.b64encode(f"{user}:{password}".encode()).decode()
            return Proof(headers=(("Authorization", f"Basic {value}"),), secrets=(password, value))


@dataclass(frozen=True, slots=True)
class Fixed(Credentials):
    """A proof that never changes."""

    value: Proof = Proof()

    async def proof(self, seconds: float) -> Proof:
        return self.value

    def masked(self) -> Proof:
        return self.value.masked()


@dataclass(frozen=True, slots=True)
class Nobody(Credentials):
    """Credentials of who has none."""

    why: str

    async def proof(self, seconds: float) -> Proof:
        raise NotLinked(self.why)


class Asking:
    """One asks for all who wait, and what it fails by is their answer too: else each of them would ask a side that is ill."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: ToolgateError | None = None
        self._again = 0.0

    async def ask(self, what: Callable[[], Awaitable[T]]) -> T:
        """What `what` gives; its own error, or one of less than `PAUSE` ago. Of those who wait for this, one comes at a time."""
        if self._failed is not None and self._clock() < self._again:
            raise self._failed.with_traceback(None)
        try:
            return await what()
        except TimedOut:  # whose time was over: others may have more
            raise
        except ToolgateError as error:
            self._failed, self._again = error, self._clock() + PAUSE
            raise


class Tokens(Credentials):
    """OAuth 2 access tokens by client credentials (RFC 6749, 4.4), or by another grant.

    One is fetched for all who wait, and kept until shortly before its end.
    """

    def __init__(
        self,
        auth: TokenEndpoint,
        sender: Sender,
        reach: Reach,
        clock: Callable[[], float] = time.monotonic,
        grant: Callable[[], Mapping[str, str]] = CLIENT_CREDENTIALS.copy,
    ) -> None:
        """
        Args:
            grant: the fields of a request's form that say what the token is given for.
        """
        self._auth = auth
        self._grant = grant
        self._sender = sender
        self._reach = reach
        self._clock = clock
        self._giver = origin_of(auth.token_url) if auth.token_url else ""
        """Who gives the tokens, for messages."""
        self._fetching = asyncio.Lock()
        self._asking = Asking(clock)
        self._current: Proof | None = None
        self._until = 0.0

    async def proof(self, seconds: float) -> Proof:
        if (current := self._valid()) is not None:
            return current
        try:
            async with asyncio.timeout(seconds), self._fetching:
                if (current := self._valid()) is None:
                    current = await self._asking.ask(lambda: self._fetch(seconds))
                return current
        except (TimeoutError, TimedOut):
            raise Unreachable(f"{self._giver} gave no access token in time") from None

    def renew(self, refused: Proof) -> bool:
        if self._current is refused:
            self._current = None
        return True

    def _valid(self) -> Proof | None:
        return self._current if self._clock() < self._until else None

    async def _fetch(self, seconds: float) -> Proof:
        asked = self._clock()
        fresh = await self._get(seconds)
        self._current = proof_of_token(fresh.access)
        self._until = asked + fresh.seconds - min(EARLY_SECONDS, fresh.seconds / 10)
        return self._current

    async def _get(self, seconds: float) -> Given:
        from toolgate.oauth.flow import Client, given, token_request
        from toolgate.oauth.metadata import Server

        auth = self._auth
        assert auth.token_url is not None
        client = Client(
            auth.client_id or "", auth.client_secret.get_secret_value() if auth.client_secret else "", method=METHODS[auth.send]
        )
        form = {**self._grant()} | ({"scope": " ".join(auth.scopes)} if auth.scopes else {})
        request = token_request(Server(self._giver, auth.token_url), client, form)
        return given(await self._sender.send(request, reach=self._reach, seconds=seconds, caps=SMALL), self._giver)


def scrubbed(response: Response, secrets: Iterable[str]) -> Response:
    """`response` without the secrets that the other side repeats, in links to its next page for instance."""
    for secret in secrets:
        if len(secret) < SHORTEST_SECRET:
            continue
        for spelling in {secret} if UNRESERVED.fullmatch(secret) else {secret, quote(secret, safe=""), quote_plus(secret)}:
            if (seen := spelling.encode()) in response.body:
                response = replace(response, body=response.body.replace(seen, MASK.encode()))
            if any(spelling in value for _, value in response.headers):
                response = replace(response, headers=tuple((name, value.replace(spelling, MASK)) for name, value in response.headers))
    return response


def is_secret(name: str) -> bool:
    """Whether what the operator sends as `name` is better not shown."""
    return SECRET_NAME.search(name) is not None


def proof_of_token(token: str) -> Proof:
    """An access token where servers of OAuth want it (RFC 6750, 2.1)."""
    return Proof(headers=(("Authorization", f"Bearer {token}"),), secrets=(token,))
