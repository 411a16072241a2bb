from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.search import Index, stem, terms
from toolgate.testing import a_tool

TOOLS = {
    tool.name: tool
    for tool in [
        a_tool(name="github_list_issues", description="List the issues of a repository."),
        a_tool(name="github_create_issue", description="Open a new issue in a repository."),
        a_tool(name="github_list_commits", description="List the commits of a branch.", search_text="/repos/{owner}/{repo}/commits sha"),
        a_tool(name="gsa_perdiem_rates", description="Lodging and meal rates by city.", integration="gsa_perdiem"),
    ]
}


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("create an issue", "github_create_issue"),
        ("listIssues", "github_list_issues"),
        ("commit sha", "github_list_commits"),
        ("what does a hotel city lodging rate cost", "gsa_perdiem_rates"),
    ],
)
def test_the_tool_that_is_meant_comes_first(query: str, best: str) -> None:
    assert Index().search(query, TOOLS, limit=3)[0] == best


def test_the_words_that_an_argument_can_be_are_found() -> None:
    tool = a_tool(name="feed_get", schema={"type": "object", "properties": {"kind": {"enum": ["Weather", 7, None]}}})

    assert Index().search("weather", {tool.name: tool}, limit=1) == ["feed_get"]


def test_only_tools_that_share_a_word_are_found_and_no_more_than_asked() -> None:
    index = Index()

    assert index.search("zebra", TOOLS, limit=9) == []
    assert len(index.search("github", TOOLS, limit=2)) == 2


def test_tools_that_are_not_given_are_not_found_though_the_index_knows_them() -> None:
    index = Index()
    index.search("issue", TOOLS, limit=9)

    visible = {name: tool for name, tool in TOOLS.items() if "create" not in name}

    assert index.search("create issue", visible, limit=9) == ["github_list_issues"]


@pytest.mark.parametrize(
    ("text", "expected"), [("listIssues", ["list", "issu"]), ("GETRepos_v2", ["get", "repo", "v", "2"]), ("", []), ("the of", [])]
)
def test_identifiers_are_split_and_stemmed(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("left", "right"), [("issue", "issues"), ("rate", "rates"), ("city", "cities"), ("create", "created"), ("branch", "branches")]
)
def test_forms_of_a_word_have_one_stem(left: str, right: str) -> None:
    assert stem(left) == stem(right)


@given(st.text())
def test_any_query_is_answered(query: str) -> None:
    assert len(Index().search(query, TOOLS, limit=4)) <= 4
