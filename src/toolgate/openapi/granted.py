"""Tokens of OAuth that an authorization server gives us: by somebody's consent, or for what we are ourselves.

A grant belongs to whoever consented, to one integration, to one resource and to one issuer, and is sealed with all of them
in it. It is refreshed at the issuer that gave it and shown to the resource that it is for; when an integration's URL, or who
gives tokens for it, has become another, the grant is of no use any more, and nobody is shown it. Refresh tokens that are
rotated are written down before the new access token is used, and shown by one process at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from shlex import quote
from typing import Any

import anyio
import orjson

from toolgate.calls import Principal
from toolgate.egress.wire import Reach, Sender
from toolgate.errors import NotLinked, TimedOut, Unreachable, UpstreamFailed
from toolgate.integration import AuthorizationCode, ClientCredentials, Integration
from toolgate.oauth.discover import Way
from toolgate.oauth.discover import server as metadata
from toolgate.oauth.flow import Client, Given, given, token_request
from toolgate.oauth.metadata import Challenge, Server, is_issuer, takes_resource
from toolgate.openapi.credentials import EARLY_SECONDS, METHODS, Asking, Credentials, Fixed, Nobody, Proof, Tokens, proof_of_token
from toolgate.openapi.links import Holder, Links

MOST = 4096
"""Holders whose grants are kept open."""
SHARED = ""
"""The user and tenant of a grant that is everybody's."""
REFRESH, TURN = 15.0, 30.0
"""Seconds that a refresh may take, and after which another process gets a turn should one die in the middle of it."""
SHORTEST = 10.0
"""Seconds that a refreshed token is used for at least, whatever its server says: or each call would refresh it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What was given, by whom, for what."""

    issuer: str
    token_endpoint: str
    methods: tuple[str, ...]
    client: Client
    """Without the secrets that stand in the operator's file."""
    url: str | None
    """Of the integration: what it was meant for."""
    resource: str | None
    """What the token was asked for."""
    access: str = field(repr=False)
    until: float
    """Seconds since 1970."""
    refresh: str | None = field(repr=False)
    scopes: tuple[str, ...]

    @property
    def server(self) -> Server:
        return Server(self.issuer, self.token_endpoint, methods=self.methods)

    def renewed(self, fresh: Given, now: float) -> Grant:
        """With what a refresh gave. RFC 6749, 6: a refresh token that is not replaced stays good."""
        scopes = self.scopes if fresh.scopes is None else fresh.scopes
        return replace(self, access=fresh.access, until=now + fresh.seconds, refresh=fresh.refresh or self.refresh, scopes=scopes)

    def text(self) -> str:
        return orjson.dumps(asdict(self)).decode()


def grant_of(text: str) -> Grant | None:
    """What `Grant.text` made; None for anything else, such as a key that was linked when the integration took one."""
    try:
        said: Mapping[str, Any] = orjson.loads(text)
        client = Client(**said["client"])
        return Grant(**{**said, "client": client, "methods": tuple(said["methods"]), "scopes": tuple(said["scopes"])})
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None


def client_of(auth: AuthorizationCode | ClientCredentials) -> Client | None:
    """Who the operator says we are at `auth.issuer`; None: the operator does not say."""
    if auth.client_id is None:
        return None
    secret, key = (value.get_secret_value() if value else None for value in (auth.client_secret, auth.private_key))
    method = METHODS[auth.send] if isinstance(auth, ClientCredentials) and "send" in auth.model_fields_set and not key else None
    return Client(auth.client_id, secret, key, auth.algorithm, method)


