"""Token exchange (RFC 8693): for the token that a caller showed us, one that the other side takes.

    caller ──token──▶ identify ──▶ Principal(subject="9f86…")  ──▶ gate ──▶ executor
                         │ keeps                                              │ asks for a proof
                         ▼                                                    ▼
                     Subjects ◀────────── token of "9f86…" ──────────── Exchanged ──token──▶ token endpoint

The caller's token was issued for us, and the specification forbids to pass it on. It therefore never travels with a
call: a principal only carries the token's digest, which opens nothing. The tokens themselves are held here, in memory,
until they expire; identification writes, and only the exchange reads. It sends them to the operator's token endpoint and
hands out what came back. No tool, no step of the gate and no sender can come by one, whatever it does with its call.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from toolgate.calls import Principal
from toolgate.egress.wire import Reach, Sender
from toolgate.errors import Misconfigured, NotLinked
from toolgate.integration import TokenExchange
from toolgate.openapi.credentials import Credentials, Nobody, Proof, Tokens

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105
MOST = 4096
"""Tokens held at once, ours and those exchanged for them; each takes 1 to 8 kB."""


class Subjects:
    """The tokens that callers showed."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}

    def __repr__(self) -> str:
        return f"Subjects({len(self._tokens)} held)"

    def keep(self, subject: str, token: str, *, until: float) -> None:
        """
        Args:
            subject: names the token, in `Principal.subject`.
            until: when it expires, seconds since 1970.
        """
        self._tokens.pop(subject, None)
        while len(self._tokens) >= MOST:
            self._tokens.pop(next(iter(self._tokens)))
        self._tokens[subject] = token, until

    def token(self, subject: str) -> str | None:
        """The token of that name; None when it has expired or was never held."""
        token, until = self._tokens.get(subject, (None, 0.0))
        if token is not None and until <= self._clock():
            self._tokens.pop(subject, None)
            return None
        return token


class Exchanged(Credentials):
    """Credentials that are another for each token that callers show: kept until they expire, one fetch for all who wait."""

    def __init__(self, name: str, auth: TokenExchange, sender: Sender, reach: Reach, subjects: Subjects | None) -> None:
        self._name = name
        self._auth = auth
        self._subjects = subjects
        # Not for the user alone: a token with fewer scopes must not be served what was got for one with more.
        self._tokens = lru_cache(MOST)(lambda tenant, user, subject: Tokens(auth, sender, reach, grant=partial(self._grant, user, subject)))

    def of(self, principal: Principal) -> Credentials:
        if principal.subject is None or self._subjects is None:
            why = f"is called with a token exchanged for the caller's own, and {principal.id} showed none; log in with one"
            return Nobody(f"{self._name} {why}")
        return self._tokens(principal.tenant, principal.id, principal.subject)

    async def proof(self, seconds: float) -> Proof:
        raise NotLinked(f"{self._name} is called with a token exchanged for a caller's own, and nobody is calling")

    def _grant(self, user: str, subject: str) -> Mapping[str, str]:
        """The form of RFC 8693, 2.1."""
        if self._auth.client_id is None:
            raise Misconfigured(f"{self._name}: auth.client_id is not set, so no token can be exchanged")
        token = self._subjects.token(subject) if self._subjects else None
        if token is None:
            raise NotLinked(f"the token that {user} showed has expired and cannot be exchanged for {self._name}; log in again")
        form = {
            "grant_type": GRANT,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "requested_token_type": ACCESS_TOKEN,
            "audience": self._auth.audience,
            "resource": self._auth.resource,
        }
        return {name: value for name, value in form.items() if value is not None}
