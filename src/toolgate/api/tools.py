"""Tools over HTTP: list or search them, look at one, call one."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_right
from collections.abc import Awaitable, Mapping, Sequence
from typing import TypeVar

import anyio
from starlette.requests import Request
from starlette.responses import Response

from toolgate.api.answers import Json, outcome_answer, problem_answer
from toolgate.api.query import BadQuery, arguments_of, choice, number
from toolgate.api.shapes import SHAPES
from toolgate.calls import PROTOCOL, Tool
from toolgate.errors import InvalidArguments
from toolgate.gateway import Gateway
from toolgate.server.context import approval, idempotency_key, trace_parent
from toolgate.server.identify import principal_of
from toolgate.server.resource import note

T = TypeVar("T")
LIMIT, MOST = 100, 1000
"""Tools a page: without being asked, and at most."""


class Tools:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def many(self, request: Request) -> Json:
        """All tools that the caller may see, listed to MCP clients or not; those that match `query`, best first."""
        visible, asked = self._gateway.visible(principal_of(request.scope)), request.query_params
        # Requests of MCP are not for models, whose providers take no slash in a name either.
        tools = {name: tool for name, tool in visible.items() if PROTOCOL not in tool.tags}
        shape = SHAPES[choice(asked, "format", "mcp", SHAPES)]
        limit = number(asked, "limit", MOST) or LIMIT
        if query := asked.get("query"):
            found, cursor = await self._matching(query, tools, limit), None
        else:
            found, cursor = page(tools, asked.get("cursor"), limit)
        return Json({"tools": [shape(tool) for tool in found], "next_cursor": cursor, "total": len(tools)})

    async def _matching(self, query: str, tools: Mapping[str, Tool], limit: int) -> Sequence[Tool]:
        # Tools that only find others would crowd out what was looked for.
        findable = {name: tool for name, tool in tools.items() if tool.integration != "toolgate"}
        return [tools[name] for name in await self._gateway.search(query, among=findable, limit=limit)]

    async def one(self, request: Request) -> Json:
        """One tool with its whole description and the schema that is enforced."""
        name = request.path_params["name"]
        tool = self._gateway.visible(principal_of(request.scope)).get(name)
        if tool is None:
            return problem_answer(
                "unknown_tool", f"there is no tool called {name[:64]!r}; GET /v1/tools?query= finds tools by what they do"
            )
        shown = SHAPES["mcp"](tool) | {"description": tool.details or tool.description, "inputSchema": tool.schema}
        return Json(shown | {"integration": tool.integration, "tags": list(tool.tags), "listed": tool.listed})

    async def call(self, request: Request) -> Response:
        """Let a call through the gate; a caller that hangs up takes it back."""
        arguments = await arguments_of(request)
        try:
            key, claimed = idempotency_key(request.headers.get("idempotency-key")), approval(request.headers.get("toolgate-approval"))
        except InvalidArguments as error:
            return problem_answer("bad_request", str(error))
        outcome = await unless_gone(
            request,
            self._gateway.call(
                request.path_params["name"],
                arguments,
                principal_of(request.scope),
                idempotency_key=key,
                trace_parent=trace_parent(request.headers.get("traceparent")),
                approval=claimed,
            ),
        )
        if outcome is None:
            return Response(status_code=499)  # nobody reads it
        note(request.scope, outcome)
        return outcome_answer(outcome)


async def unless_gone(request: Request, call: Awaitable[T]) -> T | None:
    """What `call` ends with, or None when its caller left first: then the call is cancelled."""
    outcome: T | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_when_gone, request, tasks.cancel_scope)
        outcome = await call
        tasks.cancel_scope.cancel()
    return outcome


async def _cancel_when_gone(request: Request, scope: anyio.CancelScope) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def page(tools: Mapping[str, Tool], cursor: str | None, limit: int) -> tuple[Sequence[Tool], str | None]:
    """`limit` tools after the one that `cursor` names, and the cursor of what follows, if anything does."""
    names = list(tools)
    start = bisect_right(names, _name_in(cursor)) if cursor is not None else 0
    chosen = names[start : start + limit]
    follows = base64.urlsafe_b64encode(f"after {chosen[-1]}".encode()).decode() if start + limit < len(names) else None
    return [tools[name] for name in chosen], follows


def _name_in(cursor: str) -> str:
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, UnicodeError):
        text = ""
    if not text.startswith("after "):
        raise BadQuery("this cursor was not given by this server; list from the beginning")
    return text.removeprefix("after ")
