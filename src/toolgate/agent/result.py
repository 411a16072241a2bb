"""What a model gets of an outcome, and where it reads the rest."""

from __future__ import annotations

from typing import Any

import orjson

from toolgate.agent.offer import PROTOCOL, READ_RESULT
from toolgate.agent.runs import Runs
from toolgate.calls import UNSET, Annotations, Binary, Call, Outcome, Text, Tool
from toolgate.errors import InvalidArguments
from toolgate.money import FREE

HEAD = 0.75
"""Of what is left of a long result; the rest is its end."""
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


def text_of(outcome: Outcome) -> str:
    """All of `outcome` that can be said in words."""
    said = [piece.text if isinstance(piece, Text) else _file(piece) for piece in outcome.content]
    if not said and outcome.structured is not UNSET:
        said = [orjson.dumps(outcome.structured, default=str).decode()]
    if outcome.problem is not None:
        said = [outcome.problem.message, *said]
    return "\n".join(said) or "done; there is no answer beyond that"


def cut(text: str, most: int, kept: str) -> str:
    """`text` with its middle left out, so that at most about `most` bytes stay; `kept` is where the whole of it is."""
    data = text.encode(errors="replace")
    head = data[: int(most * HEAD)].decode(errors="ignore")
    tail = data[len(data) - (most - int(most * HEAD)) :].decode(errors="ignore")
    left_out = len(text) - len(head) - len(tail)
    marker = f"[Toolgate: {left_out} of {len(text)} characters left out; {READ_RESULT} {kept} from offset {len(head)} on shows them]"
    return f"{head}\n{marker}\n{tail}"


def read_result(runs: Runs) -> Tool:
    """The tool that reads what was kept: only what is its caller's user's own."""

    async def run(call: Call) -> Outcome:
        text = await runs.kept(call.arguments["id"], call.principal)
        if text is None:
            raise InvalidArguments(f"no result of yours is kept under that id; {READ_RESULT} takes ids that cut results name")
        offset, length = call.arguments.get("offset", 0), call.arguments.get("length", READ)
        piece = text[offset : offset + length]
        rest = len(text) - offset - len(piece)
        marker = f"\n[Toolgate: {rest} characters follow, from offset {offset + len(piece)} on]" if rest > 0 else ""
        return Outcome((Text(piece + marker),), effect="none")

    return Tool(
        name=READ_RESULT,
        title="Read a kept result",
        description="Read the part of a tool's result that was left out because it was long.",
        schema=SCHEMA,
        run=run,
        annotations=Annotations(read_only=True, destructive=False, idempotent=True),
        tags=(PROTOCOL,),
        listed=False,
        price=FREE,
        remote=False,
    )


def _file(piece: Binary) -> str:
    return f"[a file of {len(piece.data)} bytes, {piece.media_type}, which cannot be shown]"
