"""Who hears what a server says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from toolgate.errors import UpstreamFailed
from toolgate.upstream.messages import Message
from toolgate.upstream.peer import REPLIES, Deaf, Hear, Peer


class Noted(Deaf):
    def __init__(self) -> None:
        self.heard: list[str] = []

    async def hear(self, method: str, params: Mapping[str, Any]) -> None:
        self.heard.append(method)


class Saying:
    """A line to a server that says something on the stream of each request, and then answers it."""

    def __init__(self, method: str) -> None:
        self._method = method

    def begin(self, hear: Hear) -> None:
        self._hear = hear

    async def send(self, message: Message) -> None:
        await self._hear({"jsonrpc": "2.0", "method": self._method, "params": {}}, message["id"])
        await self._hear({"jsonrpc": "2.0", "id": message["id"], "result": {}}, message["id"])


@pytest.mark.parametrize(
    ("method", "is_the_callers"),
    [
        ("notifications/message", True),
        ("notifications/elicitation/complete", True),
        ("notifications/tools/list_changed", False),
        ("notifications/resources/updated", False),
    ],
)
async def test_what_is_said_on_a_requests_stream_goes_to_whom_it_concerns(method: str, is_the_callers: bool) -> None:
    caller, common = Noted(), Noted()
    async with anyio.create_task_group() as tasks:
        await Peer("theirs", Saying(method), common, tasks).ask("tools/call", {}, caller)

    assert (caller.heard, common.heard) == (([method], []) if is_the_callers else ([], [method]))


async def test_a_server_that_asks_on_and_on_and_takes_no_answers_is_left() -> None:
    class Full(Saying):
        async def send(self, message: Message) -> None:
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        peer = Peer("theirs", Full(""), Deaf(), tasks)
        for number in range(REPLIES):
            await peer.hear({"jsonrpc": "2.0", "id": number, "method": "ping"}, None)
        with pytest.raises(UpstreamFailed, match="takes no answers"):
            await peer.hear({"jsonrpc": "2.0", "id": REPLIES, "method": "ping"}, None)
        tasks.cancel_scope.cancel()
