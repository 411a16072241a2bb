from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from toolgate.calls import Principal
from toolgate.news import Change, News
from toolgate.server.changes import MOST_LISTENING_OF_ONE, PENDING, Changes


class Told:
    """A connection to a client, which reads or does not."""

    def __init__(self, *, reads: bool) -> None:
        self.state: dict[str, Any] = {}
        self.lists: list[str] = []
        self.reads = anyio.Event()
        if reads:
            self.reads.set()

    async def send_tool_list_changed(self) -> None:
        await self.reads.wait()
        self.lists.append("tools")

    async def send_prompt_list_changed(self) -> None:
        await self.reads.wait()
        self.lists.append("prompts")


async def test_a_client_that_does_not_read_holds_up_no_other_and_hears_the_newest_once() -> None:
    gateway: Any = SimpleNamespace(news=News())
    changes = Changes(gateway, lambda _context: None, lambda *_: None)  # type: ignore[arg-type, return-value]
    stalled, other = Told(reads=False), Told(reads=True)

    async def begun(_context: Any) -> None:
        pass

    with anyio.fail_after(30):
        async with changes.telling():
            for connection in (stalled, other):
                context = SimpleNamespace(method="notifications/initialized", session=SimpleNamespace(_connection=connection))
                await changes._remember(context, begun)
            for number in range(1, 2 * PENDING):
                gateway.news.publish(Change("tools"))
                while len(other.lists) < number:
                    await anyio.sleep(0)
            gateway.news.publish(Change("prompts"))
            while "prompts" not in other.lists:
                await anyio.sleep(0)
            stalled.reads.set()
            while "prompts" not in stalled.lists:
                await anyio.sleep(0)

    assert stalled.lists == ["tools", "tools", "prompts"]


class Listening:
    """The request of a client that listens."""

    request_id = "1"

    def __init__(self, who: str) -> None:
        self.who = Principal(who)
        self.session = self
        self.acknowledged = anyio.Event()

    async def send_notification(self, *_: Any, **__: Any) -> None:
        self.acknowledged.set()


async def test_who_listens_often_takes_nobody_elses_place() -> None:
    gateway: Any = SimpleNamespace(news=News())
    changes = Changes(gateway, lambda context: context.who, lambda *_: None)  # type: ignore[arg-type]
    tools = types.SubscriptionsListenRequestParams(notifications=types.SubscriptionFilter(tools_list_changed=True))

    async def listen(context: Listening) -> None:
        await changes.listen(context, tools)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            streams = [Listening("eve") for _ in range(MOST_LISTENING_OF_ONE)]
            for stream in streams:
                tasks.start_soon(listen, stream)
                await stream.acknowledged.wait()

            with pytest.raises(MCPError, match="as many streams of changes as there may be"):
                await listen(Listening("eve"))
            tasks.start_soon(listen, other := Listening("ada"))
            await other.acknowledged.wait()
            tasks.cancel_scope.cancel()

    assert changes._streams == {}
