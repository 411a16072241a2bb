"""A call that an MCP client asks for, and its ending as the protocol has it."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from toolgate.calls import Ask, Client, Outcome, Principal, Progress
from toolgate.errors import InvalidArguments, UnknownTool
from toolgate.gateway import Gateway
from toolgate.server import convert, passing
from toolgate.server.context import approval, idempotency_key, trace_parent


def called(
    gateway: Gateway,
    name: str,
    arguments: Mapping[str, Any],
    principal: Principal,
    meta: Mapping[str, Any],
    *,
    id: str | None = None,
    progress: Progress | None = None,
    ask: Ask | None = None,
    client: Client | None = None,
) -> Awaitable[Outcome]:
    """The outcome of a call that a client asks for.

    Args:
        meta: what it says beside.
        id: as of `Gateway.call`.

    Raises:
        MCPError: it says something there that cannot be.
    """
    key, claimed = said(meta)
    return gateway.call(
        name,
        arguments,
        principal,
        id=id,
        trace_parent=trace_parent(meta.get("traceparent")),
        idempotency_key=key,
        progress=progress,
        ask=ask,
        approval=claimed,
        client=client,
    )


def said(meta: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The idempotency key and the approval that a call names.

    Raises:
        MCPError: one of them cannot be one.
    """
    found = meta.get(convert.META)
    if found is None:
        return None, None
    ours = found if isinstance(found, Mapping) else {}
    try:
        return idempotency_key(ours.get("idempotency_key")), approval(ours.get("approval"))
    except InvalidArguments as error:
        raise MCPError(code=types.INVALID_PARAMS, message=str(error)) from None


def result(gateway: Gateway, name: str, principal: Principal, outcome: Outcome, version: str) -> types.CallToolResult:
    """What a client of `version` is answered.

    Raises:
        MCPError: an error of the protocol.
    """
    passing.refuse(outcome, version)
    refuse_unknown(gateway, name, principal, outcome)
    return convert.result(outcome, version)


def refuse_unknown(gateway: Gateway, name: str, principal: Principal, outcome: Outcome) -> None:
    """2026-07-28, server/tools, "Error Handling": an unknown tool is a protocol error; everything else a model repairs.

    Raises:
        MCPError: there is no tool called `name` for `principal`.
    """
    problem = outcome.problem
    if problem is not None and problem.code == UnknownTool.code and name not in gateway.visible(principal):
        raise MCPError(code=types.INVALID_PARAMS, message=problem.message)
