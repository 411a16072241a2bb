"""What a reply is held against is text of strangers: nothing in it is fetched."""

from __future__ import annotations

import asyncio

from toolgate.llm.learning import fits
from toolgate.testing import raw_server


async def test_what_a_schema_refers_to_elsewhere_is_never_fetched() -> None:
    asked: list[bytes] = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue")

    async with raw_server(answer) as server:
        found = await asyncio.to_thread(fits, {}, {"$ref": f"{server.origin}/secret"})

    assert (found, asked) == (True, [])
