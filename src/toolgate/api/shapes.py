"""A tool in the shape in which each model provider wants to be told of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toolgate import money
from toolgate.calls import Tool
from toolgate.gateway.discover import effects
from toolgate.llm.strict import shown

OPENAI_DESCRIPTION = 1024
"""Characters of a function's description; OpenAI refuses the whole request over a longer one."""
BRIEF = 160
"""Characters of a description in a line."""


def mcp(tool: Tool) -> dict[str, Any]:
    """As MCP's `tools/list` (2026-07-28) shows it."""
    told = effects(tool)
    whole = {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": tool.input_schema,
        "annotations": {
            "readOnlyHint": told.read_only,
            "destructiveHint": told.destructive,
            "idempotentHint": told.idempotent,
            "openWorldHint": told.open_world,
        },
    }
    return {key: value for key, value in whole.items() if value is not None}


def openai(tool: Tool) -> dict[str, Any]:
    """As a tool of OpenAI's chat completions; the compatible servers take it too."""
    return {"type": "function", "function": _function(tool)}


def openai_responses(tool: Tool) -> dict[str, Any]:
    """As a tool of OpenAI's responses."""
    return {"type": "function", **_function(tool)}


def anthropic(tool: Tool) -> dict[str, Any]:
    """As a tool of Anthropic's messages."""
    return {"name": tool.name, "description": tool.description, "input_schema": shown(tool.input_schema)}


def brief(tool: Tool) -> dict[str, Any]:
    """As people choose from: what it is and does in a line, without its schema."""
    told = effects(tool)
    return {
        "name": tool.name,
        "title": tool.title,
        "description": shortened(tool.description, BRIEF),
        "integration": tool.integration,
        "category": tool.tags[0] if tool.tags and ":" not in tool.tags[0] else None,
        "request": tool.request or None,
        "effect": "read" if told.read_only else "destroy" if told.destructive else "write",
        "price": None if tool.price is None else {**money.shown(tool.price.reserve), "estimated": tool.price.estimated},
    }


def _function(tool: Tool) -> dict[str, Any]:
    # Not strict: that mode wants every property required and forbids much of JSON Schema.
    return {"name": tool.name, "description": shortened(tool.description), "parameters": shown(tool.input_schema), "strict": False}


def shortened(text: str, characters: int = OPENAI_DESCRIPTION) -> str:
    """`text`, cut at the end of a sentence if there is one in its second half, else with an ellipsis."""
    if len(text) <= characters:
        return text
    end = text.rfind(". ", characters // 2, characters)
    return text[: end + 1] if end > 0 else f"{text[: characters - 1]}…"


SHAPES: dict[str, Callable[[Tool], dict[str, Any]]] = {
    "mcp": mcp,
    "openai": openai,
    "openai-responses": openai_responses,
    "anthropic": anthropic,
    "brief": brief,
}
