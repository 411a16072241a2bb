"""Which tools a model is shown: all where they take little of its window, else those that find others. Pure.

What is shown is only ever added to within a run, at the end, so that what a provider has cached of the beginning stays good.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import orjson

from toolgate.agent.kept import READ_RESULT
from toolgate.calls import Tool
from toolgate.gateway import unwrapped
from toolgate.llm.messages import ToolSpec

SHARE = 0.1
"""Of the window that the schemas may take."""
MOST = 120
"""Tools that are shown; OpenAI takes 128 in a request and refuses it with more, and the agent has some of its own."""
PER_TOKEN = 4  # bytes of JSON; schemas are ASCII with long words
FINDERS = ("search_tools", "describe_tool", "call_tool")
PROTOCOL = "protocol"
SKILLS = "skills/"
LOAD_SKILL = "load_skill"
AGENT_RUN, SUBMIT_JOB = "agent_run", "internal_submit_job"
"""Tools that have others called, which their arguments name."""
WILD = frozenset("*?[")
FOUND = 5
"""Tools of one search that are shown from then on."""


def offered(tools: Mapping[str, Tool], globs: Sequence[str] | None, window: int) -> tuple[list[ToolSpec], bool]:
    """What to show of `tools`, all that the agent may know of, and whether that is all of them.

    Args:
        globs: names that the task is about; None: any.
        window: tokens.
    """
    own = [spec_of(tools[READ_RESULT])] if READ_RESULT in tools else []
    own += [loading] if (loading := _load_skill(tools)) else []
    chosen = [tool for name, tool in tools.items() if _is_meant(name, tool, globs)]
    specs = [spec_of(tool) for tool in chosen]
    if len(specs) <= MOST and sum(map(size, specs)) <= SHARE * window * PER_TOKEN:
        return [*specs, *own], True
    finders = [spec_of(tools[name]) for name in FINDERS if name in tools]
    if not finders:  # nothing finds what is not shown, so as many as fit are
        return [*_fitting(specs, window), *own], True
    return [*finders, *own], False


def added(tools: Mapping[str, Tool], globs: Sequence[str] | None, found: Iterable[str]) -> list[ToolSpec]:
    """What searches have found so far, by name, of the tools that were not shown before; later ones go by `call_tool`."""
    return [spec_of(tools[name]) for name in found if name in tools and _is_meant(name, tools[name], globs)][:MOST]


def meant(name: str, globs: Sequence[str] | None) -> bool:
    """Whether a task that is about `globs` may call `name`."""
    return globs is None or name in (READ_RESULT, LOAD_SKILL, *FINDERS) or any(fnmatchcase(name, glob) for glob in globs)


def outside(name: str, arguments: Mapping[str, Any], globs: Sequence[str] | None) -> str | None:
    """What of a call is not among `globs`: its tool, the one that it has called in the background, or what an agent within may call.

    None: nothing is.
    """
    if globs is None:
        return None
    if not meant(name, globs):
        return name
    if name == SUBMIT_JOB and isinstance(inner := arguments.get("tool"), str):
        within = arguments.get("arguments")
        return outside(*unwrapped(inner, within if isinstance(within, Mapping) else {}), globs)
    if name == AGENT_RUN:
        wanted = arguments.get("tools")
        if not isinstance(wanted, Sequence):
            return None if "*" in globs else f"{AGENT_RUN} without `tools`"
        return next((f"{AGENT_RUN} with {one}" for one in wanted if not _narrower(str(one), globs)), None)
    return None


def _narrower(glob: str, globs: Sequence[str]) -> bool:
    """Whether all that `glob` means is surely meant by one of `globs`."""
    if not WILD.intersection(glob):
        return meant(glob, globs)
    return any(glob == one or (one.endswith("*") and not WILD.intersection(one[:-1]) and glob.startswith(one[:-1])) for one in globs)


def spec_of(tool: Tool) -> ToolSpec:
    return ToolSpec(tool.name, tool.description, tool.input_schema)


def size(spec: ToolSpec) -> int:
    """Bytes, as a provider gets it."""
    return len(spec.name) + len(spec.description) + len(orjson.dumps(spec.schema, default=str)) + 40


def skills(tools: Mapping[str, Tool]) -> Mapping[str, Tool]:
    """Skills by name, each a tool to the gate."""
    return {name.removeprefix(SKILLS): tool for name, tool in tools.items() if name.startswith(SKILLS)}


def _is_meant(name: str, tool: Tool, globs: Sequence[str] | None) -> bool:
    return PROTOCOL not in tool.tags and name not in FINDERS and meant(name, globs)


def _fitting(specs: Sequence[ToolSpec], window: int) -> list[ToolSpec]:
    room, fitting = SHARE * window * PER_TOKEN, []
    for spec in specs[:MOST]:
        room -= size(spec)
        if room < 0:
            break
        fitting.append(spec)
    return fitting


def _load_skill(tools: Mapping[str, Tool]) -> ToolSpec | None:
    names = sorted(skills(tools))
    if not names:
        return None
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"name": {"enum": names}},
        "required": ["name"],
        "additionalProperties": False,
    }
    return ToolSpec(LOAD_SKILL, "Read the instructions of one skill before you do what it is for.", schema)
