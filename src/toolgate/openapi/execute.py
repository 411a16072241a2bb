"""Carry a tool's call out: choose the server, build the request, show the proof, send, read the answer.

The server comes from the operator and the description, never from an argument; no header of the caller's own request
is passed on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from uuid import UUID

from toolgate.calls import UNSET, Call, Outcome, changed
from toolgate.egress.origin import origin_of, spelled
from toolgate.egress.wire import CAPS, Reach, Request, Sender
from toolgate.errors import EgressBlocked, InvalidArguments, Misconfigured
from toolgate.integration import Integration, NoAuth
from toolgate.money import told
from toolgate.openapi import answer, request
from toolgate.openapi.body import ReadFile
from toolgate.openapi.credentials import MASK, Credentials, is_secret, scrubbed
from toolgate.openapi.definition import Definition
from toolgate.openapi.freshness import fresh
from toolgate.openapi.operation import Plan, ServerTemplate

MAX_FILE = 10 * 1024 * 1024
"""Bytes of a file that is sent by path."""
LOCAL = frozenset({"stdio", "terminal"})
"""How callers come that share this machine's files with us."""


@dataclass(frozen=True, eq=False)
class Executor:
    """The `run` of a tool that was made from a description, made ready when it is first called: of a thousand tools a handful is."""

    definition: Definition = field(repr=False)
    integration: Integration = field(repr=False)
    home: Callable[[], str | None] = field(repr=False)
    """The origin that the description as a whole points to, by `home_of`."""
    sender: Sender
    credentials: Credentials
    upload_folder: Path | None = None
    """Below it, callers on this machine may name files to send; None: nowhere."""

    async def __call__(self, call: Call) -> Outcome:
        """
        Raises:
            InvalidArguments: a value cannot be put onto the wire.
            Misconfigured: there is no server for it.
            Failed, EgressBlocked: as `Sender.send`.
        """
        built = self._named(self._builder.build(call.arguments, files=self._files(call)), call)
        credentials = self.credentials.of(call.principal)
        for last in (False, True):
            proof = await credentials.proof(call.seconds_left())
            signed = proof.on(built, self._reach.origins)
            response = await self.sender.send(signed, reach=self._reach, seconds=call.seconds_left(), call=call)
            # A token may have been taken back early. A request that was not let in has done nothing and may be repeated.
            if response.status != 401 or last or not credentials.renew(proof):
                break
        response = scrubbed(response, (*proof.secrets, *self._static_secrets))
        # With the names of our query credentials, masked: an answer's links may repeat them.
        asked = proof.masked().on(built, self._reach.origins).url if proof.query else built.url
        limit = answer.LIMIT if call.depth == 0 else CAPS.decoded  # a tool of ours reads answers to their end
        outcome = answer.read(response, plan=self.definition.plan, url=asked, arguments=call.arguments, limit=limit, now=time.time())
        if call.tool.price and call.tool.price.header:
            outcome = changed(outcome, metered=told(response.header(call.tool.price.header)))
        return changed(outcome, fresh=fresh(response, shared=call.tool.public)) if call.tool.cache else outcome

    def preview(self, call: Call) -> Request:
        """The request as it would go out, with secrets masked. Raises InvalidArguments like a call."""
        builder = request.compile(_masked(self.definition.plan), self._server, _shown(self.integration.sent))
        built = self._named(builder.build(call.arguments, files=self._files(call)), call)
        return self.credentials.masked().on(built, self._reach.origins)

    def _named(self, built: Request, call: Call) -> Request:
        """With the name of the call in the header that the description has for it, unless the operator's headers fill it.

        Never the caller's own key: all callers are one to the other side, and two of them may choose the same.
        """
        name = self.definition.plan.idempotency_header
        if name is None or any(name.lower() == header.lower() for header, _ in built.headers):
            return built
        return replace(built, headers=(*built.headers, (name, str(UUID(call.once, version=5)))))

    @cached_property
    def _server(self) -> str:
        server = server_of(self.definition.plan, self.integration)
        check_shown(server, self.home(), self.integration)
        return server

    @cached_property
    def _reach(self) -> Reach:
        return reach_of(self._server, self.integration)

    @cached_property
    def _static_secrets(self) -> tuple[str, ...]:
        return _secrets(self.integration)

    @cached_property
    def _builder(self) -> request.Builder:
        return request.compile(self.definition.plan, self._server, self.integration.sent)

    def _files(self, call: Call) -> ReadFile | None:
        return files_below(self.upload_folder) if self.upload_folder is not None and call.principal.via in LOCAL else None


