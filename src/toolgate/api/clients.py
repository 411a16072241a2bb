"""MCP clients that are connected or were lately: whose they are, and what they called last."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.audit.export import when
from toolgate.policy.bounds import is_admin
from toolgate.server.identify import principal_of
from toolgate.stores.trail import Asked, Trail

if TYPE_CHECKING:
    from toolgate.server.clients import Clients, Seen

SHOWN = 100
NANOSECONDS = 1_000_000_000


class Connected:
    def __init__(self, clients: Callable[[], Clients], trail: Trail) -> None:
        self._clients = clients
        self._trail = trail

    async def many(self, request: Request) -> Json:
        """One's own; the role admin sees everybody's."""
        principal = principal_of(request.scope)
        seen = await self._clients().list(None if is_admin(principal) else principal)
        behind = await self._trail.follow() if seen else 0
        calls: dict[str, Mapping[str, Any] | None] = {}
        for each in seen[:SHOWN]:
            if each.client.principal not in calls:
                calls[each.client.principal] = await self._last_call(each.client.principal)
        return Json({"clients": [_told(each, calls[each.client.principal]) for each in seen[:SHOWN]], "behind": behind})

    async def _last_call(self, who: str) -> Mapping[str, Any] | None:
        last = await self._trail.newest(Asked(who=who, type="call.*"))
        if last is None:
            return None
        return {"at": when(last.at), "tool": last.body.get("tool", {}).get("name"), "call": last.body.get("call")}


def _told(seen: Seen, last_call: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {
        **asdict(seen.client),
        "sessions": seen.sessions,
        "first_seen": when(int(seen.first * NANOSECONDS)),
        "last_seen": when(int(seen.last * NANOSECONDS)),
        "last_call": last_call,
    }
