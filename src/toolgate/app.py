"""The only composition root: settings → stores → tools → gateway → faces, opened and closed by one context manager."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anyio

from toolgate.agent.kept import read_result
from toolgate.agent.tool import agent_run
from toolgate.calls import Call, Outcome, Principal, Tool
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Request, Sender
from toolgate.errors import Misconfigured, ToolgateError, UnknownRun
from toolgate.gateway import Gateway, build_gateway
from toolgate.gateway.audit import record, write_down_change
from toolgate.gateway.validate import Validate
from toolgate.integration import TokenExchange
from toolgate.llm.models import Models, open_models
from toolgate.news import Change
from toolgate.openapi.exchange import Subjects
from toolgate.openapi.execute import Executor
from toolgate.openapi.links import Holder, Links
from toolgate.openapi.load import Loaded, load_all
from toolgate.openapi.own import Own
from toolgate.openapi.pin import fetch, is_url, keep_copy, missing_copy
from toolgate.openapi.source import tools_of
from toolgate.policy.live import Live, Watch, candidate_of, watching
from toolgate.policy.load import load_tested
from toolgate.policy.rules import Policy
from toolgate.roster import Roster
from toolgate.server.apps import app_tools
from toolgate.settings import Settings, bundled, policies_folder, state_folder
from toolgate.stores import Counters, Stores, open_stores
from toolgate.stores.book import Book
from toolgate.stores.counters import open_counters
from toolgate.stores.sealed import Sealer
from toolgate.stores.trail import Trail
from toolgate.tasks import beside
from toolgate.written import Written

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from toolgate.agent.loop import Agent
    from toolgate.api.consents import Consents
    from toolgate.internal.desk import Backends
    from toolgate.internal.jobs import Jobs
    from toolgate.llm.report import Report
    from toolgate.openapi.consent import Consent
    from toolgate.server.clients import Clients
    from toolgate.server.http import McpFace
    from toolgate.server.resource import Resource

log = logging.getLogger("toolgate")


@dataclass(frozen=True)
class App:
    """What lives as long as the process."""

    settings: Settings
    gateway: Gateway
    stores: Stores
    roster: Roster
    counters: Counters
    transport: Transport
    own: Own
    models: Models
    trail: Trail
    book: Book
    agents: Callable[[], Agent]
    """Puts the agent together when it is first asked for: one for all faces, so that runs within runs find each other."""
    backends: Backends

    @cached_property
    def clients(self) -> Clients:
        """MCP clients that there are."""
        from toolgate.server.clients import Clients

        return Clients(self.stores.records)

    @property
    def agent(self) -> Agent:
        return self.agents()

    def report(self) -> Report:
        """What may be known of the language models."""
        from toolgate.agent.runs import Runs
        from toolgate.llm.report import Report

        return Report(self.models, Runs(self.models.stores, self.settings.agent.keep))

    def ready(self) -> str | None:
        """Why calls cannot be let through now; None when they can."""
        fault = self.stores.journal.fault
        return f"the audit cannot be written: {fault}" if fault else None

    @property
    def integrations(self) -> Sequence[Loaded]:
        return self.roster.all

    async def preview(self, name: str, arguments: Mapping[str, Any], principal: Principal) -> Request:
        """The request that a call would send, secrets masked; nothing is sent, nothing decided.

        Raises:
            UnknownTool: no such tool, or none that `principal` may know of.
            InvalidArguments: the arguments do not fit the schema, or cannot be put onto the wire.
            Misconfigured: the tool sends no request of its own.
        """
        tool = self.gateway.find(name, principal)
        if not isinstance(tool.run, Executor):
            raise Misconfigured(f"{name} is answered in this process; there is no request to show")
        call = Call(tool, arguments, principal)
        await Validate()(call, _stop)
        return tool.run.preview(call)


async def _stop(_call: Call) -> Outcome:
    """Where a call ends that is only looked at."""
    return Outcome()


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[App]:
    """Everything, ready to serve; integrations that cannot be loaded are reported and left out.

    Raises:
        Misconfigured: the settings or the policy cannot be meant, or two tools have one name.
        AuditUnavailable: the journal cannot be opened.
    """
    from toolgate.internal.opening import open_backends

    policies = policies_folder(settings)
    live = Live(load_tested(policies), candidate_of(settings.policy_shadow))
    shared = settings.shared.get_secret_value() if settings.shared else None
    async with (
        open_stores(settings.store, state_folder(settings), settings.audit, settings.ledger) as stores,
        open_counters(shared, settings.limits.workers) as counters,
        open_transport() as transport,
        open_models(settings, transport, stores, live) as models,
        open_backends(settings, transport, stores, models) as backends,
    ):
        await stores.journal.recover()
        integrations = await _load(settings, transport)
        await _write_down_changes(settings, live.current, integrations, stores)
        own = _own(settings, stores, integrations)
        gateway = build_gateway((), live, stores, settings, counters)
        written = _written(settings)
        agents = cache(lambda: _agent(gateway, models, stores, settings, written, backends))
        models.watch(gateway.metrics)

        async def results(id: str, who: Principal) -> str | None:
            from toolgate.agent.runs import Runs

            return await Runs(stores, settings.agent.keep).kept(id, who)

        ours = [
            *app_tools(gateway.visible, stores.ledger),
            read_result(results),
            agent_run(agents, settings.agent.seconds, listed=models.any),
        ]

        def made(loaded: Loaded) -> Iterable[Tool]:
            sender = _sender(loaded, transport, gateway, backends)
            missing = _absent(loaded, backends)
            return (tool for tool in tools_of(loaded, sender, settings.files.upload_folder, own) if tool.name not in missing)

        others = lambda: [*written.tools, *ours]  # noqa: E731
        roster = Roster(gateway, stores, settings, transport, integrations, made, lambda loaded: _absent(loaded, backends), others)
        await roster.switches.recall()

        def rewritten() -> None:
            roster.serve()
            gateway.news.publish(Change("prompts"))

        written.changed = rewritten
        kept = state_folder(settings) if settings.store == "sqlite" else None
        async with (
            _served(gateway, roster, integrations, (transport, own), settings, stores),
            watching(*_watches(live, policies, settings.policy_shadow, stores), written),
        ):
            book = Book(kept / "toolgate.db" if kept else None, stores.keys)
            with closing(Trail(stores.journal, kept / "trail.db" if kept else None)) as trail:
                kept_open = (models, trail, book, agents, backends)
                try:
                    yield App(settings, gateway, stores, roster, counters, transport, own, *kept_open)
                finally:
                    await gateway.close()


@asynccontextmanager
async def _served(
    gateway: Gateway, roster: Roster, integrations: Sequence[Loaded], way: tuple[Transport, Own], settings: Settings, stores: Stores
) -> AsyncIterator[None]:
    """Have the gateway serve what is on the roster, MCP servers too, and follow what these offer."""
    if not any(loaded.declaration and loaded.declaration.kind == "mcp" for loaded in integrations):
        roster.serve()
        async with beside() as tasks:
            tasks.start_soon(roster.switches.follow)
            yield
        return
    from toolgate.upstream.source import Source, sources

    news = gateway.news
    changes, changed = anyio.create_memory_object_stream[tuple[Source, frozenset[str]]](math.inf)
    async with (
        changes,
        changed,
        sources(
            integrations,
            *way,
            state_folder(settings),
            lambda source, lists: changes.send_nowait((source, lists)),
            lambda source, uri, client: news.publish(Change("resource", uri, source.integration.name, client)),
        ) as found,
        beside() as tasks,
    ):
        roster.sources = found
        roster.serve()

        async def follow() -> None:
            async for source, lists in changed:
                roster.serve()
                if not lists.isdisjoint({"resources", "templates"}):
                    news.publish(Change("resources"))
                if "prompts" in lists:
                    news.publish(Change("prompts"))
                await _write_down_drift(source.loaded, stores)

        tasks.start_soon(follow)
        tasks.start_soon(roster.switches.follow)
        yield


def _written(settings: Settings) -> Written:
    """The operator's; else the bundled skills, where the bundled integrations are served that they are about."""
    bundled_too = settings.skills is None and not settings.tool_specs
    return Written(settings.prompts, bundled("skills") if bundled_too else settings.skills)


