"""Which credentials an integration is called with: the operator's, each caller's own, or such as are exchanged for it."""

from __future__ import annotations

from dataclasses import dataclass

from toolgate.calls import Principal
from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Reach, Sender
from toolgate.errors import EgressBlocked, Misconfigured, NotLinked
from toolgate.integration import ApiKey, AuthorizationCode, Basic, Bearer, Integration, TokenExchange
from toolgate.openapi.credentials import MASK, Credentials, Nobody, Proof, credentials_of, proof_of
from toolgate.openapi.exchange import Exchanged, Subjects
from toolgate.openapi.links import Holder, Links

NAMELESS = "a caller without a name cannot have one; show an API key or a token"


@dataclass(frozen=True, slots=True)
class Own:
    """Where what belongs to callers is kept; None: nowhere, and nobody has any."""

    links: Links | None = None
    """Linked credentials, and what was granted by consent."""
    subjects: Subjects | None = None


def credentials_for(integration: Integration, sender: Sender, own: Own) -> Credentials:
    """The credentials that `integration` is called with.

    Args:
        sender: fetches tokens.

    Raises:
        Misconfigured: the URL for tokens is not one.
    """
    match integration.auth:
        case TokenExchange() as auth:
            try:
                reach = Reach(frozenset({origin_of(auth.token_url)}), integration.allow_networks)
            except EgressBlocked as error:
                raise Misconfigured(f"{integration.name}: auth.token_url does not work: {error}") from None
            return Exchanged(integration.name, auth, sender, reach, own.subjects)
        case AuthorizationCode():
            from toolgate.openapi.granted import Granted

            return Granted(integration, sender, own.links)
        case (ApiKey(per_user=True) | Bearer(per_user=True) | Basic(per_user=True)) as auth:
            return Linked(integration.name, auth, own.links)
        case _:
            return credentials_of(integration, sender)


class Linked:
    """What the caller linked, and nothing of anybody else's."""

    def __init__(self, name: str, auth: ApiKey | Bearer | Basic, links: Links | None) -> None:
        self._name = name
        self._auth = auth
        self._links = links

    def of(self, principal: Principal) -> Credentials:
        if self._links is None or principal.id == "anonymous":
            return Nobody(NotLinked(f"{self._name} is called with the caller's own credential, and {NAMELESS}"))
        return _OfOne(self._auth, self._links, Holder.of(principal, self._name))

    async def proof(self, seconds: float) -> Proof:
        raise NotLinked(f"{self._name} is called with the caller's own credential, and nobody is calling")

    def renew(self, refused: Proof) -> bool:
        return False

    def masked(self) -> Proof:
        return proof_of(self._auth, MASK).masked()


@dataclass(frozen=True, slots=True)
class _OfOne:
    auth: ApiKey | Bearer | Basic
    links: Links
    holder: Holder

    def of(self, principal: Principal) -> Credentials:
        return self

    async def proof(self, seconds: float) -> Proof:
        secret = await self.links.secret(self.holder)
        if secret is None:
            name, user = self.holder.integration, self.holder.user
            raise NotLinked(
                f"{user} has linked no credential for {name}; on the server's machine "
                f"`toolgate credentials set {name} --user {user}` links one, or ask its operator"
            )
        return proof_of(self.auth, secret)

    def renew(self, refused: Proof) -> bool:
        return False

    def masked(self) -> Proof:
        return proof_of(self.auth, MASK).masked()
