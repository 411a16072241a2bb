"""Tools that a request brings with it: the model may want them called, and the program that asked does so.

The run waits meanwhile. A call is known to the program by its run and its own id (`RUN_CALL`), so that a request whose last messages
are its results says which run goes on, and nothing else has to be carried along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolgate.agent.events import Finished
from toolgate.api.conversation import text_of
from toolgate.errors import InvalidArguments
from toolgate.llm.messages import ToolSpec

MOST = 128
"""Tools of one request, as OpenAI has it."""
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Programs put `_` for what Anthropic takes in no id, `.` for one. Ids of some servers are long: they carry what a model thought.
CALL = re.compile(r"([0-9a-f]{32})_(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Results:
    """What came of calls that a run waits for."""

    run: str
    by_call: Mapping[str, str]


def tools_in(tools: Sequence[Any] | None, choice: Any) -> tuple[ToolSpec, ...] | None:
    """The tools that a request brings; None: it says nothing of any.

    Args:
        choice: its `tool_choice`.

    Raises:
        InvalidArguments: they are none, or `choice` is of others.
    """
    specs = specs_of([_function(tool, place) for place, tool in enumerate(tools or ())])
    if choice in (None, "auto"):
        return specs or None
    if choice == "none":
        return ()
    chosen = specs if choice == "required" else tuple(spec for spec in specs if spec.name == _named(choice))
    if not chosen:
        raise InvalidArguments(
            "tool_choice: auto, none, or of the tools that the request brings required or one function; "
            "which of its own it calls the agent decides"
        )
    return chosen


def has_to_call(choice: Any) -> bool:
    """Whether a request with this `tool_choice` wants a call for its answer."""
    return choice not in (None, "auto", "none")


def specs_of(functions: Sequence[Any]) -> tuple[ToolSpec, ...]:
    """Tools of `name`, `description` and `parameters`, as OpenAI's functions and AG-UI's tools have them alike.

    Raises:
        InvalidArguments: they are none, or too many.
    """
    specs = tuple(_spec(function, f"tools.{place}") for place, function in enumerate(functions))
    if len(specs) > MOST or len({spec.name for spec in specs}) < len(specs):
        raise InvalidArguments(f"tools: {MOST} at most, each with a name of its own")
    return specs


def results_in(messages: Sequence[Any]) -> Results | None:
    """The results of calls of one run that `messages` end with, before what the user may say last; None: they are of none of ours.

    Raises:
        InvalidArguments: they are of several runs.
    """
    said = list(messages)
    while said and isinstance(said[-1], Mapping) and said[-1].get("role") == "user":
        said.pop()
    found: dict[str, dict[str, str]] = {}
    for place in range(len(said) - 1, -1, -1):
        message = said[place]
        if not isinstance(message, Mapping) or message.get("role") != "tool":
            break
        named = CALL.fullmatch(str(message.get("tool_call_id")))
        if named is None:
            return None
        found.setdefault(named[1], {})[named[2]] = text_of(message.get("content"), f"messages.{place}.content")
    if len(found) > 1:
        raise InvalidArguments("the last results are of calls of several runs; send those of one")
    return next((Results(run, by_call) for run, by_call in found.items()), None)


def wanted(end: Finished) -> list[dict[str, Any]]:
    """The calls that a run waits for, as a message of Chat Completions has them."""
    return [
        {"id": f"{end.run}_{call.id}", "type": "function", "function": {"name": call.name, "arguments": call.raw}} for call in end.theirs
    ]


def _named(choice: Any) -> Any:
    match choice:
        case {"type": "function", "function": {"name": name}}:
            return name
    return None


def _function(tool: Any, place: int) -> Any:
    if not isinstance(tool, Mapping) or tool.get("type") != "function":
        raise InvalidArguments(f"tools.{place}: the agent takes tools of the type function")
    return tool.get("function")


def _spec(function: Any, where: str) -> ToolSpec:
    if not isinstance(function, Mapping):
        raise InvalidArguments(f"{where}: a tool is an object with a name")
    name, about, schema = function.get("name"), function.get("description") or "", function.get("parameters") or {"type": "object"}
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidArguments(f"{where}: its name has 1 to 64 letters, digits, _ or -")
    if not isinstance(about, str) or not isinstance(schema, Mapping) or schema.get("type", "object") != "object":
        raise InvalidArguments(f"{where}: its description is a text, and parameters the JSON Schema of an object")
    return ToolSpec(name, about, dict(schema))
