"""What replies say of their model by themselves, without anybody judging them: whether they have the form that was asked for, and what
came of the tools that they called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Literal

import jsonschema_rs

from toolgate.llm.messages import Message, Prompt, Reply, ToolResult


def judged(prompt: Prompt, reply: Reply) -> Sequence[tuple[Literal["arguments", "verifier"], float]]:
    """Who found what: the schemas of tools, of the calls there are; the schema of the answer, where one was asked for. 0 to 1."""
    found: list[tuple[Literal["arguments", "verifier"], float]] = []
    if reply.message.calls:
        schemas = {tool.name: tool.schema for tool in prompt.tools}
        fitting = [call.name in schemas and fits(call.arguments, schemas[call.name]) for call in reply.message.calls]
        found.append(("arguments", sum(fitting) / len(fitting)))
    elif prompt.schema is not None and reply.stop == "end":
        found.append(("verifier", float(fits(_json(reply.message.text), prompt.schema))))
    return found


def results(messages: Sequence[Message]) -> Sequence[ToolResult]:
    """What came of the calls of the last reply, where nothing was said since."""
    found = list(takewhile(lambda message: isinstance(message, ToolResult), reversed(messages)))
    return [message for message in reversed(found) if isinstance(message, ToolResult)]


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether `value` is what `schema` describes; a schema that is none describes everything."""
    try:
        # `offline`: schemas are callers' and strangers' too, and what a `$ref` in one names is never fetched.
        return bool(jsonschema_rs.is_valid(dict(schema), dict(value) if isinstance(value, Mapping) else value, offline=True))
    except (ValueError, jsonschema_rs.ValidationError):
        return value is not None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
