"""A call that is made without the SDK: through the same gate, and answered in the same words, as bytes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as types
import orjson
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from starlette.types import Scope

from toolgate.calls import Client, Outcome, Principal, Progress
from toolgate.errors import ApprovalNeeded
from toolgate.gateway import Gateway
from toolgate.server import asking, convert, passing
from toolgate.server.asking import Asking
from toolgate.server.calling import called, refuse_unknown
from toolgate.server.handlers import A_BUG
from toolgate.server.resource import note

Seal = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Seals what the client is to carry to its next round, in an answer that asks something."""

log = logging.getLogger("toolgate.server")


async def reply(
    gateway: Gateway,
    params: Mapping[str, Any],
    principal: Principal,
    client: Client | None,
    version: str,
    stamp: Mapping[str, Any],
    *,
    scope: Scope | None = None,
    progress: Progress | None = None,
    asks: Asking | None = None,
    seal: Seal | None = None,
) -> tuple[int | None, bytes]:
    """Make a call of `tools/call`.

    Args:
        params: regular ones, so that nothing is left to check but what the gate does.
        client: None: the tool tells its client nothing and asks it nothing.
        version: of the protocol.
        stamp: what `_meta` of every result says of this server.
        asks: how to ask the person who makes the call; None: nobody can be asked.
        scope: of the HTTP request, which is told which scopes the call lacked.
        seal: None: the protocol has no rounds.

    Returns:
        The HTTP status, None for a call that went well, and the member of a JSON-RPC answer that says how it ended.
    """
    name = params["name"]
    try:
        meta = params.get("_meta", {})
        arguments, ask = params.get("arguments", {}), asks.ask if asks else None
        outcome = await called(gateway, name, arguments, principal, meta, progress=progress, ask=ask, client=client)
        if outcome.problem is None:
            return None, b'"result":' + convert.wire(outcome, stamp, version)
        if seal is not None and (asked := _round(outcome, version, asks)) is not None:
            return 200, b'"result":' + convert.dumped(await seal(convert.shaped(asked)), stamp)
        note(scope, outcome)
        passing.refuse(outcome, version)
        refuse_unknown(gateway, name, principal, outcome)
        return 200, b'"result":' + convert.wire(outcome, stamp, version)
    except MCPError as error:
        told = error.error.model_dump(mode="json", by_alias=True, exclude_none=True)
        # Before 2026-07-28 only what is no JSON-RPC at all had a status of its own.
        status = ERROR_CODE_HTTP_STATUS.get(error.error.code, 200) if version == convert.NEWEST else 200
        return status, b'"error":' + orjson.dumps(told)
    except Exception:
        log.exception("a call of %s failed by a bug", name[:64])
        return 200, b'"error":' + orjson.dumps({"code": types.INTERNAL_ERROR, "message": A_BUG})


def _round(outcome: Outcome, version: str, asks: Asking | None) -> types.InputRequiredResult | None:
    """What the client is to be asked before it makes the call again."""
    if asks is not None and asks.unanswered and outcome.problem is not None and outcome.problem.code == ApprovalNeeded.code:
        return asking.round_of(asks.unanswered)
    return passing.round_of(outcome, version)
