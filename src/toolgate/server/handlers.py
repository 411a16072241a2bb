"""What an MCP client may ask, answered from the gateway: the same for every transport and protocol era.

The SDK's low-level server owns the protocol; this file owns lists and calls. Lists differ by caller, never by
connection, are ordered by name, and are kept once built: a list of 1,223 tools takes 140 ms to make.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

from toolgate import __version__
from toolgate.calls import Principal, Progress, Tool
from toolgate.errors import ApprovalNeeded
from toolgate.gateway import Gateway
from toolgate.gateway.discover import CALL_TOOL
from toolgate.server import apps, asking, calling, convert, passing
from toolgate.server.offered import Offered, OfferingServer
from toolgate.server.resource import note
from toolgate.server.tasks import CORE, Tasks, supports

Context = Any
"""The SDK's ServerRequestContext; what it is generic in does not matter here."""
Answer = types.CallToolResult | types.InputRequiredResult | Mapping[str, Any]
"""The last is a task."""
Who = Callable[[Context], Principal]
SchemaOf = Callable[[str], Mapping[str, Any] | None]

NAME = "toolgate"
TTL = 60_000
"""Milliseconds that a client may keep a list. Tools change when the server is started anew."""
KEPT_LISTS = 64  # sets of tools; as many as there are different roles, times the protocol versions in use
PROGRESS_SECONDS = 0.1  # clients draw at most some frames a second
A_BUG = "the call failed by a bug, not by its arguments; the operator of this server finds more in its log"
INSTRUCTIONS = "Every call is checked, recorded and may be refused; a refusal says why and what would work."
FINDING = " More tools exist than are listed: search_tools finds them by what they do, describe_tool explains one, call_tool calls it."

log = logging.getLogger("toolgate.server")


def build_server(
    gateway: Gateway,
    who: Who,
    *,
    page_size: int,
    schema_of: SchemaOf,
    underway: Underway,
    offered: Offered | None = None,
    instructions: str | None = None,
    tasks: Tasks | None = None,
) -> Server[Any]:
    """An MCP server over `gateway`.

    Args:
        who: the principal of a request.
        page_size: tools a page of `tools/list`.
        schema_of: the schema of a tool that the present caller may see. The SDK asks before it knows the request's
            context, to hold `Mcp-Param-*` headers against the arguments.
        underway: counts the calls that have not ended.
        offered: answers with what there is beside tools.
        instructions: what the operator wants models to be told; None: a sentence of ours.
        tasks: None: no call becomes one.
    """
    offered = offered or Offered(gateway, who, page_size, calling.called)
    handlers = _Handlers(gateway, who, page_size, underway, tasks)
    server: Server[Any] = OfferingServer(
        NAME,
        version=__version__,
        title="Toolgate",
        instructions=(instructions or INSTRUCTIONS) + (FINDING if gateway.catalog.get(CALL_TOOL) else ""),
        get_tool_input_schema=lambda name: with_headers(schema_of(name)),
        on_list_tools=handlers.list_tools,
        on_call_tool=handlers.call_tool,  # type: ignore[arg-type]  # a task is no answer to the SDK, which sends it all the same
    )
    # Instead of a span for each message, which costs a tenth of the time: the gateway's `trace` makes ours.
    server.middleware[:] = [handlers.keep_lists, asking.sealed(gateway.approvals, who, NAME)]
    offered.attach(server)
    if tasks is not None:
        tasks.attach(server)
    return server