def _agent(gateway: Gateway, models: Models, stores: Stores, settings: Settings, written: Written, backends: Backends) -> Agent:
    from toolgate.agent.drive import Known
    from toolgate.agent.loop import Agent

    known = Known(models.window, written.allowed)
    return Agent(gateway, models.provider, stores, settings, known=known, background=backends.jobs.go_on)


def _own(settings: Settings, stores: Stores, integrations: Sequence[Loaded]) -> Own:
    """Where callers' own credentials are kept. Tokens are held only where an integration exchanges them."""
    exchanging = any(loaded.declaration and isinstance(loaded.declaration.auth, TokenExchange) for loaded in integrations)
    return Own(links_of(settings, stores), Subjects() if exchanging else None)


def links_of(settings: Settings, stores: Stores) -> Links:
    """What callers linked with `toolgate credentials set`."""
    return Links(stores.records, _sealer(settings))


def consent_of(settings: Settings, stores: Stores, sender: Sender) -> Consent:
    """How people let Toolgate into integrations."""
    from toolgate.openapi.consent import CLIENTS, Consent

    clients = Links(stores.records, _sealer(settings), kind=CLIENTS)
    return Consent(sender, links_of(settings, stores), clients, settings.identity.client)


def _sealer(settings: Settings) -> Sealer:
    return Sealer(settings.identity.secret_key_file or state_folder(settings) / "credentials.key")


