"""Resources, prompts, completions and word of changes: what servers behind the gate offer beside tools.

Each request passes the gate as a tool of the server that it goes to (`files_resources/read`), so that policy, limits, price
and audit are the same. Who may not call that does not see the server's list either. Names of prompts carry the
integration's prefix as tools do; URIs of resources are the servers' own, so that what a server says of them stays true.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakSet, WeakValueDictionary

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from toolgate.calls import PROTOCOL, Call, Client, Outcome, Principal, Tool
from toolgate.errors import Busy, InvalidArguments, ToolgateError
from toolgate.gateway import Gateway
from toolgate.news import Change
from toolgate.openapi import prose
from toolgate.prompts import Prompt, Written
from toolgate.server import apps, passing, tasks
from toolgate.server.context import trace_parent
from toolgate.upstream.source import ServersRequest, ServersTool, Source, request_name

READ, GET, COMPLETE = "resources/read", "prompts/get", "completion/complete"
ROOTS = "notifications/roots/list_changed"
TTL = 60_000
"""Milliseconds that a client may keep a list."""
NOT_DONE = 1
"""The error code of what the gate refused or could not do; those of JSON-RPC and MCP are below zero (basic/index)."""
SUBSCRIBED, SUBSCRIBING = "toolgate.subscribed", "toolgate.subscribing"
MOST_SUBSCRIBED = 1000  # resources of one connection
MOST_LISTENING = 1024  # streams of changes, of clients of 2026-07-28
MOST_LISTENING_OF_ONE = 256  # of them, of one caller, so that there is room for others; a guess at how many programs share a key
FULL = "there are as many streams of changes as there may be, of you or of everybody; end one of yours, or try again later"
PENDING = 1000  # changes not told yet to clients of the handshake eras; more are dropped, since each only says: look again
LISTS: Mapping[str, ServerEvent] = {"tools": ToolsListChanged(), "resources": ResourcesListChanged(), "prompts": PromptsListChanged()}

M = TypeVar("M", bound=BaseModel)
Context = Any
Calls = Callable[..., Awaitable[Outcome]]
"""`calling.called`."""


class OfferingServer(Server[Any]):
    """The SDK's server, but it says to clients of the handshake eras too that lists may change, and to all that calls may be tasks."""

    def create_initialization_options(self, notification_options: NotificationOptions | None = None, *more: Any, **others: Any) -> Any:
        changing = NotificationOptions(prompts_changed=True, resources_changed=True, tools_changed=True)
        return super().create_initialization_options(notification_options or changing, *more, **others)

    def get_capabilities(self, *args: Any, protocol_version: str | None = None, **others: Any) -> types.ServerCapabilities:
        able = super().get_capabilities(*args, protocol_version=protocol_version, **others)
        if self.get_request_handler("tasks/get") is None:
            return able
        if protocol_version == tasks.EXTENDED:
            return able.model_copy(update={"extensions": {**(able.extensions or {}), tasks.EXTENSION: {}}})
        return able.model_copy(update={"tasks": tasks.CAPABILITY})


