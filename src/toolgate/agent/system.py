"""What stands over every conversation of the agent: templates of `llm.prompts`, chosen for the task. Pure but for reading them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from toolgate.calls import Tool
from toolgate.llm.messages import TaskType, ToolSpec
from toolgate.llm.prompts import Told, told

STEP_BY_STEP: frozenset[TaskType] = frozenset({"planning", "coding", "analysis", "math"})
"""Tasks for which a plan in words is worth its tokens."""


def system(skills: Mapping[str, Tool], instructions: str = "", *, tools: Sequence[ToolSpec] = (), task: TaskType = "tool_use") -> Told:
    """The text and the versions of its templates, with the skills by name. It stays the same through a run, for providers' caches.

    Args:
        instructions: of the program that the agent works for.
        tools: that are shown; where others have to be searched for, it is told how.
    """
    searching = any(tool.name == "search_tools" for tool in tools)
    names = ["system", *(("tools", "examples") if searching else ()), *(("steps",) if task in STEP_BY_STEP else ())]
    said = told(*names)
    parts = [said.text]
    if skills:
        listed = "\n".join(
            f"- {name}: {tool.description.strip().splitlines()[0] if tool.description.strip() else ''}" for name, tool in skills.items()
        )
        parts.append(f"Skills, to be read with load_skill when a task is like what they are for:\n{listed}")
    if instructions:
        parts.append(instructions)
    return replace(said, text="\n\n".join(parts))
