from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.agent.pipelines.draft import Draft, Drafted, from_json, outline, read_draft
from toolgate.agent.pipelines.issues import Wanted
from toolgate.internal.marker import NAME

EXAMPLES = Path(__file__).parents[3] / "examples"
ONE = Drafted("legs", "Legs unfold", "Why.", ("They do",), ("engine",))


def said(*issues: Drafted, **more: Any) -> str:
    return orjson.dumps({**Draft("s", issues).to_json(), **more}).decode()


def test_what_fits_is_a_draft_in_a_fence_or_not() -> None:
    assert read_draft(said(ONE)) == read_draft(f"```json\n{said(ONE)}\n```") == Draft("s", (ONE,))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Here is it", "it is not JSON"),
        (said(), "issues: [] has less than 1 item"),
        (said(ONE, more=1), "'more' was unexpected"),
        (said(ONE, ONE), "the keys legs stand twice"),
        (said(replace(ONE, key="tracking")), "tracking is no key"),
        (said(replace(ONE, depends_on=("fuel",))), "depends_on names fuel, which no issue has as its key"),
        (said(replace(ONE, depends_on=("b",)), replace(ONE, key="b", depends_on=("legs",))), "wait for each other in a circle"),
    ],
)
def test_what_does_not_fit_is_said(text: str, wrong: str) -> None:
    draft = read_draft(text)

    assert isinstance(draft, str)
    assert wrong in draft


@given(st.text(alphabet="#-* ab\n[]x", max_size=300))
def test_an_outline_of_anything_is_a_draft_that_fits(text: str) -> None:
    draft = outline(text)

    assert read_draft(orjson.dumps(draft.to_json()).decode()) == draft == from_json(draft.to_json())


@pytest.mark.parametrize("name", ["feature-spec.md", "api-integration.md"])
def test_the_examples_have_an_issue_for_each_part(name: str) -> None:
    text = (EXAMPLES / name).read_text()

    draft = outline(text)

    assert len(draft.issues) == text.count("\n## ")
    assert sum(len(issue.acceptance) for issue in draft.issues) == text.count("\n- ")


@pytest.mark.parametrize(
    ("one", "other"),
    [("規格.md", "設計.md"), ("entrée.md", "entrer.md"), (f"{'long-' * 20}a.md", f"{'long-' * 20}b.md"), ("規格.md", "feature.md")],
)
def test_another_file_is_another_list(one: str, other: str) -> None:
    names = [Wanted("# A\n", name, "ada", "engine").batch for name in (one, other)]

    assert len(set(names)) == 2
    assert all(re.fullmatch(NAME, name) for name in names)


def test_a_name_is_the_same_however_its_letters_are_composed() -> None:
    assert Wanted("", "entr\u00e9e.md", "ada", "engine").batch == Wanted("", "entre\u0301e.md", "ada", "engine").batch


def test_another_version_of_a_specification_is_the_same_list_by_another_draft() -> None:
    one = Wanted("# A\n", "login flow.md", "ada", "engine")
    other = replace(one, spec="# B\n")

    assert one.batch == other.batch == "spec-login-flow"
    assert one.draft != other.draft != replace(other, repo="other").draft
