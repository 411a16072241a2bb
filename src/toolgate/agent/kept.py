"""Where a model reads what was left out of a long result: a tool over what runs have kept. It imports next to nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from toolgate.calls import READING, Call, Outcome, Principal, Text, Tool, protocol_tool
from toolgate.errors import InvalidArguments

READ_RESULT = "read_result"
READ = 20_000
"""Characters that one `read_result` brings at most."""
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "As the cut result names it"},
        "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "Characters to pass over"},
        "length": {"type": "integer", "minimum": 1, "maximum": READ, "default": READ, "description": "Characters to read"},
    },
    "required": ["id"],
    "additionalProperties": False,
}


Kept = Callable[[str, Principal], Awaitable[str | None]]
"""`Runs.kept`."""


def read_result(kept: Kept) -> Tool:
    """The tool that reads what was kept: only what is its caller's user's own."""

    async def run(call: Call) -> Outcome:
        text = await kept(call.arguments["id"], call.principal)
        if text is None:
            raise InvalidArguments(f"no result of yours is kept under that id; {READ_RESULT} takes ids that cut results name")
        offset, length = call.arguments.get("offset", 0), call.arguments.get("length", READ)
        piece = text[offset : offset + length]
        rest = len(text) - offset - len(piece)
        marker = f"\n[Toolgate: {rest} characters follow, from offset {offset + len(piece)} on]" if rest > 0 else ""
        return Outcome((Text(piece + marker),), effect="none")

    told = "Read the part of a tool's result that was left out because it was long."
    theirs = replace(READING, open_world=True)  # it may be what strangers wrote
    return protocol_tool(READ_RESULT, told, SCHEMA, run, theirs, title="Read a kept result")
