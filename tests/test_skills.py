"""Skills are read in the form of Agent Skills, and the bundled ones name tools that there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from toolgate.calls import Text
from toolgate.errors import Misconfigured
from toolgate.openapi.load import load_all
from toolgate.policy.globs import matches
from toolgate.settings import Settings, bundled
from toolgate.skills import Skill, read_skills, tools_of
from toolgate.testing import a_call

DEPLOY = """---
name: deploy
description: Deploy a service. Use when somebody asks to ship.
allowed-tools: github_list_* github_get_issue
license: Apache-2.0
metadata: {version: "1"}
---
1. Look first.
"""


async def test_a_skill_is_a_file_or_a_folder_with_one(tmp_path: Path) -> None:
    (tmp_path / "deploy.md").write_text(DEPLOY)
    (tmp_path / "undo").mkdir()
    (tmp_path / "undo" / "SKILL.md").write_text("---\ndescription: Undo it\nallowed-tools: [a, b]\n---\nBack.")

    skills = read_skills(tmp_path)
    outcome = await tools_of(skills)[0].run(a_call())

    assert skills == (
        Skill.model_validate(
            {
                "name": "deploy",
                "description": "Deploy a service. Use when somebody asks to ship.",
                "allowed-tools": ("github_list_*", "github_get_issue"),
                "license": "Apache-2.0",
                "metadata": {"version": "1"},
                "text": "1. Look first.",
            }
        ),
        Skill.model_validate({"name": "undo", "description": "Undo it", "allowed-tools": ("a", "b"), "text": "Back."}),
    )
    assert [tool.name for tool in tools_of(skills)] == ["skills/deploy", "skills/undo"]
    assert outcome.content == (Text("1. Look first."),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("---\nname: deploy\n---\nx", "description"),
        ("---\nname: Deploy it\ndescription: d\n---\nx", "name"),
        ("---\ndescription: d\n---\n", "no text"),
    ],
)
def test_what_is_no_skill_is_said(text: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "deploy.md").write_text(text)

    with pytest.raises(Misconfigured, match=why):
        read_skills(tmp_path)


def test_a_file_and_a_folder_may_not_be_one_skill(tmp_path: Path) -> None:
    (tmp_path / "deploy.md").write_text(DEPLOY)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "SKILL.md").write_text(DEPLOY)

    with pytest.raises(Misconfigured, match="have the same name, deploy"):
        read_skills(tmp_path)


def test_every_tool_that_a_bundled_skill_names_is_bundled_too() -> None:
    names = [definition.name for loaded in load_all(Settings()) for definition in loaded.definitions]
    skills = read_skills(bundled("skills"))

    globs = {(skill.name, glob) for skill in skills for glob in skill.tools}
    unknown = {(skill, glob) for skill, glob in globs if not any(matches(glob, name) for name in names)}

    assert len(skills) >= 3
    assert unknown == set()
    # A text may only name tools that it allows, so that nobody is sent where they may not go.
    for skill in skills:
        named = {name for name in names if f"`{name}`" in skill.text}
        assert {name for name in named if not any(matches(glob, name) for glob in skill.tools)} == set(), skill.name
