"""What a reply is held against is text of strangers, nothing in it is fetched; and which results are its own."""

from __future__ import annotations

import asyncio

from toolgate.llm.learning import fits, results
from toolgate.llm.messages import Assistant, ToolCall, ToolResult, User
from toolgate.testing import raw_server


async def test_what_a_schema_refers_to_elsewhere_is_never_fetched() -> None:
    asked: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")

    async with raw_server(answer) as server:
        found = await asyncio.to_thread(fits, {}, {"$ref": f"{server.origin}/secret"})

    assert (found, asked) == (True, [])


def test_results_are_those_of_the_last_reply_alone() -> None:
    first, second, third = (ToolResult(f"call_{number}", "done") for number in range(3))
    calls = Assistant("", (ToolCall("call_1", "look", {}),))

    assert results([User("Go"), calls, first, calls, second, third]) == [second, third]
    assert results([User("Go"), calls, first, User("And now?")]) == []