class Issued(Tokens):
    """Tokens by client credentials, of an issuer that says itself where they are given (RFC 8414)."""

    def __init__(self, integration: Integration, auth: ClientCredentials, sender: Sender) -> None:
        super().__init__(auth, sender, Reach(frozenset()))
        assert auth.issuer is not None
        client = client_of(auth)
        assert client is not None
        self._giver = auth.issuer
        self._client = client
        self._way = Way(sender, integration)
        self._resource = integration.resource
        self._scopes = auth.scopes
        self._server: Server | None = None

    async def _get(self, seconds: float) -> Given:
        server = self._server or await metadata(self._way, self._giver)
        form = {
            "grant_type": "client_credentials",
            **({"scope": " ".join(self._scopes)} if self._scopes else {}),
            **({"resource": self._resource} if self._resource and takes_resource(self._giver) else {}),
        }
        request = token_request(server, self._client, form)
        self._server = None  # what does not work is looked up anew
        fresh = given(await self._way.send(request, seconds=seconds), self._giver)
        self._server = server
        return fresh


class Granted(Credentials):
    """What was granted for one integration: everybody's, or each caller's own."""

    def __init__(self, integration: Integration, sender: Sender, links: Links | None, clock: Callable[[], float] = time.time) -> None:
        assert isinstance(integration.auth, AuthorizationCode)
        self._name = integration.name
        self._per_user = integration.auth.per_user
        auth = integration.auth
        self._held = None if links is None else lru_cache(MOST)(lambda holder: _Held(integration, auth, sender, links, holder, clock))
        self.shared: Credentials = self._held(Holder(SHARED, SHARED, self._name)) if self._held else Fixed(Proof())
        """What the operator linked, for all; where callers have their own, for the lists that nobody in particular asks for."""

    def of(self, principal: Principal) -> Credentials:
        if not self._per_user:
            return self.shared
        if self._held is None or principal.id == "anonymous":
            return Nobody(f"{self._name} is called with the caller's own consent, and a caller without a name cannot give one")
        return self._held(Holder.of(principal, self._name))

    async def proof(self, seconds: float) -> Proof:
        return await self.shared.proof(seconds)

    def renew(self, refused: Proof) -> bool:
        return self.shared.renew(refused)


