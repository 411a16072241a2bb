"""Prompts are read whole or not at all, and their places are filled exactly."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Text
from toolgate.errors import Misconfigured
from toolgate.prompts import Argument, Prompt, read_prompts, tool_of
from toolgate.testing import a_call

REVIEW = """---
name: review
title: Review
description: Review a change
arguments:
  - {name: change, description: Its URL, required: true}
  - {name: focus, default: correctness}
---

Review {{change}}. Look at {{ focus }} first; {not this}, nor {{{}}}.
"""


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text)
    return folder


async def test_a_prompt_is_a_file_with_front_matter_and_places(tmp_path: Path) -> None:
    (prompt,) = read_prompts(written(tmp_path, review=REVIEW))

    outcome = await tool_of(prompt).run(a_call(tool_of(prompt), {"change": "#7"}))

    assert prompt.arguments == (
        Argument(name="change", description="Its URL", required=True),
        Argument(name="focus", default="correctness"),
    )
    text = "Review #7. Look at correctness first; {not this}, nor {{{}}}."
    assert outcome.content == (Text(text),)
    assert outcome.structured == {
        "description": "Review a change",
        "messages": [{"role": "user", "content": {"type": "text", "text": text}}],
    }


def test_a_file_is_called_as_its_prompt_unless_it_says_another_name(tmp_path: Path) -> None:
    names = [prompt.name for prompt in read_prompts(written(tmp_path, b="---\nname: a\n---\nx", c="---\ntitle: C\n---\nx"))]

    assert names == ["a", "c"]


@given(st.text(), st.text())
def test_a_value_that_looks_like_a_place_stays_what_it_is(first: str, second: str) -> None:
    prompt = Prompt(name="p", arguments=(Argument(name="a"), Argument(name="b")), text="{{a}}|{{b}}|{{a}}")

    assert prompt.filled({"a": f"{{{{b}}}}\\1{first}", "b": second}) == f"{{{{b}}}}\\1{first}|{second}|{{{{b}}}}\\1{first}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Review it.", "front matter"),
        ("---\n- a\n---\nx", "mapping"),
        ("---\nname: p\n---\n", "has no text"),
        ("---\nname: p\n---\nReview {{change}}.", "a place for change"),
        ("---\nname: p\nargs: []\n---\nx", "args"),
        ("---\nname: p\ntext: y\n---\nx", "text"),
        ("---\nname: ../p\n---\nx", "name"),
        ("---\narguments: [{name: a}, {name: a}]\n---\nx", "two arguments"),
        ("---\narguments: [{name: a, required: true, default: b}]\n---\nx", "default is for"),
        ("---\nname: p\nname: q\n---\nx", "name"),
    ],
)
def test_what_cannot_be_meant_is_said_with_the_files_name(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=why) as refused:
        read_prompts(written(tmp_path, broken=text))

    assert "broken.md" in str(refused.value)


def test_two_files_may_not_have_one_name(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"a\.md and .*b\.md have the same name"):
        read_prompts(written(tmp_path, a="---\nname: p\n---\nx", b="---\nname: P\n---\nx"))


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="there is no folder"):
        read_prompts(tmp_path / "prompts")
