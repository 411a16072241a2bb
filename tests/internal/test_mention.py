from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from toolgate.internal.marker import Marker, digest, kept, marked, marker_in
from toolgate.internal.mention import mentioned, missing, with_mentions

A = Marker("login", "form")
B = Marker("login", "api")


def test_a_marker_is_an_html_comment_at_the_end_and_read_back() -> None:
    assert marked("Do it.\n", A) == "Do it.\n\n<!-- toolgate:login/form -->"
    assert marked("", A) == "<!-- toolgate:login/form -->"
    assert marker_in(marked("Do it.", A)) == A
    assert [marker_in(text) for text in (None, "", "<!-- toolgate:two words/x -->", "toolgate:login/form")] == [None] * 4


def test_a_marker_pasted_into_a_text_does_not_count_beside_ours() -> None:
    assert marker_in(marked(f"As in {B}", A)) == A


def test_a_new_text_keeps_the_marker_of_the_old_one() -> None:
    assert kept(marked("Old", A), "New") == f"New\n\n{A}"
    assert kept(marked("Old", A), f"New\n\n{A}") == f"New\n\n{A}"
    assert kept("Old", "New") == kept(None, "New") == "New"


def test_a_digest_is_a_key_and_tells_contents_apart() -> None:
    assert digest("approve", "", []) == digest("approve", "", [])
    assert len({digest("a", "b"), digest("ab", ""), digest("b", "a")}) == 3


def test_a_number_is_mentioned_only_as_an_issue_of_this_repository() -> None:
    assert all(mentioned(text, 7) for text in ("#7", "see (#7).", "a\n#7\nb", "#77 and #7"))
    assert not any(mentioned(text, 7) for text in ("", "7", "#77", "other/repo#7", "a#7", "##7", "#7a"))


def test_mentions_stand_above_the_marker_and_nothing_is_said_twice() -> None:
    text = marked("Do it, as #7 says.", A)

    assert with_mentions(text, {"Related": [7, 8, 9], "Part of": [1]}) == f"Do it, as #7 says.\n\nRelated: #8, #9\nPart of: #1\n\n{A}"
    assert with_mentions(text, {"Related": [7]}) == text
    assert with_mentions("No marker", {"Related": [8]}) == "No marker\n\nRelated: #8"
    assert with_mentions(f"{A}\nAdded below", {"Related": [8]}) == f"Related: #8\n\n{A}\nAdded below"


@given(st.text(), st.lists(st.integers(1, 99), unique=True, max_size=5))
def test_after_mentions_are_added_none_is_missing_and_the_marker_still_counts(text: str, numbers: list[int]) -> None:
    told = with_mentions(marked(text, A), {"Related": numbers})

    assert missing(told, {"Related": numbers}) == {}
    assert with_mentions(told, {"Related": numbers}) == told
    assert marker_in(told) == A
