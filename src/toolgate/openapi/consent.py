"""Get somebody's consent to act for them at a server: find who gives tokens, say who we are, send them there, take what they bring.

Who we are at an issuer, the first of these that works (2026-07-28, basic/authorization/client-registration): what the operator
registered, our own document at a URL (CIMD), what we registered ourselves before, and registering ourselves (RFC 7591).
Each is kept under the issuer and shown to no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from toolgate.egress.wire import Sender
from toolgate.errors import Misconfigured, UpstreamFailed
from toolgate.integration import AuthorizationCode, Integration
from toolgate.oauth.discover import Found, Way, challenged, find
from toolgate.oauth.discover import server as metadata
from toolgate.oauth.flow import Client, Started, code_form, code_in, given, registered, registration, start, token_request, wanted_scopes
from toolgate.oauth.metadata import Server
from toolgate.openapi.granted import SHARED, Grant, client_of, grant_of
from toolgate.openapi.links import Holder, Links

SECONDS = 15.0
"""Seconds that one answer of an authorization server may take."""
CLIENTS = "oauth-client"
"""The kind of the records in which we keep who we are, by issuer."""
ASKING = orjson.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"})
"""Something to ask a server of MCP, so that it says what it wants to see."""


@dataclass(frozen=True)
class Consent:
    """How consents are come by.

    Args:
        links: where grants are kept.
        clients: where it is kept who we are.
        document: the URL of our own document; None: there is none that others can read.
    """

    sender: Sender
    links: Links
    clients: Links
    document: str | None = None
    clock: Callable[[], float] = time.time

    async def begin(self, integration: Integration, holder: Holder, redirect: str, scopes: Sequence[str] = ()) -> Started:
        """What to send `holder` to.

        Args:
            redirect: where they come back to.
            scopes: to ask for besides those they granted before and what the integration says.

        Raises:
            Misconfigured: the integration takes no consent.
            UpstreamFailed, EgressBlocked, Unreachable: there is nobody to give it, or somebody who cannot be trusted.
        """
        auth = integration.auth
        if not isinstance(auth, AuthorizationCode):
            raise Misconfigured(f"{integration.name} is not let in by consent; `auth: {{type: oauth2_authorization_code}}` would say so")
        found = await self._found(integration, auth)
        client = await self._client(integration, auth, found.server, redirect)
        asked = (*auth.scopes, *scopes)
        if scopes and (before := grant_of(await self.links.secret(holder, fresh=True) or "")) is not None:
            asked = (*before.scopes, *asked)
        wanted = tuple(dict.fromkeys(wanted_scopes(asked, found.scopes, found.server)))
        return start(found.server, client, redirect, found.resource or None, wanted)

    async def finish(self, integration: Integration, holder: Holder, started: Started, query: str) -> Grant:
        """Keep what `holder` brought back.

        Args:
            query: of the URL that they came back to.

        Raises:
            UpstreamFailed: it is nothing, not theirs, or not from where they were sent.
        """
        server = started.server
        request = token_request(server, started.client, code_form(started, code_in(started, query)))
        fresh = given(await Way(self.sender, integration).send(request, seconds=SECONDS), server.issuer)
        auth = integration.auth
        ours = client_of(auth) if isinstance(auth, AuthorizationCode) else None
        grant = Grant(
            issuer=server.issuer,
            token_endpoint=server.token_endpoint,
            methods=server.methods,
            client=started.client if ours is None else replace(started.client, secret=None, key=None),
            url=integration.resource,
            resource=started.resource,
            access=fresh.access,
            until=self.clock() + fresh.seconds,
            refresh=fresh.refresh,
            scopes=started.scopes if fresh.scopes is None else fresh.scopes,
        )
        await self.links.set(holder, grant.text())
        return grant

    async def _found(self, integration: Integration, auth: AuthorizationCode) -> Found:
        way = Way(self.sender, integration)
        if integration.kind == "mcp" and integration.url:
            challenge = await challenged(way, integration.url, body=ASKING)
            found = await find(way, integration.url, challenge, issuer=auth.issuer)
            return replace(found, resource=auth.resource or found.resource)
        assert auth.issuer is not None
        return Found(auth.resource or "", await metadata(way, auth.issuer))

    async def _client(self, integration: Integration, auth: AuthorizationCode, server: Server, redirect: str) -> Client:
        if (ours := client_of(auth)) is not None:
            return ours
        if self.document is not None and server.takes_documents:
            return Client(self.document)
        place = Holder(server.issuer, redirect, integration.name)
        if (kept := await self.clients.secret(place, fresh=True)) is not None:
            return Client(**orjson.loads(kept))
        if server.registration_endpoint is None:
            way = "reads our own document where `identity.client` says its URL" if server.takes_documents else "takes only clients it knows"
            raise UpstreamFailed(f"{server.issuer} {way}; register Toolgate there and set `auth.client_id` and `auth.issuer`")
        asked = registration(server, [redirect], auth.scopes)
        client = registered(await Way(self.sender, integration).send(asked, seconds=SECONDS), server)
        await self.clients.set(place, orjson.dumps(asdict(client)).decode())
        return client


def holder_of(integration: Integration, tenant: str, user: str, *, shared: bool) -> Holder:
    """Whose grant it is: everybody's where the integration has no other."""
    alone = isinstance(integration.auth, AuthorizationCode) and integration.auth.per_user and not shared
    return Holder(tenant, user, integration.name) if alone else Holder(SHARED, SHARED, integration.name)
