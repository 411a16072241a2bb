"""Which credentials an integration is called with: the operator's, each caller's own, or such as are exchanged for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import SecretStr

from toolgate.calls import Principal
from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Reach, Sender
from toolgate.errors import EgressBlocked, Misconfigured, NotLinked
from toolgate.integration import ApiKey, AuthorizationCode, Basic, Bearer, ClientCredentials, Integration, NoAuth, TokenExchange
from toolgate.openapi.credentials import MASK, Credentials, Fixed, Nobody, Proof, Tokens, proof_of
from toolgate.openapi.exchange import Exchanged, Subjects
from toolgate.openapi.links import Holder, Links


@dataclass(frozen=True, slots=True)
class Own:
    """Where what belongs to callers is kept; None: nowhere, and nobody has any."""

    links: Links | None = None
    """Linked credentials, and what was granted by consent."""
    subjects: Subjects | None = None


NOBODYS = Own()


def credentials_for(integration: Integration, sender: Sender, own: Own = NOBODYS) -> Credentials:
    """The credentials that `integration` is called with; an absent secret means that requests go out without.

    Args:
        sender: fetches tokens.

    Raises:
        Misconfigured: the URL for tokens is not one.
    """
    match integration.auth:
        case (ApiKey(per_user=True) | Bearer(per_user=True) | Basic(per_user=True)) as auth:
            return Linked(integration.name, auth, own.links)
        case ApiKey(value=SecretStr() as key) as auth:
            return Fixed(proof_of(auth, key.get_secret_value(), public={rate.key for rate in integration.limits}))
        case Bearer(token=SecretStr() as token) as auth:
            return Fixed(proof_of(auth, token.get_secret_value()))
        case NoAuth() | ApiKey() | Bearer() | Basic(username=None, password=None):
            return Fixed(Proof())
        case Basic(username=username, password=password) as auth:
            return Fixed(proof_of(auth, f"{username or ''}:{password.get_secret_value() if password else ''}"))
        case ClientCredentials(client_id=None) | ClientCredentials(client_secret=None, private_key=None):
            return Fixed(Proof())
        case ClientCredentials(token_url=str() as url) as auth:
            return Tokens(auth, sender, _reach(integration, url))
        case ClientCredentials() as auth:
            from toolgate.openapi.granted import Issued

            return Issued(integration, auth, sender)
        case AuthorizationCode():
            from toolgate.openapi.granted import Granted

            return Granted(integration, sender, own.links)
        case TokenExchange() as auth:
            return Exchanged(integration.name, auth, sender, _reach(integration, auth.token_url), own.subjects)


@dataclass(frozen=True, slots=True)
class Linked(Credentials):
    """What the caller linked, and nothing of anybody else's."""

    name: str
    auth: ApiKey | Bearer | Basic
    links: Links | None
    holder: Holder | None = None
    """The caller; None: nobody is calling."""

    def of(self, principal: Principal) -> Credentials:
        if self.links is None or principal.id == "anonymous":
            why = "a caller without a name cannot have one; show an API key or a token"
            return Nobody(f"{self.name} is called with the caller's own credential, and {why}")
        return replace(self, holder=Holder.of(principal, self.name))

    async def proof(self, seconds: float) -> Proof:
        if self.links is None or self.holder is None:
            raise NotLinked(f"{self.name} is called with the caller's own credential, and nobody is calling")
        secret = await self.links.secret(self.holder)
        if secret is None:
            user = self.holder.user
            raise NotLinked(
                f"{user} has linked no credential for {self.name}; on the server's machine "
                f"`toolgate credentials set {self.name} --user {user}` links one, or ask its operator"
            )
        return proof_of(self.auth, secret)

    def masked(self) -> Proof:
        return proof_of(self.auth, MASK).masked()


def _reach(integration: Integration, token_url: str) -> Reach:
    try:
        return Reach(frozenset({origin_of(token_url)}), integration.allow_networks)
    except EgressBlocked as error:
        raise Misconfigured(f"{integration.name}: auth.token_url does not work: {error}") from None