class Offered:
    def __init__(self, gateway: Gateway, who: Callable[[Context], Principal], page_size: int, called: Calls) -> None:
        self._gateway = gateway
        self._who = who
        self._page_size = page_size
        self._called = called
        self._streams: dict[InMemorySubscriptionBus, _Listener] = {}
        """Those of clients of 2026-07-28."""
        self._connections: WeakSet[Connection] = WeakSet()
        self._untold: dict[Connection, dict[ServerEvent, None]] = {}
        """What clients are still to be told, of those that are just being told something."""

    def attach(self, server: Server[Any]) -> None:
        """Have `server` answer with what is offered."""
        handlers: tuple[tuple[str, Any, Any], ...] = (
            ("resources/list", types.PaginatedRequestParams, self.list_resources),
            ("resources/templates/list", types.PaginatedRequestParams, self.list_templates),
            ("resources/read", types.ReadResourceRequestParams, self.read_resource),
            ("resources/subscribe", types.SubscribeRequestParams, self.subscribe),
            ("resources/unsubscribe", types.UnsubscribeRequestParams, self.unsubscribe),
            ("prompts/list", types.PaginatedRequestParams, self.list_prompts),
            ("prompts/get", types.GetPromptRequestParams, self.get_prompt),
            ("completion/complete", types.CompleteRequestParams, self.complete),
            ("logging/setLevel", types.SetLevelRequestParams, self.set_level),
            ("subscriptions/listen", types.SubscriptionsListenRequestParams, self.listen),
        )
        for method, params, handler in handlers:
            server.add_request_handler(method, params, handler)
        server.add_notification_handler(ROOTS, types.NotificationParams, self.roots_changed)
        server.middleware.append(self._remember)

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[None]:
        """Tell clients of changes until the block ends."""
        changes, changed = anyio.create_memory_object_stream[Change](PENDING)

        def hear(change: Change) -> None:
            with suppress(anyio.WouldBlock):
                changes.send_nowait(change)

        async def tell(tasks: TaskGroup) -> None:
            with changes, changed:
                async for change in changed:
                    await self._tell(change, tasks)

        with changes, changed, self._gateway.news.read(hear):
            async with anyio.create_task_group() as tasks:  # within: it has ended before the stream is closed
                tasks.start_soon(tell, tasks)
                yield
                tasks.cancel_scope.cancel()

    async def list_resources(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
        offered = [item for source in self._sources(context, READ) for item in _offer(source, "resources")]
        pages = [apps.resource(name) for name in self._pages(context)]
        items, cursor = self._page(_checked(types.Resource, [*pages, *offered]), params)
        return types.ListResourcesResult(resources=items, next_cursor=cursor, ttl_ms=TTL, cache_scope="private")

    async def list_templates(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListResourceTemplatesResult:
        offered = (item for source in self._sources(context, READ) for item in _offer(source, "templates"))
        items, cursor = self._page(_checked(types.ResourceTemplate, offered), params)
        return types.ListResourceTemplatesResult(resource_templates=items, next_cursor=cursor, ttl_ms=TTL, cache_scope="private")

    async def list_prompts(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        offered = {name: {**item, "name": name} for source in self._sources(context, GET) for name, item in source.prompts.items()}
        offered |= {prompt.name: _listed(prompt) for prompt, _ in self._written(context)}
        items, cursor = self._page(_checked(types.Prompt, [offered[name] for name in sorted(offered)]), params)
        return types.ListPromptsResult(prompts=items, next_cursor=cursor, ttl_ms=TTL, cache_scope="private")

    async def read_resource(self, context: Context, params: types.ReadResourceRequestParams) -> HandlerResult:
        for name in self._pages(context):
            if params.uri == apps.place(name):
                return {"contents": [apps.contents(name)], "ttlMs": TTL, "cacheScope": "private", "resultType": "complete"}
        source = self._holder(context, params.uri)
        return await self._pass(
            context, request_name(source.integration.name, READ), {"uri": params.uri}, {"ttlMs": 0, "cacheScope": "private"}
        )

    async def get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> HandlerResult:
        for prompt, tool in self._written(context):
            if prompt.name == params.name:
                return await self._pass(context, tool.name, params.arguments or {})
        source, name = self._prompt(context, params.name)
        arguments = {"arguments": params.arguments} if params.arguments is not None else {}
        return await self._pass(context, request_name(source.integration.name, GET), {"name": name, **arguments})

    async def complete(self, context: Context, params: types.CompleteRequestParams) -> HandlerResult:
        asked = {key: value for key, value in (context.params or {}).items() if key != "_meta"}
        if isinstance(params.ref, types.PromptReference):
            if any(prompt.name == params.ref.name for prompt, _ in self._written(context)):
                return {"completion": {"values": [], "total": 0, "hasMore": False}, "resultType": "complete"}
            source, name = self._prompt(context, params.ref.name, COMPLETE)
            asked["ref"] = {**asked["ref"], "name": name}
        else:
            source = self._holder(context, params.ref.uri, COMPLETE)
        return await self._pass(context, request_name(source.integration.name, COMPLETE), asked)

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        subscribed = self._subscriptions(context)
        async with _alone(context, params.uri):  # two at the same time are one
            if params.uri not in subscribed:
                if len(subscribed) >= MOST_SUBSCRIBED:
                    raise MCPError(code=NOT_DONE, message=f"{MOST_SUBSCRIBED} resources are subscribed to already")
                await self._subscribe(context, params.uri, subscribed, passing.key_of(passing.connection_of(context)))
        return types.EmptyResult()

    async def unsubscribe(self, context: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        async with _alone(context, params.uri):
            subscription = self._subscriptions(context).pop(params.uri, None)
            if subscription is not None:
                await subscription.source.upstream.unsubscribe(params.uri, passing.key_of(passing.connection_of(context)))
        return types.EmptyResult()

    async def set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        passing.session_of(context)[passing.LEVEL] = params.level
        return types.EmptyResult()

    async def roots_changed(self, context: Context, params: types.NotificationParams) -> None:
        """Servers that have asked this client for its roots hear that they are others."""
        if (key := passing.session_of(context).get(passing.KEY)) is not None:
            for upstream in {tool.run.upstream for tool in self._gateway.catalog if isinstance(tool.run, ServersTool)}:
                upstream.pass_on(key, ROOTS)

    async def listen(self, context: Context, params: types.SubscriptionsListenRequestParams) -> types.SubscriptionsListenResult:
        """Only of resources that the caller may read; of others it is told nothing, as of such that do not exist."""
        wanted = params.notifications.resource_subscriptions or []
        bus, listener = InMemorySubscriptionBus(), _Listener(self._who(context))
        self._take_place(bus, listener)
        held = listener.subscribed
        try:
            for uri in dict.fromkeys(wanted[:MOST_SUBSCRIBED]):
                with suppress(MCPError):
                    await self._subscribe(context, uri, held)
            told = params.notifications.model_copy(update={"resource_subscriptions": list(held) or None})
            return await ListenHandler(bus)(context, params.model_copy(update={"notifications": told}))
        finally:
            del self._streams[bus]
            with anyio.move_on_after(5, shield=True):
                await _leave(held)

    def _take_place(self, bus: InMemorySubscriptionBus, listener: _Listener) -> None:
        theirs = sum(one.owner == listener.owner for one in self._streams.values())
        if theirs >= MOST_LISTENING_OF_ONE or len(self._streams) >= MOST_LISTENING:
            raise MCPError(code=NOT_DONE, message=FULL, data={"code": Busy.code})
        self._streams[bus] = listener

    async def _remember(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A middleware of the SDK's: clients of the handshake eras are told of changes from when they have begun."""
        if ctx.method == "notifications/initialized":
            self._connections.add(passing.connection_of(ctx))
        return await call_next(ctx)

    async def _tell(self, change: Change, tasks: TaskGroup) -> None:
        event = LISTS.get(change.what) or ResourceUpdated(change.uri or "")
        for bus, listener in tuple(self._streams.items()):
            if await self._hears(change, listener.subscribed):
                await bus.publish(event)
        for connection in tuple(self._connections):
            if not await self._hears(change, connection.state.get(SUBSCRIBED, {}), passing.key_of(connection)):
                continue
            if connection not in self._untold:
                self._untold[connection] = {}
                tasks.start_soon(self._tell_one, connection)
            self._untold[connection][event] = None

    async def _hears(self, change: Change, subscribed: Mapping[str, Subscription], client: str | None = None) -> bool:
        """Whether somebody is told of a change: of a resource who has subscribed to it, as long as they may read it.

        Args:
            client: the key of one that may be told of a resource in a conversation of its own, which then is the one to believe.
        """
        if change.uri is None:
            return True
        found = subscribed.get(change.uri)
        if found is None or found.source.integration.name != change.integration:  # another server may have the same URI
            return False
        alone = client is not None and found.source.upstream.tells(client, change.uri)
        if change.client != (client if alone else None):
            return False
        with suppress(ToolgateError):
            await self._gateway.permitted(request_name(change.integration, READ), {"uri": change.uri}, found.principal)
            return True
        return False

    async def _tell_one(self, connection: Connection) -> None:
        """Tell one client, which holds up no other if it does not read; each thing once, however often it changed meanwhile."""
        untold = self._untold[connection]
        try:
            while untold:
                event = next(iter(untold))
                del untold[event]
                match event:
                    case ToolsListChanged():
                        await connection.send_tool_list_changed()
                    case PromptsListChanged():
                        await connection.send_prompt_list_changed()
                    case ResourcesListChanged():
                        await connection.send_resource_list_changed()
                    case ResourceUpdated(uri):
                        await connection.send_resource_updated(uri)
        finally:
            del self._untold[connection]

    def _subscriptions(self, context: Context) -> dict[str, Subscription]:
        state = passing.session_of(context)
        if SUBSCRIBED not in state:
            subscribed: dict[str, Subscription] = {}
            state[SUBSCRIBED] = subscribed

            connection = passing.connection_of(context)

            async def leave() -> None:
                await _leave(subscribed, passing.key_of(connection))

            connection.exit_stack.push_async_callback(leave)
        found: dict[str, Subscription] = state[SUBSCRIBED]
        return found

    async def _pass(self, context: Context, name: str, params: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> HandlerResult:
        client: Client = passing.PassingClient(context)
        outcome = await self._called(self._gateway, name, params, self._who(context), context.meta or {}, client=client)
        version = context.protocol_version
        if (asked := passing.round_of(outcome, version)) is not None:
            return asked
        _check(outcome, version)
        return {**outcome.structured, **(more or {}), "resultType": "complete"}

    def _sources(self, context: Context, method: str) -> Sequence[Source]:
        """The servers that the caller may make the request to."""
        visible = self._gateway.visible(self._who(context))
        return [source for tool in visible.values() if (source := _source(tool, method)) is not None]

    def _pages(self, context: Context) -> Sequence[str]:
        """Pages of ours for clients that show such, of tools that the caller may call."""
        if not apps.can_show(passing.PassingClient(context).capabilities):
            return ()
        visible = self._gateway.visible(self._who(context))
        return [name for name in apps.TITLES if name in visible]

    def _written(self, context: Context) -> Sequence[tuple[Prompt, Tool]]:
        """The operator's own prompts, and the tools that they are to the gate. They stand before those of servers."""
        visible = self._gateway.visible(self._who(context))
        return [(tool.run.prompt, tool) for tool in visible.values() if isinstance(tool.run, Written)]

    def _holder(self, context: Context, uri: str, method: str = READ) -> Source:
        """The server that has the resource: one that lists it, or a tool's own, or has a template for it; or the only one.

        Raises:
            MCPError: none, as far as the caller may know.
        """
        sources = self._sources(context, method)
        for holds in (_lists, _shows, _has_template):
            for source in sources:
                if holds(source, uri):
                    return source
        if len(sources) == 1:
            return sources[0]
        raise MCPError(code=types.INVALID_PARAMS, message="there is no such resource here", data={"uri": uri})

    async def _subscribe(self, context: Context, uri: str, subscribed: dict[str, Subscription], client: str | None = None) -> None:
        """Have a resource's server tell of its changes. To the gate that is to read it: what may not be read is not told either.

        Raises:
            MCPError: there is no such resource, or the gate refused or could not do it.
        """
        source, principal = self._holder(context, uri), self._who(context)

        async def subscribe(_call: Call) -> Outcome:
            await source.upstream.subscribe(uri, client)
            subscribed[uri] = Subscription(source, principal)
            return Outcome(effect="none", notes={"subscription": True})

        name, parent = request_name(source.integration.name, READ), trace_parent((context.meta or {}).get("traceparent"))
        outcome = await self._gateway.call(name, {"uri": uri}, principal, trace_parent=parent, work=subscribe)
        if outcome.problem is not None and subscribed.pop(uri, None) is not None:  # done, but it could not be written down
            await source.upstream.unsubscribe(uri, client)
        _check(outcome, context.protocol_version)

    def _prompt(self, context: Context, name: str, method: str = GET) -> tuple[Source, str]:
        for source in self._sources(context, method):
            if (prompt := source.prompts.get(name)) is not None:
                return source, prompt["name"]
        raise MCPError(code=types.INVALID_PARAMS, message="there is no such prompt here")

    def _page(self, items: Sequence[M], params: types.PaginatedRequestParams | None) -> tuple[list[M], str | None]:
        start = _start(params.cursor if params else None)
        if start > len(items):
            raise MCPError(code=types.INVALID_PARAMS, message="this cursor leads nowhere (any more); list from the beginning")
        end = start + self._page_size
        return list(items[start:end]), _cursor(end) if end < len(items) else None


@dataclass(frozen=True, slots=True)
class Subscription:
    source: Source
    principal: Principal
    """Who may be told of the resource only as long as they may read it."""


@dataclass(eq=False, slots=True)
class _Listener:
    principal: Principal
    subscribed: dict[str, Subscription] = field(default_factory=dict)

    @property
    def owner(self) -> tuple[str, str]:
        return self.principal.tenant, self.principal.id


def _alone(context: Context, uri: str) -> anyio.Lock:
    """Held by one request at a time about a resource, of those by one connection."""
    locks: WeakValueDictionary[str, anyio.Lock] = passing.session_of(context).setdefault(SUBSCRIBING, WeakValueDictionary())
    return locks.setdefault(uri, anyio.Lock())


async def _leave(subscribed: Mapping[str, Subscription], client: str | None = None) -> None:
    """End all subscriptions at once: a server that does not answer is waited for each time."""
    async with anyio.create_task_group() as tasks:
        for uri, subscription in subscribed.items():
            tasks.start_soon(subscription.source.upstream.unsubscribe, uri, client)


def _check(outcome: Outcome, version: str) -> None:
    """
    Raises:
        MCPError: the request was refused, or failed.
    """
    passing.refuse(outcome, version)
    if outcome.problem is not None:
        data = {"code": outcome.problem.code, **outcome.problem.details}
        code = types.INVALID_PARAMS if outcome.problem.code == InvalidArguments.code else NOT_DONE
        raise MCPError(code=code, message=outcome.problem.message, data=data)


def _listed(prompt: Prompt) -> dict[str, Any]:
    arguments = [
        argument.model_dump(include={"name", "title", "description", "required"}, exclude_none=True) for argument in prompt.arguments
    ]
    return {
        "name": prompt.name,
        "title": prompt.title,
        "description": prompt.description,
        **({"arguments": arguments} if arguments else {}),
    }


def _source(tool: Tool, method: str) -> Source | None:
    run = tool.run
    return run.source if PROTOCOL in tool.tags and isinstance(run, ServersRequest) and run.method == method else None


def _offer(source: Source, name: str) -> Sequence[Mapping[str, Any]]:
    offer = source.upstream.offer
    return [item for item in getattr(offer, name) if isinstance(item, dict)] if offer else ()


def _checked(model: type[M], items: Iterable[Mapping[str, Any]]) -> list[M]:
    """Those that clients can take, without hidden characters in what models read: a bad one would cost them the list."""
    found = []
    for item in items:
        words = {key: prose.clean(item[key]) for key in ("title", "description") if isinstance(item.get(key), str)}
        with suppress(ValidationError):
            found.append(model.model_validate({**item, **words}))
    return found


def _lists(source: Source, uri: str) -> bool:
    return any(item.get("uri") == uri for item in _offer(source, "resources"))


def _shows(source: Source, uri: str) -> bool:
    """Whether the resource is how one of the server's tools is shown (MCP Apps, `_meta.ui.resourceUri`)."""
    for tool in source.tools():
        said = tool.passed.get("_meta", {}) if isinstance(tool.run, ServersTool) else {}
        ui = said.get("ui")
        if uri in (said.get("ui/resourceUri"), ui.get("resourceUri") if isinstance(ui, dict) else None):
            return True
    return False


def _has_template(source: Source, uri: str) -> bool:
    templates = (item.get("uriTemplate") for item in _offer(source, "templates"))
    return any(isinstance(template, str) and (template == uri or _fits(template, uri)) for template in templates)


def _fits(template: str, uri: str) -> bool:
    """Whether `uri` has the template's fixed parts, in their order (RFC 6570)."""
    first, *others = re.split(r"\{[^{}]*\}", template)
    if not uri.startswith(first) or (others and not uri.endswith(others[-1])):
        return False
    at = len(first)
    for part in others[:-1]:
        at = uri.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return bool(others) and at + len(others[-1]) <= len(uri)


def _cursor(start: int) -> str:
    return urlsafe_b64encode(f"from {start}".encode()).decode()


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    try:
        match = re.fullmatch(rb"from (\d{1,9})", urlsafe_b64decode(cursor))
    except ValueError:
        match = None
    if match is None:
        raise MCPError(code=types.INVALID_PARAMS, message="this cursor leads nowhere; list from the beginning")
    return int(match[1])