def _absent(loaded: Loaded, backends: Backends) -> Mapping[str, str]:
    """Tools of an integration that are not served, because what they stand on is not there, and why."""
    if loaded.declaration is None or loaded.declaration.asgi != "internal":
        return {}
    return {f"{loaded.name}_{operation}": why for operation, why in backends.absent.items()}


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


async def _write_down_changes(settings: Settings, policy: Policy, integrations: Sequence[Loaded], stores: Stores) -> None:
    """What is in force now and was not when the audit last heard of it: settings, policy, definitions kept back."""
    values = settings.model_dump_json().encode()
    await write_down_change(stores, "config.changed", "settings", stores.keys.digest("", values))
    await write_down_change(stores, "policy.changed", "policy", policy.digest)
    for loaded in integrations:
        await _write_down_drift(loaded, stores)


async def _write_down_drift(loaded: Loaded, stores: Stores) -> None:
    kept_back = sorted(definition.name for definition in loaded.quarantined)
    digest = stores.keys.digest("", repr([(each.name, each.fingerprint) for each in loaded.quarantined]).encode()) if kept_back else ""
    await write_down_change(stores, "tool.drift", loaded.name, digest, integration=loaded.name, kept_back=kept_back[:100])


def _watches(live: Live, policies: Path, shadow: Path | None, stores: Stores) -> Sequence[Watch]:
    """What follows the folders of policies, and writes down what became of a change."""

    async def tell(type: Literal["policy.changed", "policy.failed"], details: Mapping[str, Any]) -> None:
        if type == "policy.changed" and details["place"] == "current":
            await write_down_change(stores, type, "policy", details["after"])
        else:
            await record(stores.journal, type, **details)

    watches = [Watch(live, policies, tell)]
    return [*watches, Watch(live, shadow, tell, "candidate")] if shadow else watches


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


def _sender(loaded: Loaded, transport: Transport, gateway: Gateway, backends: Backends) -> Sender:
    """The network, or an application in this process where the integration names one."""
    if loaded.declaration is None or loaded.declaration.asgi is None:
        return transport
    if loaded.declaration.asgi != "internal":
        raise Misconfigured(f"{loaded.name}: there is no application called {loaded.declaration.asgi}; internal is known")
    from toolgate.egress.application import Application
    from toolgate.internal.service import internal

    return Application(internal(gateway, backends))


def look_after_jobs(app: App) -> Jobs:
    """Have this process, which stays, take up what others have left, and end jobs whose owner's key is revoked."""
    from toolgate.internal.again import Anew
    from toolgate.server.standing import Standing

    async def begun(run: str, who: Principal) -> Outcome | bool:
        from toolgate.agent.errand import ended

        try:
            return await ended(app.agent, run, who) or True
        except UnknownRun:
            return False

    jobs = app.backends.jobs
    if jobs.again is not None:
        return jobs
    settings = app.settings
    shared = settings.store == "sqlite" or settings.identity.secret_key_file  # so whoever takes a job up has the key
    sealer = _sealer(settings) if shared else None
    jobs.again = Anew(app.gateway, Standing(app.stores.records, settings), begun, sealer)
    jobs.tasks.start_soon(jobs.take_up)
    return jobs