def with_headers(schema: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """`schema` if it wants arguments repeated in headers, else None: the SDK then has nothing to check."""
    return schema if schema and _repeats(schema) else None


def _repeats(schema: Mapping[str, Any]) -> bool:
    # 2026-07-28, transports: such an argument is reached from the root by nothing but `properties`.
    properties = schema.get("properties")
    children = [child for child in properties.values() if isinstance(child, Mapping)] if isinstance(properties, Mapping) else []
    return any("x-mcp-header" in child or _repeats(child) for child in children)


class Underway:
    """How many calls have not ended, so that whoever closes streams can wait for the last answer."""

    def __init__(self) -> None:
        self._count = 0
        self._none: anyio.Event | None = None

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        if not self._count and self._none is not None:
            self._none.set()
            self._none = None

    async def ended(self) -> None:
        """Return once no call is under way."""
        while self._count:
            self._none = self._none or anyio.Event()
            await self._none.wait()


@dataclass(frozen=True, slots=True)
class _List:
    pages: Mapping[str | None, types.ListToolsResult]
    """By the cursor that leads to each."""
    sent: dict[str | None, HandlerResult] = field(default_factory=dict)
    """The same, as they went over the wire."""


class _Handlers:
    def __init__(self, gateway: Gateway, who: Who, page_size: int, underway: Underway, tasks: Tasks | None) -> None:
        self._gateway = gateway
        self._who = who
        self._page_size = page_size
        self._underway = underway
        self._tasks = tasks
        self._lists: dict[tuple[str, tuple[Tool, ...]], _List] = {}

    async def list_tools(self, context: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        page = self._list(context).pages.get(params.cursor if params else None)
        if page is None:
            raise MCPError(code=types.INVALID_PARAMS, message="this cursor leads nowhere (any more); list from the beginning")
        return page

    async def keep_lists(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A middleware of the SDK's: a page that was checked and shaped for the wire once is sent again as it is."""
        cursor = (ctx.params or {}).get("cursor")
        if ctx.method != "tools/list" or ctx.request_id is None or not isinstance(cursor, str | None):
            return await call_next(ctx)
        sent = self._list(ctx).sent
        if cursor not in sent:
            sent[cursor] = await call_next(ctx)
        return sent[cursor]

    def _list(self, context: Context) -> _List:
        shows = apps.can_show(passing.PassingClient(context).capabilities)
        visible = self._gateway.visible(self._who(context)).values()
        tools = [tool for tool in visible if tool.listed or (shows and tool.name in apps.TITLES)]
        key = context.protocol_version, tuple(tools)  # the very tools: one that has changed is another
        kept = self._lists.get(key)
        if kept is None:
            if len(self._lists) >= KEPT_LISTS:
                self._lists.clear()
            kept = self._lists[key] = _List(paged(_listable(tools, context.protocol_version, self._tasks is not None), self._page_size))
        return kept

    async def call_tool(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        try:
            with self._underway:
                return await self._call(context, params)
        except MCPError:
            raise
        except Exception:
            # The SDK would send the message of a bug to clients of the handshake eras, whatever secrets stand in it.
            log.exception("a call of %s failed by a bug", params.name[:64])
            raise MCPError(code=types.INTERNAL_ERROR, message=A_BUG) from None

    async def _call(self, context: Context, params: types.CallToolRequestParams) -> Answer:
        principal, version = self._who(context), context.protocol_version
        meta = context.meta or {}
        asks = asking.asking(context, params, self._gateway.approvals.settings)
        progress = steady(context.session.report_progress) if "progress_token" in meta else None
        ask = asks.ask if asks else None
        if self._tasks is not None and self._tasks.may_become(context, params):
            outcome = await self._tasks.outcome(context, params, ask, progress)
            if isinstance(outcome, Mapping):
                return outcome
        else:
            at, client = (self._gateway, params.name, params.arguments or {}, principal, meta), passing.PassingClient(context)
            outcome = await calling.called(*at, progress=progress, ask=ask, client=client)
        if asks and asks.unanswered and outcome.problem is not None and outcome.problem.code == ApprovalNeeded.code:
            return asking.round_of(asks.unanswered)
        if (asked := passing.round_of(outcome, version)) is not None:
            return asked
        note(context.request and context.request.scope, outcome)
        return calling.result(self._gateway, params.name, principal, outcome, version)


def paged(tools: Sequence[types.Tool], size: int) -> Mapping[str | None, types.ListToolsResult]:
    """The pages of a list by the cursor that leads to each; the first by None. A cursor names the tool before its page."""
    starts = range(0, max(len(tools), 1), size)
    cursors = [None, *(_cursor(tools[start - 1]) for start in starts[1:]), None]
    return {
        cursors[number]: types.ListToolsResult(
            tools=list(tools[start : start + size]),
            next_cursor=cursors[number + 1],
            ttl_ms=TTL,
            cache_scope="private",
        )
        for number, start in enumerate(starts)
    }


def _cursor(after: types.Tool) -> str:
    return base64.urlsafe_b64encode(f"after {after.name}".encode()).decode()


def _listable(tools: Sequence[Tool], version: str, tasks: bool) -> list[types.Tool]:
    """One tool that a client of `version` cannot take would lose it the whole list, so such a tool is left out alone.

    Args:
        tasks: calls may be tasks.
    """
    listable = []
    for tool in tools:
        definition = convert.definition(tool, version)
        if tasks and version == CORE and supports(tool):
            definition.execution = types.ToolExecution(task_support="optional")
        why = convert.misfit(definition, version)
        if why is None:
            listable.append(definition)
        else:
            log.warning("left %s out of the list for clients of %s: %s", tool.name, version, why)
    return listable


def steady(report: Progress) -> Progress:
    """`report`, but what is told increases and not too often, as the specification asks (progress, "Behavior Requirements")."""
    done, at = float("-inf"), float("-inf")

    async def tell(progress: float, total: float | None = None, message: str | None = None) -> None:
        nonlocal done, at
        now = time.monotonic()
        if progress <= done or (now - at < PROGRESS_SECONDS and progress != total):
            return
        done, at = progress, now
        await report(progress, total, message)

    return tell
