from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.search import Index
from toolgate.search.documents import Document
from toolgate.testing import a_tool

TOOLS = [
    a_tool(name="github_list_issues", description="List the issues of a repository.", integration="github"),
    a_tool(name="github_create_issue", description="Open a new issue in a repository.", integration="github"),
    a_tool(name="github_list_commits", description="List the commits of a branch.", search_text="/repos/{owner}/{repo}/commits sha"),
    a_tool(name="gsa_perdiem_rates", description="Lodging and meal rates by city.", integration="gsa_perdiem"),
]
INDEX = Index.of(TOOLS)


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
    assert INDEX.search(query, limit=3)[0] == best


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("delete the record", "remove"),  # a synonym
        ("temprature", "weather"),  # a near spelling
        ("when was The Dark Knight made", "search"),  # a proper name has to be looked up
    ],
)
def test_other_words_for_it_are_understood(query: str, found: str) -> None:
    index = Index(
        {
            "remove": Document("remove_entry"),
            "weather": Document("forecast", description="Temperature and rain."),
            "search": Document("search_movie"),
            "other": Document("list_tables"),
        }
    )

    assert index.search(query, limit=3)[0] == found


def test_the_word_itself_counts_more_than_a_synonym_and_five_synonyms_count_once() -> None:
    index = Index(
        {
            "said": Document("a", description="purchase"),
            "meant": Document("b", description="buy order shop shopping product"),
            **{f"other{number}": Document("c", description="about something else") for number in range(8)},
        }
    )

    assert index.search("purchase", limit=3) == ["said", "meant"]


def test_a_name_that_is_just_what_was_asked_comes_before_one_that_says_more() -> None:
    index = Index({"longer": Document("list_issue_blockers"), "just": Document("list_issues"), "other": Document("get_user")})

    assert index.search("list issues", limit=1) == ["just"]


def test_the_words_that_an_argument_can_be_are_found_however_deep() -> None:
    kind = {"type": "object", "properties": {"kind": {"enum": ["Weather", 7, None]}}}
    tool = a_tool(name="feed_get", schema={"type": "object", "properties": {"body": {"type": "array", "items": kind}}})

    assert Index.of([tool]).search("weather", limit=1) == ["feed_get"]


def test_only_tools_that_share_something_are_found_and_no_more_than_asked() -> None:
    assert INDEX.search("zebra", limit=9) == []
    assert len(INDEX.search("issue repository", limit=1)) == 1


def test_tools_that_are_not_given_are_not_found_though_the_index_knows_them() -> None:
    index = Index(
        {f"hidden_{number}": Document("create_issue") for number in range(50)} | {"seen": Document("update", description="an issue")}
    )

    assert index.search("create issue", limit=3, among={"seen"}) == ["seen"]


def test_a_question_of_nothing_but_stop_words_is_still_asked() -> None:
    index = Index({"me": Document("get_me", description="Find out who the caller is."), "other": Document("list_issues")})

    assert index.search("who is the", limit=3) == ["me"]


def test_an_empty_index_finds_nothing() -> None:
    assert Index({}).search("anything", limit=3) == []


def test_words_are_compared_without_accents_and_scripts_without_spaces_by_pairs() -> None:
    index = Index({"cafe": Document("find", description="Cafés nearby"), "bing": Document("q", description="使用必应搜索指定的关键词")})

    assert index.search("CAFE", limit=1) == ["cafe"]
    assert index.search("搜索", limit=1) == ["bing"]


@given(st.text(), st.integers(1, 5))
def test_any_query_is_answered_with_at_most_so_many_known_tools(query: str, limit: int) -> None:
    found = INDEX.search(query, limit=limit)

    assert len(found) <= limit
    assert set(found) <= {tool.name for tool in TOOLS}


words = st.lists(st.sampled_from("list create issue repository commit rates city of the".split()), min_size=1).map(" ".join)


@given(words, st.sets(st.sampled_from([tool.name for tool in TOOLS])))
def test_what_a_caller_may_not_see_changes_nothing_else(query: str, among: set[str]) -> None:
    everything = INDEX.search(query, limit=9)

    assert INDEX.search(query, limit=9, among=among) == [name for name in everything if name in among]


def test_whoever_sees_little_finds_by_common_words_too() -> None:
    many = {f"hidden_{number}": Document("alpha", description="beta gamma") for number in range(1500)}
    index = Index(many | {"seen": Document("other", description="gamma"), "rare": Document("delta")})

    assert index.search("delta beta gamma alpha", limit=5, among={"seen"}) == ["seen"]
