"""Word of changes: which resources a client subscribes to, and who is told that something there is another now.

Clients of the handshake eras are told over their connections, those of 2026-07-28 in streams that they ask for. Of a resource only
they hear who may read it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet, WeakValueDictionary

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
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

from toolgate.calls import Call, Outcome, Principal
from toolgate.errors import Busy, ToolgateError
from toolgate.gateway import Gateway
from toolgate.news import Change
from toolgate.server import passing
from toolgate.server.context import trace_parent
from toolgate.upstream.source import Source, request_name

READ = "resources/read"
SUBSCRIBED, SUBSCRIBING = "toolgate.subscribed", "toolgate.subscribing"
MOST_SUBSCRIBED = 1000  # resources of one connection
MOST_LISTENING = 1024  # streams of changes, of clients of 2026-07-28
MOST_LISTENING_OF_ONE = 256  # of them, of one caller, so that there is room for others; a guess at how many programs share a key
FULL = "there are as many streams of changes as there may be, of you or of everybody; end one of yours, or try again later"
PENDING = 1000  # changes not told yet to clients of the handshake eras; more are dropped, since each only says: look again
LISTS: Mapping[str, ServerEvent] = {"tools": ToolsListChanged(), "resources": ResourcesListChanged(), "prompts": PromptsListChanged()}

Context = Any


class Changes:
    def __init__(self, gateway: Gateway, who: Callable[[Context], Principal], holder: Callable[[Context, str], Source]) -> None:
        """
        Args:
            holder: the server that has a resource; raises MCPError where the caller may know of none.
        """
        self._gateway = gateway
        self._who = who
        self._holder = holder
        self._streams: dict[InMemorySubscriptionBus, _Listener] = {}
        """Those of clients of 2026-07-28."""
        self._connections: WeakSet[Connection] = WeakSet()
        self._untold: dict[Connection, dict[ServerEvent, None]] = {}
        """What clients are still to be told, of those that are just being told something."""

    def attach(self, server: Server[Any]) -> None:
        """Have `server` hear what its clients want to be told of."""
        server.add_request_handler("resources/subscribe", types.SubscribeRequestParams, self.subscribe)
        server.add_request_handler("resources/unsubscribe", types.UnsubscribeRequestParams, self.unsubscribe)
        server.add_request_handler("subscriptions/listen", types.SubscriptionsListenRequestParams, self.listen)
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

    async def subscribe(self, context: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
        subscribed = self._subscriptions(context)
        async with _alone(context, params.uri):  # two at the same time are one
            if params.uri not in subscribed:
                if len(subscribed) >= MOST_SUBSCRIBED:
                    raise MCPError(code=passing.NOT_DONE, message=f"{MOST_SUBSCRIBED} resources are subscribed to already")
                await self._subscribe(context, params.uri, subscribed, passing.key_of(passing.connection_of(context)))
        return types.EmptyResult()

    async def unsubscribe(self, context: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
        async with _alone(context, params.uri):
            subscription = self._subscriptions(context).pop(params.uri, None)
            if subscription is not None:
                await subscription.source.upstream.unsubscribe(params.uri, passing.key_of(passing.connection_of(context)))
        return types.EmptyResult()

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
            raise MCPError(code=passing.NOT_DONE, message=FULL, data={"code": Busy.code})
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
        passing.check(outcome, context.protocol_version)


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
