"""A server made with the SDK, of every era, that says what it was asked; and ways to make it one of a single era."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ResourceUpdated, ToolsListChanged
from mcp.shared.message import ServerMessageMetadata
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

FORM: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
WORD: dict[str, Any] = {"type": "object", "properties": {"word": {"type": "string"}}}
ROUNDS = "2026-07-28"


@dataclass
class Theirs:
    """The server, and what became of requests to it."""

    cancelled: list[str] = field(default_factory=list)
    began: anyio.Event = field(default_factory=anyio.Event)
    metas: list[dict[str, Any]] = field(default_factory=list)
    ids: list[Any] = field(default_factory=list)
    """Of the calls, as JSON-RPC has them."""
    more: bool = False
    """There is another tool now."""
    prompt: str = "greet"
    bus: InMemorySubscriptionBus = field(default_factory=InMemorySubscriptionBus)

    async def list_tools(self, context: Any, params: Any) -> types.ListToolsResult:
        names = ["canary", "ask", "slow", "tell", "fail", *(["another"] if self.more else [])]
        ui = {"ui": {"resourceUri": "ui://form"}}
        tools = [types.Tool(name=name, input_schema=WORD, _meta=ui if name == "ask" else None) for name in names]
        return types.ListToolsResult(tools=tools, ttl_ms=0, cache_scope="public")

    async def call_tool(self, context: Any, params: types.CallToolRequestParams) -> Any:
        self.ids.append(context.request_id)
        self.metas.append(dict((context.params or {}).get("_meta", {})))
        word = (params.arguments or {}).get("word", "")
        match params.name:
            case "ask":
                return await self._ask(context, params)
            case "slow":
                self.began.set()
                try:
                    await anyio.sleep_forever()
                except anyio.get_cancelled_exc_class():
                    self.cancelled.append(word)
                    raise
            case "tell":
                for number in range(3):
                    log = types.LoggingMessageNotification(
                        params=types.LoggingMessageNotificationParams(level="info", data=f"{word}{number}")
                    )
                    await context.session.send_notification(log, related_request_id=context.request_id)
                    await context.session.report_progress(number, 2, word)
            case "fail":
                raise ValueError("a bug of theirs")
        return said(word)

    async def _ask(self, context: Any, params: types.CallToolRequestParams) -> Any:
        question = types.ElicitRequestFormParams(message="Your name?", requested_schema=FORM)
        if context.protocol_version == ROUNDS:
            if params.input_responses is None:
                return types.InputRequiredResult(input_requests={"name": types.ElicitRequest(params=question)}, request_state="theirs")
            answer = params.input_responses["name"]
            assert isinstance(answer, types.ElicitResult)
            assert params.request_state == "theirs"
        else:
            metadata = ServerMessageMetadata(related_request_id=context.request_id)
            answer = await context.session.send_request(types.ElicitRequest(params=question), types.ElicitResult, metadata=metadata)
        return said(f"{answer.action}: {(answer.content or {}).get('name')}")

    async def list_resources(self, context: Any, params: Any) -> types.ListResourcesResult:
        found = [types.Resource(name="one", uri="test://one"), types.Resource(name="form", uri="ui://form")]
        return types.ListResourcesResult(resources=found, ttl_ms=0, cache_scope="public")

    async def list_templates(self, context: Any, params: Any) -> types.ListResourceTemplatesResult:
        found = [types.ResourceTemplate(name="each", uri_template="test://each/{id}")]
        return types.ListResourceTemplatesResult(resource_templates=found, ttl_ms=0, cache_scope="public")

    async def read_resource(self, context: Any, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        content = types.TextResourceContents(uri=params.uri, text=f"content of {params.uri}")
        return types.ReadResourceResult(contents=[content], ttl_ms=0, cache_scope="public")

    async def subscribe(self, context: Any, params: Any) -> types.EmptyResult:
        return types.EmptyResult()

    async def list_prompts(self, context: Any, params: Any) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[types.Prompt(name=self.prompt)], ttl_ms=0, cache_scope="public")

    async def get_prompt(self, context: Any, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        text = types.TextContent(type="text", text=f"Greet {(params.arguments or {}).get('who')}!")
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=text)])

    async def complete(self, context: Any, params: types.CompleteRequestParams) -> types.CompleteResult:
        return types.CompleteResult(completion=types.Completion(values=[f"{params.argument.value}nna"]))

    async def change_tools(self) -> None:
        self.more = True
        await self.bus.publish(ToolsListChanged())

    async def change_prompts(self, name: str) -> None:
        self.prompt = name
        await self.bus.publish(PromptsListChanged())

    async def change(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri))

    def server(self) -> Server[Any]:
        return Server(
            "theirs",
            version="1",
            get_tool_input_schema=lambda _name: None,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
            on_list_resources=self.list_resources,
            on_list_resource_templates=self.list_templates,
            on_read_resource=self.read_resource,
            on_subscribe_resource=self.subscribe,
            on_unsubscribe_resource=self.subscribe,
            on_list_prompts=self.list_prompts,
            on_get_prompt=self.get_prompt,
            on_completion=self.complete,
            on_subscriptions_listen=ListenHandler(self.bus),
        )

    def app(self) -> Starlette:
        """At `/mcp`, and in the way of 2024 at `/sse`."""
        server = self.server()
        sessions = StreamableHTTPSessionManager(server)
        sse = SseServerTransport("/messages/")

        async def old(scope: Scope, receive: Receive, send: Send) -> None:
            async with sse.connect_sse(scope, receive, send) as (reader, writer):
                await serve_dual_era_loop(server, reader, writer, lifespan_state={}, init_options=server.create_initialization_options())

        @asynccontextmanager
        async def lifespan(app: Any) -> Any:
            async with sessions.run():
                yield

        routes = [
            Route("/mcp", StreamableHTTPASGIApp(sessions)),
            Route("/sse", _Raw(old), methods=["GET"]),
            Mount("/messages/", sse.handle_post_message),
        ]
        return Starlette(routes=routes, lifespan=lifespan)


class _Raw:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def said(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


def only_handshake(app: ASGIApp) -> ASGIApp:
    """As servers of 2025 answer a version that they do not know."""

    async def older(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"mcp-protocol-version", ROUNDS.encode()) in scope["headers"]:
            error = {
                "jsonrpc": "2.0",
                "id": "server-error",
                "error": {"code": -32600, "message": "Bad Request: Unsupported protocol version"},
            }
            await JSONResponse(error, 400)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return older


class Forgetful:
    """Forgets its sessions when told to, and says so in its own way."""

    def __init__(self, app: ASGIApp, status: int) -> None:
        self._app = app
        self._status = status
        self._known: set[bytes] = set()
        self._forgotten: set[bytes] = set()

    def forget(self) -> None:
        self._forgotten |= self._known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session = dict(scope.get("headers", ())).get(b"mcp-session-id", b"")
        if session:
            self._known.add(session)
        if session in self._forgotten:
            error = {"code": -32000, "message": "Bad Request: No valid session ID provided"}
            await JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, self._status)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def only_rounds(app: ASGIApp) -> ASGIApp:
    """As servers of 2026 answer that have no other era."""

    async def newer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"mcp-protocol-version", ROUNDS.encode()) not in scope["headers"]:
            data = {"supported": [ROUNDS], "requested": "2025-11-25"}
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32022, "message": "Unsupported protocol version", "data": data}}
            reply: Response = JSONResponse(error, 400) if scope["method"] == "POST" else Response(status_code=405)
            await reply(scope, receive, send)
        else:
            await app(scope, receive, send)

    return newer
