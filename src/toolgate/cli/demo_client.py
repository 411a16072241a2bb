"""The MCP client of `toolgate demo`: a process of its own, on the SDK, told nothing but an address.

Writes one JSON line a step on stdout: `found`, `calls`, `answered`, `calls`, `refused`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

QUERY = "list the labels of a repository"
REPOSITORY = {"owner": "acme", "repo": "rocket"}
WRITING = "github_create_issue"
ISSUE = {**REPOSITORY, "title": "Nobody allowed this"}


async def main(url: str) -> None:
    from mcp import Client

    async with Client(url) as client:
        listed = (await client.list_tools()).tools
        search = await client.call_tool("search_tools", {"query": QUERY, "limit": 3})
        found = [tool["name"] for tool in _structured(search)["tools"]]
        _step("found", protocol=client.protocol_version, listed=len(listed), query=QUERY, tools=found)

        _step("calls", name=found[0], arguments=REPOSITORY)
        answer = await client.call_tool("call_tool", {"name": found[0], "arguments": REPOSITORY})
        _step("answered", name=found[0], error=bool(answer.is_error), text=_text(answer))

        _step("calls", name=WRITING, arguments=ISSUE)
        refusal = await client.call_tool(WRITING, ISSUE)
        _step("refused", name=WRITING, error=bool(refusal.is_error), text=_text(refusal))


def _step(step: str, **what: Any) -> None:
    print(json.dumps({"step": step, **what}), flush=True)  # noqa: T201  # this is the process's protocol


def _structured(result: Any) -> Any:
    return result.structured_content if result.structured_content is not None else json.loads(_text(result))


def _text(result: Any) -> str:
    return "\n".join(piece.text for piece in result.content if piece.type == "text")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
