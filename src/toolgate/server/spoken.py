"""A client on the other end of the connection that a call came by, told of what happens without the SDK."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types

from toolgate.calls import Progress, Session
from toolgate.errors import ProtocolError
from toolgate.server.handlers import steady
from toolgate.server.passing import CAPABILITIES, LOG_LEVEL
from toolgate.server.waiting import Waiting


class Spoken:
    """What clients of every era have in common."""

    answers: Mapping[str, Any] = {}  # nobody changes it

    def __init__(self, meta: Mapping[str, Any], waiting: Waiting) -> None:
        self._waiting = waiting
        self.meta = meta
        token = meta.get("progressToken")
        self.progress: Progress | None = None if token is None else steady(partial(self._progress, token))

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        await self._waiting.tell({"jsonrpc": "2.0", "method": method, "params": params})

    async def _progress(self, token: int | str, progress: float, total: float | None = None, message: str | None = None) -> None:
        told = {"progressToken": token, "progress": progress, "total": total, "message": message}
        await self.tell("notifications/progress", {name: value for name, value in told.items() if value is not None})


class InRounds(Spoken):
    """A client of 2026-07-28 that makes its call for the first time; it is asked by the answer."""

    key = "rounds"
    in_rounds = True
    session: Session | None = None

    def __init__(self, meta: Mapping[str, Any], waiting: Waiting) -> None:
        super().__init__(meta, waiting)
        self.capabilities: Mapping[str, Any] = meta[CAPABILITIES]
        self.log_level: str | None = meta.get(LOG_LEVEL)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ProtocolError("the caller cannot be asked over its connection", types.METHOD_NOT_FOUND)