def server_of(plan: Plan, integration: Integration) -> str:
    """The URL that the plan's path is appended to.

    The operator's `base_url` wins, but for an operation with servers of its own that the operator allows; without a
    `base_url` it is the description's first server that can be used.

    Raises:
        Misconfigured: there is none.
    """
    base = _base(integration)
    candidates = _absolute(plan.servers, base or _document(integration)) if base is None or plan.servers_own else []
    if base is None:
        if candidates:
            return candidates[0]
        raise Misconfigured(f"{integration.name}: {plan.method} {plan.path} has no server with a complete URL; give a base_url")
    allowed = _operators(integration, base)
    return next((url for url in candidates if origin_of(url) in allowed), base)


def reach_of(server: str, integration: Integration) -> Reach:
    """Where the requests of an operation at `server` may go."""
    return Reach(_operators(integration, server), integration.allow_networks)


def home_of(plans: Iterable[Plan], integration: Integration) -> str | None:
    """The origin of an integration without a `base_url`: where the description as a whole points.

    That is its document's server; where each operation has servers of its own, the one that all agree on, or None.
    """
    own = set()
    for plan in plans:
        try:
            origin = origin_of(server_of(plan, integration))
        except Misconfigured:
            continue
        if not plan.servers_own:
            return origin
        own.add(origin)
    return own.pop() if len(own) == 1 else None


def check_shown(server: str, home: str | None, integration: Integration) -> None:
    """Credentials are shown where the operator or the description as a whole points, not wherever one operation does.

    Raises:
        EgressBlocked: `server` is elsewhere, and there is something to show.
    """
    secret = not isinstance(integration.auth, NoAuth) or bool(_secrets(integration))
    origin = origin_of(server)
    if integration.base_url is None and integration.asgi is None and secret and origin not in _operators(integration, home or ""):
        raise EgressBlocked(
            f"{integration.name}: this operation alone goes to {origin}, which is not shown credentials unless `servers` lists it"
        )


def files_below(folder: Path) -> ReadFile:
    """Reads files whose real path lies below `folder`."""

    def read(name: str) -> bytes:
        root = folder.resolve()
        try:
            path = (root / name).resolve()
            if not path.is_relative_to(root) or not path.is_file():
                raise InvalidArguments("the file to send must be a file below the upload folder")
            with path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except (OSError, ValueError):  # ValueError: a NUL in the name
            raise InvalidArguments("the file to send cannot be read") from None
        if len(data) > MAX_FILE:
            raise InvalidArguments(f"the file to send has more than {MAX_FILE} bytes")
        return data

    return read


def _base(integration: Integration) -> str | None:
    if integration.base_url is not None:
        return _configured(integration, "base_url", integration.base_url, spelled)
    return f"http://{integration.name.lower()}" if integration.asgi is not None else None


def _document(integration: Integration) -> str:
    """What relative servers are relative to: where the description was fetched, if it was."""
    return integration.spec if integration.spec and "://" in integration.spec else "https:"


def _absolute(servers: tuple[ServerTemplate, ...], base: str) -> list[str]:
    found = []
    for template in servers:
        try:
            found.append(spelled(urljoin(base, request.base_url(template))))
        except (EgressBlocked, ValueError):
            continue
    return found


def _operators(integration: Integration, server: str) -> frozenset[str]:
    """The origins of `server`, if there is one, and of the integration's `servers`."""
    further = [_configured(integration, "servers", url, origin_of) for url in integration.servers]
    return frozenset({*((origin_of(server),) if server else ()), *further})


def _configured(integration: Integration, key: str, url: str, read: Callable[[str], str]) -> str:
    try:
        return read(url)
    except EgressBlocked as error:
        raise Misconfigured(f"{integration.name}: {key} does not work: {error}") from None


def _secrets(integration: Integration) -> tuple[str, ...]:
    """What the operator has sent with every call, `auth` aside, under a name that speaks of a secret."""
    hidden = [(each.name, each.value) for each in integration.hide if isinstance(each.value, str)]
    return tuple(value for name, value in (*integration.sent, *hidden) if is_secret(name))


def _shown(pairs: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """With a mask for every value whose name speaks of a secret."""
    return tuple((name, MASK if is_secret(name) else value) for name, value in pairs)


def _masked(plan: Plan) -> Plan:
    """`plan` with such masks for the operator's constants."""
    parameters = tuple(
        replace(item, constant=MASK) if item.constant is not UNSET and is_secret(item.name) else item for item in plan.parameters
    )
    bodies = tuple(replace(body, constants=dict(_shown(body.constants.items()))) for body in plan.bodies)
    return replace(plan, parameters=parameters, bodies=bodies)
