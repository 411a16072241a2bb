"""Who is asking over HTTP: the one place where a request becomes a principal.

Nobody is taken for somebody by default. An anonymous caller exists only where the operator names one, the server is bound
to loopback, the peer is on this machine, and nothing says that it speaks for somebody else: a proxy on loopback would
otherwise lend its address to the whole network. A credential that is not understood is refused, never passed over.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Literal

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from toolgate.calls import Principal
from toolgate.errors import NotIdentified
from toolgate.settings import Caller, Server

Identify = Callable[[Scope], Awaitable[Principal]]
"""The principal of a request, or NotIdentified with a sentence that says what would work."""

STATE = "principal"
OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that answer anybody, so that a supervisor needs no credential."""
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"via"})
LOOPBACK_NAMES = frozenset({"localhost", "localhost."})


class Identified:
    """Let a request in as its principal, or answer 401."""

    def __init__(self, app: ASGIApp, identify: Identify) -> None:
        self._app = app
        self._identify = identify

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            try:
                scope.setdefault("state", {})[STATE] = await self._identify(scope)
            except NotIdentified as error:
                body = {"ok": False, "problem": {"code": error.code, "message": str(error)}}
                refusal = JSONResponse(body, status_code=401, headers={"www-authenticate": 'Bearer realm="toolgate"'})
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def principal_of(scope: Scope) -> Principal:
    """Who `Identified` found to be asking."""
    principal: Principal = scope["state"][STATE]
    return principal


def anonymous(caller: Caller | None, server: Server) -> Identify:
    """Takes whoever connects from this machine to a server on loopback for `caller`; nobody else.

    Args:
        caller: None: nobody is let in without a credential, and no credential is known.
    """

    async def identify(scope: Scope) -> Principal:
        names = {name for name, _ in scope["headers"]}
        if b"authorization" in names:
            raise NotIdentified("this server does not know such a credential; ask its operator for one, or send no Authorization header")
        if caller is None:
            raise NotIdentified("this server lets nobody in without a credential, and none was sent; ask its operator for one")
        if not is_loopback(server.host):
            raise NotIdentified(f"callers without a credential are let in on loopback only, and this server listens on {server.host}")
        if not is_loopback((scope.get("client") or ("", 0))[0]) or not names.isdisjoint(FORWARDED):
            raise NotIdentified("callers without a credential are let in from this machine only, and not through a proxy")
        return Principal(id="anonymous", roles=caller.roles, tier=caller.tier, tenant=caller.tenant, via="loopback")

    return identify


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
