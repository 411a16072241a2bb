"""The client of a call for as long as it waits for it: once the call is a task, it is told and asked nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import mcp_types as types

from toolgate.calls import Ask, Client, Progress, Question, Session
from toolgate.errors import ProtocolError


class Attended:
    """`toolgate.calls.Client`, and a call's ways to its caller."""

    def __init__(self, client: Client, ask: Ask | None = None, progress: Progress | None = None) -> None:
        self.key = client.key
        self.in_rounds = client.in_rounds
        self.capabilities: Mapping[str, Any] = client.capabilities
        self.meta: Mapping[str, Any] = client.meta
        self.answers: Mapping[str, Any] = client.answers
        self.log_level = client.log_level
        self.session: Session | None = None  # a task outlasts the session that it was asked for in
        self.answered = anyio.Event()
        """Its person has said yes or no, or will not."""
        self._client = client
        self._ask = ask
        self._progress = progress
        self._left = False

    def leave(self) -> None:
        """It waits no more."""
        self._left = True
        self.capabilities, self.log_level = {}, None

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        if not self._left:
            await self._client.tell(method, params)

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._left:
            raise ProtocolError("the caller does not wait any more and cannot be asked", types.METHOD_NOT_FOUND)
        return await self._client.ask(method, params)

    async def person(self, question: Question) -> bool | None:
        """`toolgate.calls.Ask`."""
        try:
            return await self._ask(question) if self._ask is not None and not self._left else None
        finally:
            self.answered.set()

    def telling(self, also: Progress) -> Progress:
        """Tells the caller while it waits, and `also`."""

        async def tell(done: float, total: float | None, sentence: str | None) -> None:
            if self._progress is not None and not self._left:
                await self._progress(done, total, sentence)
            await also(done, total, sentence)

        return tell
