"""The three tools by which a client finds and calls what `tools/list` does not show.

They are tools like others: who may not call them does not see them, and each finds only what its caller may see.
`call_tool` never runs: the gateway unwraps it first, so that policy and audit see the real tool's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from toolgate.calls import PROTOCOL, READING, Annotations, Call, Outcome, Principal, Text, Tool
from toolgate.chain import Handler
from toolgate.errors import InvalidArguments, UnknownTool
from toolgate.gateway.search import Search
from toolgate.money import FREE

CALL_TOOL = "call_tool"
FINDERS = frozenset({"search_tools", "describe_tool", CALL_TOOL})
DISCOVERY = ("discovery",)  # tiers and scopes do not bound finders: what they find is bounded
SEARCH_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "minLength": 1, "maxLength": 500, "description": "What the tool should do, in a few words"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 50, "default": 8, "description": "How many to find"},
        "integration": {"type": "string", "description": "Only tools of this integration, such as github"},
    },
    "required": ["query"],
    "additionalProperties": False,
}
DESCRIBE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "description": "A tool's exact name, as search_tools gives it"}},
    "required": ["name"],
    "additionalProperties": False,
}
CALL_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "description": "The tool's exact name"},
        "arguments": {"type": "object", "description": "Its arguments, as describe_tool tells"},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def hidden(tool: Tool) -> bool:
    """Whether somebody has to look for it: it is not listed, though clients could call it."""
    return not tool.listed and PROTOCOL not in tool.tags


def discovery(visible: Callable[[Principal], Mapping[str, Tool]], search: Search) -> Sequence[Tool]:
    """`search_tools`, `describe_tool` and `call_tool` over what `visible` tells of a caller."""

    async def search_tools(call: Call) -> Outcome:
        arguments, tools = call.arguments, visible(call.principal)
        integration = arguments.get("integration")
        meant = {name: tool for name, tool in tools.items() if integration in (None, tool.integration) and name not in FINDERS}
        found = await search(arguments["query"], among=meant, limit=arguments.get("limit", 8))
        return told({"tools": [_summary(tools[name]) for name in found], "searched": len(meant)})

    async def describe_tool(call: Call) -> Outcome:
        tools, name = visible(call.principal), call.arguments["name"]
        if name not in tools:
            raise UnknownTool(_suggest(name, await search(name, among=tools, limit=3)))
        return told(_description(tools[name]))

    async def call_tool(call: Call) -> Outcome:
        raise InvalidArguments(f"{CALL_TOOL} wants name, the name of another tool, and arguments, an object")

    searching = "Find tools by what they do. More tools exist than are listed; call what you find with call_tool."
    describing = "The full description and argument schema of one tool. Use it before call_tool when arguments are unclear."
    calling = "Call any tool by name, listed or not. It is checked, permitted and recorded like a direct call."
    return (
        _finder("search_tools", "Search tools", searching, SEARCH_SCHEMA, search_tools),
        _finder("describe_tool", "Describe a tool", describing, DESCRIBE_SCHEMA, describe_tool),
        # Towards clients it may do whatever the tool it names does; towards the policy it is harmless, since it never runs.
        _finder(CALL_TOOL, "Call a tool", calling, CALL_SCHEMA, call_tool),
    )


def _finder(name: str, title: str, description: str, schema: dict[str, Any], run: Handler) -> Tool:
    return Tool(name=name, title=title, description=description, schema=schema, run=run, annotations=READING, tags=DISCOVERY, price=FREE)


def effects(tool: Tool) -> Annotations:
    """What clients are told of it: they must not take a call of any tool at all for a call that only reads."""
    return Annotations() if tool.name == CALL_TOOL else tool.annotations


def told(value: Mapping[str, Any]) -> Outcome:
    """A tool's answer that is `value`, as JSON and as it is."""
    return Outcome(content=(Text(orjson.dumps(value).decode()),), structured=value, effect="none")


def _suggest(name: str, nearest: Sequence[str]) -> str:
    hint = f"; did you mean {', '.join(nearest)}?" if nearest else "; search_tools finds tools by what they do"
    return f"there is no tool called {name[:64]!r}{hint}"


def _summary(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description.split("\n")[0],
        "arguments": signature(tool),
        "effect": "reads" if tool.annotations.read_only else "destroys or overwrites" if tool.annotations.destructive else "adds",
        **_away(tool),
    }


def _description(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.details or tool.description,
        "inputSchema": tool.schema,
        "annotations": {
            "readOnlyHint": tool.annotations.read_only,
            "destructiveHint": tool.annotations.destructive,
            "idempotentHint": tool.annotations.idempotent,
            "openWorldHint": tool.annotations.open_world,
        },
        **_away(tool),
    }


def _away(tool: Tool) -> dict[str, str]:
    why = tool.away() if tool.away is not None else None
    return {} if why is None else {"unavailable": why}


def signature(tool: Tool) -> str:
    """The arguments in a line: `owner: string, repo: string, state?: open|closed|all`."""
    required = set(tool.schema.get("required", ()))
    properties = tool.input_schema.get("properties", {})
    ordered = sorted(properties, key=lambda name: name not in required)
    return ", ".join(f"{name}{'' if name in required else '?'}: {_type(properties[name])}" for name in ordered)


def _type(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return "any"
    if "enum" in schema and len(schema["enum"]) <= 8:
        return "|".join(re.sub(r"^\"|\"$", "", orjson.dumps(value).decode()) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"{_type(schema.get('items'))}[]"
    kind = schema.get("type", "any")
    return "|".join(kind) if isinstance(kind, list) else str(kind)
