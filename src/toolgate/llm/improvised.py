"""What a `scripted` provider says without a script: it looks for tools with the task's words, calls one that only reads, tells what came.

There is no understanding in it and it says so. What it needs for a call it takes from the task by form alone: `acme/widgets` is an owner
and a repository, `#12` a number, quoted words or the whole task what is searched for. A tool that wants more is not called.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.llm.messages import Assistant, Message, ToolResult, ToolSpec, User
from toolgate.llm.script import MARKS

LABEL = "[scripted: no language model was asked]"
READING = re.compile(r"(^|_)(list|get|search|find|show|read|describe|count|lookup)(_|$)")
REPOSITORY = re.compile(r"\b([A-Za-z0-9][\w-]{0,38})/([\w.-]{1,100})\b")
NUMBER = re.compile(r"#(\d{1,9})\b")
QUOTED = re.compile(r"[\"“']([^\"”']{2,200})[\"”']")
SEARCHED = frozenset({"query", "q", "text", "search", "keywords", "term", "keyword"})
NUMBERS = frozenset({"number", "issue_number", "pull_number", "pull", "issue"})
SHOWN = 1500
"""Characters of a result that are told."""


@dataclass(frozen=True, slots=True)
class Said:
    """A reply."""

    text: str
    calls: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Tools and their arguments."""


def improvised(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Said:
    """The reply to `messages`, for the task that was asked last."""
    start = max((place for place, message in enumerate(messages) if isinstance(message, User)), default=0)
    task = getattr(messages[start], "text", "") if messages else ""
    offered = {tool.name: tool for tool in tools}
    made = [(call.name, call.arguments or {}) for message in messages[start:] if isinstance(message, Assistant) for call in message.calls]
    results = [message for message in messages[start:] if isinstance(message, ToolResult)]
    if not offered:
        return Said(f"{LABEL} {_told(made, results) if results else 'There are no tools here, and without them a script knows nothing.'}")
    if not made and "search_tools" in offered:
        return Said(f"{LABEL} I look for tools with the words of the task.", (("search_tools", {"query": task[:500] or "tools"}),))
    if not made or (len(made) == 1 and made[0][0] == "search_tools"):
        found = _found(results[-1].text) if results else _readers(tools)
        chosen = next(((name, values) for name, wanted in found if (values := _values(wanted, task)) is not None), None)
        if chosen is not None:
            name, values = chosen
            call = (name, values) if name in offered else ("call_tool", {"name": name, "arguments": values})
            return Said(f"{LABEL} {name} only reads, and the task says all that it needs: I call it.", (call,))
        names = ", ".join(name for name, _ in found[:5]) or "none"
        return Said(f"{LABEL} Tools that read and fit the task's words: {names}. None of them can be called with what the task says alone.")
    return Said(f"{LABEL} {_told(made, results)}")


def _told(made: Sequence[tuple[str, Mapping[str, Any]]], results: Sequence[ToolResult]) -> str:
    last = results[-1]
    name, arguments = made[-1] if made else ("a tool", {})
    name = str(arguments.get("name", name)) if name == "call_tool" else name
    text = MARKS.sub("", last.text).strip()
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]} … ({len(text) - SHOWN} more characters)"
    return f"{name} {'did not succeed' if last.failed else 'answered'}:\n\n{shown}"


def _found(text: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Tools that only read, as `search_tools` tells of them, each with what it must be given."""
    try:
        tools = json.loads(text[text.find("{") : text.rfind("}") + 1])["tools"]  # the agent wraps results in marks of its own
        reading = [tool for tool in tools if tool["effect"] == "reads"]
        return [(str(tool["name"]), _wanted(str(tool["arguments"]))) for tool in reading]
    except (ValueError, KeyError, TypeError):
        return []


def _wanted(signature: str) -> Mapping[str, Any]:
    """`owner: string, state?: open|closed` as `{"owner": {"type": "string"}}`: what is not optional."""
    pairs = [part.partition(": ") for part in signature.split(", ") if ": " in part]
    return {name: {"enum": kind.split("|")} if "|" in kind else {"type": kind} for name, _, kind in pairs if not name.endswith("?")}


def _readers(tools: Sequence[ToolSpec]) -> list[tuple[str, Mapping[str, Any]]]:
    """Those of `tools` that by their names only read, each with what it must be given."""
    reading = [tool for tool in tools if READING.search(tool.name)]
    return [(tool.name, _required(tool.schema)) for tool in reading]


def _required(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    properties = schema.get("properties", {})
    return {name: properties.get(name, {}) for name in schema.get("required", ())}


def _values(wanted: Mapping[str, Any], task: str) -> dict[str, Any] | None:
    """What `wanted` is in the words of `task`; None: it does not say all of it."""
    values = {name: _value(name, schema, task) for name, schema in wanted.items()}
    return None if None in values.values() else values


def _value(name: str, schema: Any, task: str) -> Any:
    repository, number, quoted = REPOSITORY.search(task), NUMBER.search(task), QUOTED.search(task)
    if name == "owner" and repository:
        return repository[1]
    if name in ("repo", "repository") and repository:
        return repository[2]
    if name in NUMBERS and number:
        return int(number[1])
    if name in SEARCHED:
        return quoted[1] if quoted else task[:200] or None
    choices = schema.get("enum") if isinstance(schema, Mapping) else None
    return next((choice for choice in choices or () if str(choice).lower() in task.lower().split()), None)
