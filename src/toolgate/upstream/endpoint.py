"""One MCP endpoint over HTTP, reached by the guarded way out: requests go out whole, answers come back message by message."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from itertools import count

from toolgate.calls import Principal
from toolgate.egress.origin import origin_of, spelled
from toolgate.egress.transport import Transport
from toolgate.egress.wire import CAPS, Caps, Headers, Reach, Request, Response, first
from toolgate.errors import EgressBlocked, Misconfigured, UpstreamFailed
from toolgate.integration import Integration
from toolgate.oauth.metadata import Challenge, challenge_of
from toolgate.openapi.credentials import Credentials, Proof, scrubbed
from toolgate.openapi.granted import for_nobody, lacking
from toolgate.times import retry_after
from toolgate.upstream.events import Event, events
from toolgate.upstream.messages import MAX_MESSAGE

ENDLESS = Caps(received=1 << 62, decoded=1 << 62)
"""For streams that last: each event has its own bound."""
PROOF_SECONDS = 30.0  # that fetching a token may take; the call's own deadline is nearer as a rule
BOTH = ("Accept", "application/json, text/event-stream")
JSON_BODY = ("Content-Type", "application/json")


@dataclass(slots=True)
class Reply:
    """What a server answered: a stream of events, or all that it had to say."""

    status: int
    headers: Headers
    events: AsyncIterator[Event] | None = None
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        return first(self.headers, name)


class Endpoint:
    """Where a server is and what it is shown. A request belongs to the caller whose credentials it carries."""

    def __init__(self, integration: Integration, transport: Transport, credentials: Credentials) -> None:
        """
        Raises:
            Misconfigured: the URL is none.
        """
        assert integration.url is not None
        try:
            self.url = spelled(integration.url)
            self._reach = Reach(frozenset({origin_of(integration.url)}), integration.allow_networks)
        except EgressBlocked as error:
            raise Misconfigured(f"{integration.name}: url does not work: {error}") from None
        self.who = integration.name
        self.ids = count(1)
        """Of requests, whoever makes them: a call that is made again must not have the id of the first (patterns/mrtr)."""
        self._transport = transport
        self._everybodys = credentials
        self._credentials: Credentials = for_nobody(credentials, integration)
        self._headers: Headers = integration.sent

    def of(self, principal: Principal) -> Endpoint:
        """The same, with what `principal` shows it."""
        mine = self._everybodys.of(principal)
        if mine is self._credentials:
            return self
        other = Endpoint.__new__(Endpoint)
        other.__dict__ = {**self.__dict__, "_credentials": mine}
        return other

    async def exchange(
        self,
        method: str,
        headers: Mapping[str, str],
        body: bytes | None,
        take: Callable[[Reply], Awaitable[None]],
        *,
        url: str | None = None,
        endless: bool = False,
    ) -> None:
        """Send a request and have `take` read the reply. When it returns, or is cancelled, so is the request.

        Args:
            url: of the same origin; the endpoint's own where it is not given.
            endless: the reply is a stream without an end.

        Raises:
            Failed, EgressBlocked: as the guarded way out does.
        """
        every = (*self._headers, *headers.items(), *((JSON_BODY,) if body is not None else ()))
        request = Request(method, url or self.url, every, body)
        for last in (False, True):
            proof = await self._credentials.proof(PROOF_SECONDS)
            sent = proof.on(request, self._reach.origins)
            exchange = self._transport.exchange(sent, reach=self._reach, caps=ENDLESS if endless else CAPS)
            try:
                await exchange.start()
                if exchange.status == 401 and not last and self._credentials.renew(proof):
                    continue
                reply = Reply(exchange.status, exchange.headers)
                if exchange.status == 403 and (more := lacking(self._credentials, _challenge(reply))) is not None:
                    raise more
                if _is_stream(reply):
                    reply.events = _scrubbed(events(exchange.read, MAX_MESSAGE), proof)
                else:
                    reply.body = _clean(await exchange.whole(MAX_MESSAGE), proof)
                return await take(reply)
            finally:
                exchange.close()
        raise AssertionError("the second reply is taken, whatever it is")


def refused(reply: Reply, who: str) -> UpstreamFailed:
    """What to raise for a reply that holds no message."""
    if reply.status in (401, 403):
        return UpstreamFailed(f"{who} does not let this gateway in: it answered {reply.status}; see `auth`", status=reply.status)
    wait = retry_after(reply.header("retry-after"))
    return UpstreamFailed(f"{who} answered {reply.status} where a message of MCP was expected", status=reply.status, retry_after=wait)


def _challenge(reply: Reply) -> Challenge:
    return challenge_of(value for name, value in reply.headers if name.lower() == "www-authenticate")


def _is_stream(reply: Reply) -> bool:
    return reply.status == 200 and (reply.header("content-type") or "").partition(";")[0].strip().lower() == "text/event-stream"


async def _scrubbed(found: AsyncIterator[Event], proof: Proof) -> AsyncIterator[Event]:
    async for event in found:
        event.data = _clean(event.data, proof)
        yield event


def _clean(data: bytes, proof: Proof) -> bytes:
    return scrubbed(Response(200, (), data), proof.secrets).body if proof.secrets else data
