"""Resources, prompts and completions: what servers behind the gate offer beside tools.

Each request passes the gate as a tool of the server that it goes to (`files_resources/read`), so that policy, limits, price
and audit are the same. Who may not call that does not see the server's list either. Names of prompts carry the
integration's prefix as tools do; URIs of resources are the servers' own, so that what a server says of them stays true.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import mcp_types as types
from mcp.server.context import HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel, ValidationError

from toolgate.calls import PROTOCOL, Client, Outcome, Principal, Tool
from toolgate.gateway import Gateway
from toolgate.openapi import prose
from toolgate.prompts import Prompt, Written
from toolgate.server import apps, passing, tasks
from toolgate.server.changes import READ, Changes
from toolgate.upstream.source import ServersRequest, ServersTool, Source, request_name

GET, COMPLETE = "prompts/get", "completion/complete"
ROOTS = "notifications/roots/list_changed"
TTL = 60_000
"""Milliseconds that a client may keep a list."""

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
        self.changes = Changes(gateway, who, self._holder)

    def attach(self, server: Server[Any]) -> None:
        """Have `server` answer with what is offered."""
        handlers: tuple[tuple[str, Any, Any], ...] = (
            ("resources/list", types.PaginatedRequestParams, self.list_resources),
            ("resources/templates/list", types.PaginatedRequestParams, self.list_templates),
            ("resources/read", types.ReadResourceRequestParams, self.read_resource),
            ("prompts/list", types.PaginatedRequestParams, self.list_prompts),
            ("prompts/get", types.GetPromptRequestParams, self.get_prompt),
            ("completion/complete", types.CompleteRequestParams, self.complete),
            ("logging/setLevel", types.SetLevelRequestParams, self.set_level),
        )
        for method, params, handler in handlers:
            server.add_request_handler(method, params, handler)
        server.add_notification_handler(ROOTS, types.NotificationParams, self.roots_changed)
        self.changes.attach(server)

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

    async def set_level(self, context: Context, params: types.SetLevelRequestParams) -> types.EmptyResult:
        passing.session_of(context)[passing.LEVEL] = params.level
        return types.EmptyResult()

    async def roots_changed(self, context: Context, params: types.NotificationParams) -> None:
        """Servers that have asked this client for its roots hear that they are others."""
        if (key := passing.session_of(context).get(passing.KEY)) is not None:
            for upstream in {tool.run.upstream for tool in self._gateway.catalog if isinstance(tool.run, ServersTool)}:
                upstream.pass_on(key, ROOTS)

    async def _pass(self, context: Context, name: str, params: Mapping[str, Any], more: Mapping[str, Any] | None = None) -> HandlerResult:
        client: Client = passing.PassingClient(context)
        outcome = await self._called(self._gateway, name, params, self._who(context), context.meta or {}, client=client)
        version = context.protocol_version
        if (asked := passing.round_of(outcome, version)) is not None:
            return asked
        passing.check(outcome, version)
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
