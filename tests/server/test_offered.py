from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio

from toolgate.news import Change, News
from toolgate.server.offered import PENDING, Offered


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
    offered = Offered(gateway, lambda _context: None, 10, lambda: None)  # type: ignore[arg-type, return-value]
    stalled, other = Told(reads=False), Told(reads=True)

    async def begun(_context: Any) -> None:
        pass

    with anyio.fail_after(30):
        async with offered.telling():
            for connection in (stalled, other):
                context = SimpleNamespace(method="notifications/initialized", session=SimpleNamespace(_connection=connection))
                await offered._remember(context, begun)
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
