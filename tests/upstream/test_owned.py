"""Who has a conversation of their own, how many of them there are, and when they end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest

from toolgate.calls import Call, Principal, Session
from toolgate.errors import Busy
from toolgate.testing import Echo, a_call, a_tool
from toolgate.upstream.dial import Conversation
from toolgate.upstream.messages import Message
from toolgate.upstream.owned import MOST, MOST_OF_ONE, Owned
from toolgate.upstream.peer import Deaf, Hear, Peer


@dataclass
class Able:
    """A client with a conversation of its own."""

    key: str
    session: Session | None = None
    in_rounds: bool = False
    capabilities: Mapping[str, Any] = field(default_factory=lambda: {"elicitation": {}})
    meta: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    log_level: str | None = None

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        pass

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}


class Answering:
    """A line to a server that answers everything but `hang`."""

    def begin(self, hear: Hear) -> None:
        self._hear = hear

    async def send(self, message: Message) -> None:
        if "id" in message and message["method"] != "hang":
            await self._hear({"jsonrpc": "2.0", "id": message["id"], "result": {}}, None)


class Dialled:
    """Begins conversations, unless told to have them wait."""

    who = "theirs"
    endpoint = None

    def __init__(self, *, begins: bool = True) -> None:
        self.begun = 0
        self.open_now = 0
        self._begins = begins

    @asynccontextmanager
    async def open(self, *_: Any, **__: Any) -> AsyncIterator[Conversation]:
        self.open_now += 1
        try:
            if not self._begins:
                await anyio.sleep_forever()
            self.begun += 1
            async with anyio.create_task_group() as tasks:
                yield Conversation(Peer("theirs", Answering(), Deaf(), tasks, owned=True), False, "2025-11-25", {})
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0)
            self.open_now -= 1


def by(who: str, client: Any) -> Call:
    return replace(a_call(a_tool(Echo())), principal=Principal(who, ("reader",)), client=client)


async def ask(owned: Owned, call: Call, method: str = "ping") -> None:
    shared: Any = Conversation(Deaf(), False, "2025-11-25", {})  # type: ignore[arg-type]
    await owned.ask(shared, method, {}, Deaf(), call, None)


async def test_one_caller_leaves_room_for_others() -> None:
    dial: Any = Dialled()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            owned = Owned(dial, tasks)
            for number in range(MOST_OF_ONE):
                tasks.start_soon(ask, owned, by("eve", Able(f"session {number}")), "hang")
            while dial.begun < MOST_OF_ONE:
                await anyio.sleep(0)

            with pytest.raises(Busy):
                await ask(owned, by("eve", Able("one more")))
            await ask(owned, by("ada", Able("hers")))
            tasks.cancel_scope.cancel()

    assert dial.begun == MOST_OF_ONE + 1


async def test_who_has_many_idle_ones_loses_the_oldest_of_their_own() -> None:
    dial: Any = Dialled()
    others = [by(f"ada {number}", Able(f"hers {number}")) for number in range(MOST - MOST_OF_ONE)]
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            owned = Owned(dial, tasks)
            for call in others:
                await ask(owned, call)
            for number in range(2 * MOST):
                await ask(owned, by("eve", Able(f"session {number}")))
                while dial.open_now > MOST:
                    await anyio.sleep(0)
            for call in others:
                await ask(owned, call)
            tasks.cancel_scope.cancel()

    assert dial.begun == len(others) + 2 * MOST


async def test_a_conversation_that_nobody_waits_for_any_more_does_not_begin() -> None:
    """One of a client whose roots a server would remember is for one call."""
    dial: Any = Dialled(begins=False)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            owned = Owned(dial, tasks)
            for _ in range(2 * MOST):
                with anyio.move_on_after(0.001):
                    await ask(owned, by("eve", Able("rounds", in_rounds=True, capabilities={"roots": {}})))
            while dial.open_now:
                await anyio.sleep(0)
            tasks.cancel_scope.cancel()