@dataclass(eq=False, repr=False)
class _Held(Credentials):
    """The grant of one holder."""

    integration: Integration
    auth: AuthorizationCode
    sender: Sender
    links: Links
    holder: Holder
    clock: Callable[[], float]
    _refreshing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _asking: Asking = field(default_factory=Asking)
    _text: str | None = None
    _grant: Grant | None = None
    _proof: Proof = field(default_factory=Proof)
    _refused: str | None = None

    async def proof(self, seconds: float) -> Proof:
        grant = await self._current()
        if self._is_good(grant):
            return self._proof
        try:
            async with asyncio.timeout(seconds), self._refreshing:
                await self._asking.ask(self._renewed)
                return self._proof
        except (TimeoutError, TimedOut):
            raise Unreachable(f"{grant.issuer} refreshed no token in time") from None

    async def _renewed(self) -> None:
        """A refresh token that is rotated is good once, and is taken for stolen when it is shown again (RFC 9700, 4.14.2)."""
        if self._is_good(await self._current(fresh=True)):
            return
        async with self.links.turn(self.holder, TURN):
            grant = await self._current(fresh=True)  # another process may have been first
            if not self._is_good(grant):
                # A caller who leaves now must not take the next refresh token along, which only the answer holds.
                with anyio.CancelScope(shield=True):
                    await self._refresh(grant, REFRESH)

    def renew(self, refused: Proof) -> bool:
        if refused is self._proof and self._grant is not None:
            self._refused = self._grant.access
        return self._grant is not None and self._grant.refresh is not None

    def lacking(self, scopes: tuple[str, ...]) -> NotLinked:
        """What to say where the grant does not reach: the other side wants `scopes`."""
        had = self._grant.scopes if self._grant else ()
        wanted = " ".join(dict.fromkeys((*had, *scopes)))
        said = f"{self.integration.name} wants more than it was granted for this; `{self._command} --scope {quote(wanted)}` asks for that"
        by_http = "" if self.holder.user == SHARED else f", and so does {self._by_http} with `scopes`: {orjson.dumps(scopes).decode()}"
        return NotLinked(said + by_http)

    @property
    def _command(self) -> str:
        whose = "" if self.holder.user == SHARED else f" --user {quote(self.holder.user)}"
        return f"toolgate credentials link {self.integration.name}{whose}"

    @property
    def _by_http(self) -> str:
        return f"POST /v1/credentials/{self.integration.name}/link"

    def _is_good(self, grant: Grant) -> bool:
        return grant.access != self._refused and self.clock() < grant.until - EARLY_SECONDS / 6

    async def _current(self, *, fresh: bool = False) -> Grant:
        text = await self.links.secret(self.holder, fresh=fresh)
        if text != self._text or self._grant is None:
            self._take(text, grant_of(text) if text is not None else None)
        who = self.holder.user or "the operator"
        if self._grant is None:
            raise NotLinked(f"{who} has not let Toolgate into {self.integration.name}; on the server's machine `{self._command}` does")
        if self._grant.url != self.integration.resource or not self._is_of(self._grant):
            raise NotLinked(f"{self.integration.name} is another by now than {who} let Toolgate into; `{self._command}` does it anew")
        return self._grant

    def _take(self, text: str | None, grant: Grant | None) -> None:
        self._text, self._grant = text, grant
        self._proof = proof_of_token(grant.access) if grant else Proof()

    async def _refresh(self, grant: Grant, seconds: float) -> None:
        if grant.refresh is None:
            raise NotLinked(f"what was granted for {self.integration.name} has ended; `{self._command}` grants it anew")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": grant.refresh,
            **({"resource": grant.resource} if grant.resource else {}),
        }
        request = token_request(grant.server, self._client(grant), form)
        answer = await Way(self.sender, self.integration).send(request, seconds=seconds)
        try:
            fresh = given(answer, grant.issuer)
        except UpstreamFailed as error:
            if error.status in (400, 401):
                raise NotLinked(f"{error}; `{self._command}` grants it anew") from None
            raise
        renewed = grant.renewed(replace(fresh, seconds=max(fresh.seconds, SHORTEST + EARLY_SECONDS / 6)), self.clock())
        if self._text is None or not await self.links.replace(self.holder, self._text, renewed.text()):
            await self._current(fresh=True)  # it was linked anew meanwhile, or is not any more, and stays so
            return
        self._take(renewed.text(), renewed)

    def _client(self, grant: Grant) -> Client:
        """Who we are at the grant's issuer: what the operator says, where it is about that very client."""
        ours = client_of(self.auth)
        return ours if ours is not None and ours.id == grant.client.id and self._is_of(grant) else grant.client

    def _is_of(self, grant: Grant) -> bool:
        """Whether `grant` is of the issuer that the operator wants."""
        return self.auth.issuer is None or is_issuer(grant.issuer, self.auth.issuer)


def for_nobody(credentials: Credentials, integration: Integration) -> Credentials:
    """What is shown where no caller is asking, for the lists of a server for instance."""
    if isinstance(credentials, Granted):
        return _IfThere(credentials.shared)
    return Fixed(Proof()) if integration.per_user else credentials


def lacking(credentials: Credentials, challenge: Challenge) -> NotLinked | None:
    """What to say of a 403 where more scopes would help (RFC 6750, 3.1); None: they would not, or nobody was asked for any."""
    if challenge.error != "insufficient_scope" or not challenge.scopes:
        return None
    held = credentials.credentials if isinstance(credentials, _IfThere) else credentials
    return held.lacking(challenge.scopes) if isinstance(held, _Held) else None


@dataclass(frozen=True, slots=True)
class _IfThere(Credentials):
    """Credentials, or nothing where there are none: some servers tell everybody what they offer."""

    credentials: Credentials

    async def proof(self, seconds: float) -> Proof:
        try:
            return await self.credentials.proof(seconds)
        except NotLinked:
            return Proof()

    def renew(self, refused: Proof) -> bool:
        return self.credentials.renew(refused)