async def serve(app: App, *, ready: Callable[[str], None]) -> None:
    """Serve MCP and `/v1` over HTTP until SIGTERM or SIGINT.

    Args:
        ready: hears the base URL once connections are taken.
    """
    from toolgate.server.listen import listen
    from toolgate.server.start import settle_down

    def settled(url: str) -> None:
        settle_down()
        ready(url)

    async with asgi(app) as application:
        await listen(application, app.settings.server, ready=settled)


async def serve_stdio(app: App) -> None:
    """Serve MCP over standard input and output until the input ends."""
    from toolgate.server.start import settle_down
    from toolgate.server.stdio import serve_stdio as serve

    settle_down()
    await serve(app.gateway, app.settings, app.clients, look_after_jobs(app))


@asynccontextmanager
async def asgi(app: App) -> AsyncIterator[ASGIApp]:
    """The HTTP application: the MCP transports, `/v1` and the console, behind the ingress guard."""
    from starlette.applications import Starlette

    from toolgate.api import EXCEPTION_HANDLERS
    from toolgate.console import Console
    from toolgate.server.degraded import telling
    from toolgate.server.entrance import entrance
    from toolgate.server.http import McpFace
    from toolgate.server.ingress import guarded
    from toolgate.server.resource import Resource
    from toolgate.server.session import Https, Sessions, by_session

    server = app.settings.server
    identity = app.settings.identity
    resource = Resource(identity, server.allowed_origins)
    async with AsyncExitStack() as stack:
        identify = await stack.enter_async_context(entrance(app.settings, app.stores, app.transport, app.own.subjects))
        face = McpFace(app.gateway, server, app.clients, look_after_jobs(app), identify, identity.prefix)
        await stack.enter_async_context(face.lifespan())
        sessions = Sessions(app.stores.records, Https(identity.resource, server.allowed_origins))
        console = Console(identify, sessions, identity, app.transport, app.stores)
        consents = _consents(app)
        every = [*routes(app, face, resource), *consents.routes(), *console.routes()]
        application = Starlette(routes=every, exception_handlers=EXCEPTION_HANDLERS)
        application.router.redirect_slashes = False  # to a URL made of `Host`: behind a proxy to plain http, and without its path
        # A session is asked first: then even who shows nothing may be somebody.
        served = face.fast(application)
        if app.settings.shared:
            served = telling(served, app.counters)
        yield guarded(served, server, by_session(identify, sessions), resource, console.open | consents.open)


def _consents(app: App) -> Consents:
    """How callers let Toolgate in over HTTP, where integrations want their own consent."""
    from toolgate.api.begun import Waiting
    from toolgate.api.consents import Consents

    async def linked(principal: Principal, holder: Holder) -> None:
        details = {"change": "linked", "user": holder.user, "integration": holder.integration}
        await record(app.stores.journal, "credential.changed", principal=principal, tenant=holder.tenant, **details)

    consent = consent_of(app.settings, app.stores, app.transport)
    if app.own.links is not None:
        consent = replace(consent, links=app.own.links)  # so that what is linked here is seen here at once
    declared = {loaded.name: loaded.declaration for loaded in app.integrations if loaded.declaration}
    return Consents(app.gateway, consent, Waiting(app.stores.records, _sealer(app.settings)), declared, linked)


def routes(app: App, face: McpFace, resource: Resource) -> list[BaseRoute]:
    """Everything that can be asked over HTTP."""
    from toolgate import api

    v1 = api.routes(
        app.gateway,
        app.stores,
        app.roster,
        unready=app.ready,
        metrics=app.settings.server.metrics,
        preview=app.preview,
        trail=app.trail,
        book=app.book,
        models=app.report,
        clients=lambda: app.clients,
    )
    agent = api.agent_routes(app.agents, app.models)
    return [*face.routes(), *resource.routes(), *v1, *agent]
