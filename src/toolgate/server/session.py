"""Sessions of browsers: a cookie that stands for a credential which was shown once.

A page must not keep a credential where a script can read it. So the browser gets a random secret in an `HttpOnly` cookie,
and the credential is kept under the secret's hash, encrypted by another hash of it: whoever reads the store can neither
use a session nor learn the credential. With each request the cookie becomes that credential again, and goes through
`identify` like any other: a key that is revoked, a token that has expired end the session with them.

Other pages cannot use the cookie. It is `SameSite=Strict`; a site, though, is every port of a host, so a browser that says
that the request comes from another origin (`Sec-Fetch-Site`) is not taken for the session; and a request that changes
something carries JSON, and an `Origin` that the door compares whole. Behind https the cookie's name begins with `__Host-`,
and no other is taken: one without could have been set by a page of a neighbouring host, or by whoever is on the way of http.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.types import Scope

from toolgate.calls import Principal
from toolgate.errors import NotIdentified
from toolgate.server.headers import headers_of
from toolgate.server.identify import Identify
from toolgate.stores import Records
from toolgate.stores.recent import Recent
from toolgate.stores.sealed import sealed, unsealed

KIND = "session"
"""Of the records."""
SECONDS = 12 * 3600.0
"""How long a session lasts: a working day."""
PATHS = ("/v1/", "/console/", "/openapi.json", "/metrics")
"""What a session is good for: what the page asks. MCP clients show their credential."""
SAME = frozenset({b"same-origin", b"none"})
"""Values of `Sec-Fetch-Site` (Fetch Metadata, 2.4) of requests from our own page, or from the person at the browser."""
SIZE = 32  # bytes of a secret


class Https:
    """Whether browsers reach us by https, which only they and the operator know where a proxy ends TLS."""

    def __init__(self, resource: str | None = None, origins: Iterable[str] = ()) -> None:
        """
        Args:
            resource: the URL by which clients know the MCP endpoint.
            origins: of the pages that may ask, besides those on loopback.
        """
        known = [urlsplit(each) for each in origins]
        self._hosts = frozenset(each.netloc.lower().encode() for each in known if each.scheme == "https")
        # A proxy may put a `Host` of its own into requests; then nothing in them says how the browser came.
        self._always = urlsplit(resource or "").scheme == "https" or (bool(known) and all(each.scheme == "https" for each in known))

    def __call__(self, scope: Scope) -> bool:
        headers = headers_of(scope).named
        told = headers.get(b"origin", b"").startswith(b"https:") or headers.get(b"host", b"").lower() in self._hosts
        return self._always or told or scope.get("scheme") == "https"


class Sessions:
    def __init__(self, records: Records, https: Callable[[Scope], bool] | None = None, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            https: whether a request's browser came by https.
            clock: seconds since 1970.
        """
        self._records = records
        self._https = https or Https()
        self._clock = clock
        self._recent = Recent(self._read)

    async def open(self, credential: str) -> str:
        """The secret of a new session that stands for `credential`."""
        secret = base64.urlsafe_b64encode(secrets.token_bytes(SIZE)).decode().rstrip("=")
        kept = base64.b64encode(sealed(_key(secret), credential.encode())).decode()
        await self._records.put(KIND, _id(secret), {"sealed": kept}, expires=self._clock() + SECONDS)
        self._recent.forget(secret)
        return secret

    async def credential(self, secret: str) -> str | None:
        """What the session stands for; None when there is none (any more)."""
        return await self._recent.get(secret)

    async def close(self, secret: str) -> None:
        """End a session: here at once, in other processes within 5 s."""
        await self._records.delete(KIND, _id(secret))
        self._recent.forget(secret)

    def secret_in(self, scope: Scope) -> str | None:
        """The secret of the session that a request of our own page is made in; None: in none."""
        headers = headers_of(scope).named
        if b"authorization" in headers or b"cookie" not in headers or headers.get(b"sec-fetch-site", b"none") not in SAME:
            return None
        try:
            found = SimpleCookie(headers[b"cookie"].decode("latin-1")).get(name_of(scope, secure=self._https(scope)))
        except CookieError:
            return None
        return found.value if found and len(found.value) <= 64 else None

    def cookie(self, scope: Scope, secret: str | None) -> Mapping[str, str]:
        """The header that gives a browser the session `secret`, or takes it away."""
        secure = self._https(scope)
        parts = [f"{name_of(scope, secure=secure)}={secret or ''}", "Path=/", "HttpOnly", "SameSite=Strict"]
        parts += [f"Max-Age={int(SECONDS) if secret else 0}", *(["Secure"] if secure else [])]
        return {"set-cookie": "; ".join(parts)}

    async def _read(self, secret: str) -> str | None:
        record = await self._records.get(KIND, _id(secret))
        if record is None:
            return None
        return unsealed(_key(secret), base64.b64decode(record.body["sealed"])).decode()


def by_session(identify: Identify, sessions: Sessions) -> Identify:
    """As `identify`, with a session's credential where its cookie is all that is shown."""

    def identify_session(scope: Scope) -> Awaitable[Principal]:
        secret = sessions.secret_in(scope)
        return identify(scope) if secret is None or not scope["path"].startswith(PATHS) else shown(scope, secret)

    async def shown(scope: Scope, secret: str) -> Principal:
        credential = await sessions.credential(secret)
        if credential is None:
            raise NotIdentified("the session has ended; sign in again", shown=True)
        return await identify(showing(scope, credential))

    return identify_session


def showing(scope: Scope, credential: str) -> Scope:
    """`scope` as if its request had shown `credential`."""
    kept = [(name, value) for name, value in scope["headers"] if name != b"authorization"]
    return {**scope, "headers": [*kept, (b"authorization", b"Bearer " + credential.encode())]}


def name_of(scope: Scope, *, secure: bool) -> str:
    """What the cookie is called. Cookies know no ports, so that two servers on one machine would take each other's."""
    return "__Host-toolgate" if secure else f"toolgate_{(scope.get('server') or ('', 0))[1]}"


def _id(secret: str) -> str:
    return hmac.digest(secret.encode(), b"the id of a session", "sha256").hex()


def _key(secret: str) -> bytes:
    return hmac.digest(secret.encode(), b"the key of a session", "sha256")
