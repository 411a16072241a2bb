"""The only composition root: settings → stores → tools → gateway → faces, opened and closed by one context manager."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from toolgate.calls import Call, Principal, Tool
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Request, Sender
from toolgate.errors import Misconfigured, ToolgateError
from toolgate.gateway import Gateway, build_gateway
from toolgate.openapi.load import Loaded, load_all
from toolgate.openapi.pin import fetch, is_url, keep_copy, missing_copy
from toolgate.openapi.source import Operation, tools_of
from toolgate.policy.load import load_policy
from toolgate.settings import Settings, bundled, state_folder
from toolgate.stores import Counters, Stores, open_stores
from toolgate.stores.counters import open_counters

if TYPE_CHECKING:
    from starlette.types import ASGIApp

log = logging.getLogger("toolgate")


@dataclass(frozen=True)
class App:
    """What lives as long as the process."""

    settings: Settings
    gateway: Gateway
    stores: Stores
    integrations: Sequence[Loaded]
    counters: Counters

    def ready(self) -> str | None:
        """Why calls cannot be let through now; None when they can."""
        fault = self.stores.journal.fault
        return f"the audit cannot be written: {fault}" if fault else None

    def status(self) -> Sequence[Mapping[str, Any]]:
        """Every integration, for those who look from outside."""
        suspended = self.gateway.breakers.suspended()
        return [status(one, suspended.get(one.name)) for one in self.integrations]

    def preview(self, name: str, arguments: Mapping[str, Any], principal: Principal) -> Request:
        """The request that a call would send, secrets masked; nothing is sent, nothing decided.

        Raises:
            UnknownTool: no such tool, or none that `principal` may know of.
            InvalidArguments: a value cannot be put onto the wire.
            Misconfigured: the tool sends no request of its own.
        """
        tool = self.gateway.find(name, principal)
        if not isinstance(tool.run, Operation):
            raise Misconfigured(f"{name} is answered in this process; there is no request to show")
        return tool.run.preview(Call(tool, arguments, principal))


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Everything, ready to serve; integrations that cannot be loaded are reported and left out.

    Raises:
        Misconfigured: the settings or the policy cannot be meant, or two tools have one name.
        AuditUnavailable: the journal cannot be opened.
    """
    policy = load_policy(settings.policies or bundled("policies"))
    shared = settings.shared.get_secret_value() if settings.shared else None
    async with (
        open_stores(settings.store, state_folder(settings)) as stores,
        open_counters(shared, settings.limits.workers) as counters,
        open_transport() as transport,
    ):
        integrations = await _load(settings, transport)
        gateway: Gateway
        tools: list[Tool] = []
        for loaded in integrations:
            sender = _sender(loaded, transport, lambda: gateway)
            tools += tools_of(loaded, sender, settings.files.upload_folder)
        gateway = build_gateway(tools, policy, stores, settings, counters)
        yield App(settings, gateway, stores, integrations, counters)


def status(loaded: Loaded, suspended: float | None = None) -> Mapping[str, Any]:
    """An integration for those who look from outside.

    Args:
        suspended: seconds for which it is still left alone, because it kept failing.
    """
    return {
        "name": loaded.name,
        "kind": loaded.declaration.kind if loaded.declaration else None,
        "tools": len(loaded.definitions),
        "quarantined": len(loaded.quarantined),
        "problem": loaded.problem,
        "suspended": suspended,
    }


async def _load(settings: Settings, sender: Sender) -> Sequence[Loaded]:
    integrations = load_all(settings)
    if await _fetch_pinned(integrations, settings, sender):
        integrations = load_all(settings)
    for loaded in integrations:
        if loaded.problem:
            log.warning("%s is not served: %s", loaded.name, loaded.problem)
        if loaded.quarantined:
            names = ", ".join(definition.name for definition in loaded.quarantined[:5])
            log.warning("%s: %d definitions are not as accepted and kept back: %s", loaded.name, len(loaded.quarantined), names)
    return integrations


async def _fetch_pinned(integrations: Sequence[Loaded], settings: Settings, sender: Sender) -> bool:
    """Fetch descriptions that are pinned but not here yet, as after a fresh clone. Whether there were any."""
    fetched = False
    for loaded in integrations:
        url = loaded.declaration.spec if loaded.declaration else None
        if not url or not is_url(url) or not (pin := missing_copy(loaded.folder, url, state_folder(settings))):
            continue
        try:
            data = await fetch(url, sender, networks=loaded.declaration.allow_networks if loaded.declaration else ())
        except ToolgateError as error:
            log.warning("%s: %s", loaded.name, error)
            continue
        if keep_copy(data, url, state_folder(settings)) != pin:
            log.warning("%s: %s has changed since it was pinned; see `toolgate specs diff %s --fetch`", loaded.name, url, loaded.name)
        fetched = True
    return fetched


def _sender(loaded: Loaded, transport: Transport, gateway: Callable[[], Gateway]) -> Sender:
    """The network, or an application in this process where the integration names one."""
    if loaded.declaration is None or loaded.declaration.asgi is None:
        return transport
    if loaded.declaration.asgi != "internal":
        raise Misconfigured(f"{loaded.name}: there is no application called {loaded.declaration.asgi}; internal is known")
    from toolgate.egress.application import Application
    from toolgate.internal import internal

    return Application(internal(lambda: gateway().call))


def local_principal(settings: Settings, via: Literal["stdio", "terminal"]) -> Principal:
    """Who sits at this machine, over stdio or at the terminal."""
    from toolgate.server.identify import local

    return local(settings.stdio, via)


async def serve(app: App, *, ready: Callable[[str], None]) -> None:
    """Serve MCP and `/v1` over HTTP until SIGTERM or SIGINT.

    Args:
        ready: hears the base URL once connections are taken.
    """
    from toolgate.server.listen import listen

    async with asgi(app) as application:
        await listen(application, app.settings.server, ready=ready)


async def serve_stdio(app: App) -> None:
    """Serve MCP over standard input and output until the input ends."""
    from toolgate.server.stdio import serve_stdio as serve

    await serve(app.gateway, app.settings)


@asynccontextmanager
async def asgi(app: App) -> AsyncIterator[ASGIApp]:
    """The HTTP application: the MCP transports and `/v1`, behind the ingress guard."""
    from starlette.applications import Starlette

    from toolgate.api import EXCEPTION_HANDLERS, routes
    from toolgate.server.degraded import telling
    from toolgate.server.http import McpFace
    from toolgate.server.identify import anonymous
    from toolgate.server.ingress import guarded

    server = app.settings.server
    face = McpFace(app.gateway, server)
    async with face.lifespan():
        api = routes(app.gateway, app.stores.journal, integrations=app.status, unready=app.ready)
        application = Starlette(routes=[*face.routes(), *api], exception_handlers=EXCEPTION_HANDLERS)
        yield guarded(telling(application, app.counters), server, anonymous(app.settings.anonymous, server))
