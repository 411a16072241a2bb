"""Who is asking over HTTP: the one place where a request becomes a principal.

Nobody is taken for somebody by default. An anonymous caller exists only where the operator names one, the server is bound
to loopback, the peer is on this machine, and nothing says that it speaks for somebody else: a proxy on loopback would
otherwise lend its address to the whole network. A credential that is not understood is refused, never passed over.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from ipaddress import ip_address
from typing import Literal, Protocol
from urllib.parse import urlsplit

from starlette.types import Scope

from toolgate.calls import Principal
from toolgate.errors import LimitReached, NotIdentified
from toolgate.server.failures import Failures
from toolgate.server.headers import Headers, headers_of
from toolgate.settings import Caller, Server

Identify = Callable[[Scope], Awaitable[Principal]]
"""The principal of a request, or NotIdentified with a sentence that says what would work."""

STATE = "principal"
OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that answer anybody under any `Host`, so that a supervisor needs no credential: HAProxy's question has no `Host` at all."""
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
MAX_CREDENTIAL = 8 * 1024
"""Bytes. A token of 10 MB took 1.2 s to check."""
KEY = "tg_"
KEY_ID = re.compile(r"tg_[a-z2-7]{8}(?=_)")
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})


def principal_of(scope: Scope) -> Principal:
    """Who was found to be asking."""
    principal: Principal = scope["state"][STATE]
    return principal


class Shows(Protocol):
    """Knows who shows a kind of credential: API keys, tokens."""

    async def principal(self, text: str, mark: str | None = None) -> Principal:
        """
        Args:
            mark: the `digest` of `text`, from who knows it.

        Raises:
            NotIdentified: nobody, or nobody any more.
            Unreachable: somebody else would have to be asked, and does not answer.
        """


class NoTokens:
    """Where no issuer's tokens are taken."""

    async def principal(self, text: str, mark: str | None = None) -> Principal:
        raise NotIdentified("this server takes API keys, and this is none; ask its operator for one", shown=True)


def by_credential(keys: Shows, tokens: Shows | None, failures: Failures, otherwise: Identify) -> Identify:
    """Takes a request for whoever shows the credential in it.

    Args:
        tokens: None: no issuer's tokens are taken.
        otherwise: who it is that shows nothing.
    """

    async def identify(scope: Scope) -> Principal:
        headers = headers_of(scope)
        if b"authorization" not in headers.named:
            return await otherwise(scope)
        shown = ""
        try:
            shown, mark = headers.once(_shown, None)
            return await (keys if shown.startswith(KEY) else tokens or NoTokens()).principal(shown, mark)
        except NotIdentified as error:
            wait = failures.add((scope.get("client") or (None,))[0], "expired token" if error.expired else kind(shown), str(error))
            # Tokens expire all the time, behind a proxy all at one address, and only 401 says where the next one is to be had.
            if wait is not None and not error.expired:
                raise LimitReached(f"too many credentials were refused; try again in {wait:.0f} s", wait) from error
            raise

    return identify


def bearer(values: Sequence[bytes]) -> str:
    """The credential in the `Authorization` headers of a request.

    Raises:
        NotIdentified: there is not exactly one, of a size and kind that can be meant.
    """
    scheme, _, text = values[0].partition(b" ")
    if len(values) > 1 or scheme.lower() != b"bearer" or not text.isascii() or not text.strip():
        raise NotIdentified("a credential is shown as one header `Authorization: Bearer`, with an API key or a token", shown=True)
    if len(text) > MAX_CREDENTIAL:
        raise NotIdentified(f"a credential has at most {MAX_CREDENTIAL} bytes", shown=True)
    return text.strip().decode("ascii")


def digest(text: str) -> str:
    """What is kept of a credential."""
    return sha256(text.encode()).hexdigest()


def _shown(headers: Headers, _of: None) -> tuple[str, str]:
    text = bearer(headers.all(b"authorization"))
    return text, digest(text)


def kind(shown: str) -> str:
    """What a refused credential is called where it is counted and written down: never itself."""
    if named := KEY_ID.match(shown):
        return named[0]
    return "token" if shown.count(".") == 2 else "other"


def anonymous(caller: Caller | None, server: Server, known_as: str | None = None) -> Identify:
    """Takes whoever connects from this machine to a server on loopback for `caller`; nobody else.

    Many a proxy says nothing of itself, and lends its address to everybody. What else tells of one: a name that the operator
    lets in, HTTP/1.0, which nginx speaks by itself and hardly anybody else, or that clients know us elsewhere.

    Args:
        caller: None: nobody is let in without a credential, and no credential is known.
        known_as: the URL by which clients know us.
    """
    elsewhere = urlsplit(known_as or "").hostname
    lent = frozenset(host.lower().encode() for host in server.allowed_hosts)

    async def identify(scope: Scope) -> Principal:
        names = headers_of(scope).named.keys()
        if b"authorization" in names:
            raise NotIdentified("this server does not know such a credential; ask its operator for one, or send no Authorization header")
        if caller is None:
            raise NotIdentified("this server lets nobody in without a credential, and none was sent; ask its operator for one")
        if not is_loopback(server.host):
            raise NotIdentified(f"callers without a credential are let in on loopback only, and this server listens on {server.host}")
        if elsewhere is not None and not is_loopback(elsewhere):
            raise NotIdentified(f"callers without a credential are let in on loopback only, and clients know this server as {elsewhere}")
        proxied = not FORWARDED.isdisjoint(names) or scope.get("http_version") == "1.0"
        if proxied or headers_of(scope).named.get(b"host", b"").lower() in lent or not is_loopback((scope.get("client") or ("", 0))[0]):
            raise NotIdentified("callers without a credential are let in from this machine only, and not through a proxy")
        return nobody(caller)

    return identify


def nobody(caller: Caller) -> Principal:
    """Who is let in without a credential."""
    return Principal(id="anonymous", roles=caller.roles, tier=caller.tier, tenant=caller.tenant, via="loopback")


def is_loopback(host: str) -> bool:
    """Whether `host`, a name or an address, means this machine and nothing else. Names are not looked up."""
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower() in LOOPBACK_NAMES
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def local(caller: Caller, via: Literal["stdio", "terminal"]) -> Principal:
    """The person at this machine, named as the operating system names them."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no entry in /etc/passwd
        name = f"uid{os.getuid()}"
    return Principal(id=f"local:{name}", roles=caller.roles, tier=caller.tier, tenant=caller.tenant, via=via)
