"""Skills: instructions for one kind of work, listed by name and read when they are needed.

A skill is a Markdown file in the form of Agent Skills (agentskills.io): `NAME.md`, or `NAME/SKILL.md` with files beside it.

    ---
    name: triage-issues
    description: Sort new issues of a repository. Use when somebody asks to triage, label or prioritise issues.
    allowed-tools: github_list_issues github_get_issue github_add_issue_labels
    ---
    1. List …

What it allows bounds what an agent calls while it follows the skill, and grants nothing: the policy still decides. Each is a
tool to the gate, `skills/NAME`, so that the policy says who sees it and the audit who has read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from toolgate.calls import Tool
from toolgate.errors import Misconfigured
from toolgate.prompts import MAX_FILES, Prompt, markdown, one_of_each, read, tool_of
from toolgate.settings import Strict

KIND = "skills"
"""What stands before the slash in the name that the gate knows a skill by."""


class Skill(Strict):
    """The keys of its front matter, and the instructions below it."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)
    title: str | None = None
    description: str = Field(min_length=1, max_length=1024)
    """What it does and when to use it: what a model chooses by."""
    tools: tuple[str, ...] = Field(default=(), alias="allowed-tools")
    """Globs over the names of tools that may be called while it is followed, in a list or parted by spaces or commas; empty: it does
    not say."""
    license: str | None = None
    compatibility: str | None = None
    metadata: Mapping[str, Any] = {}
    text: str

    @field_validator("tools", mode="before")
    @classmethod
    def _in_one_text_or_a_list(cls, value: Any) -> Any:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def read_skills(folder: Path) -> tuple[Skill, ...]:
    """The skills of `folder`, by name.

    Raises:
        Misconfigured: there is no such folder, a file is no skill, or two have one name; the message says which.
    """
    files = [*markdown(folder), *sorted(folder.glob("*/SKILL.md"))]
    if len(files) > MAX_FILES:
        raise Misconfigured(f"{folder} has {len(files)} skills, and {MAX_FILES} are taken at most")
    skills = {file: read(Skill, file, file.parent.name if file.name == "SKILL.md" else file.stem) for file in files}
    one_of_each({file: skill.name for file, skill in skills.items()})
    return tuple(sorted(skills.values(), key=lambda skill: skill.name))


def tools_of(skills: Iterable[Skill]) -> list[Tool]:
    """`skills` as the gate knows them; to MCP clients they are prompts without arguments."""
    prompts = (Prompt(name=skill.name, title=skill.title, description=skill.description, text=skill.text) for skill in skills)
    return [tool_of(prompt, KIND) for prompt in prompts]
