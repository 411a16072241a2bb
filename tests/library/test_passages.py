from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.library.passages import LONGEST, passages
from toolgate.library.text import BREAKS, text_of


@given(st.text(alphabet="ab #\n."))
def test_passages_cover_every_word_once_in_order_and_are_short(text: str) -> None:
    found = list(passages(text))

    assert "".join("".join(text[one.start : one.end].split()) for one in found) == "".join(text.split())
    assert all(0 < one.end - one.start <= LONGEST for one in found)
    assert [one.start for one in found] == sorted(one.start for one in found)


def test_headings_are_those_above() -> None:
    text = "# A\n\none\n\n### B\n\ntwo\n\n## C ##\n\nthree"

    assert [one.heading for one in passages(text)] == ["A", "A > B", "A > C"]


def test_a_paragraph_that_is_too_long_is_cut_at_a_space() -> None:
    found = list(passages("word " * 1000))

    assert len(found) == 5
    assert all(one.end - one.start <= LONGEST for one in found)


@given(st.binary(max_size=2000), st.sampled_from([".html", ".md"]))
def test_any_bytes_are_text_or_not(data: bytes, ending: str) -> None:
    text = text_of(data, ending)

    assert text is None or isinstance(text, str)


@given(st.text(" \t\n\x0ba", max_size=30))
def test_a_run_of_spaces_with_a_newline_is_one_break(text: str) -> None:
    assert BREAKS.sub("|", text) == re.sub(r"\s*\n\s*", "|", text)


@pytest.mark.parametrize("filling", [" ", "\t", "\n", " \n", "a "])
def test_a_page_made_to_be_read_for_hours_is_read_at_once(filling: str) -> None:
    assert BREAKS.sub("", filling * 500_000 + "end").endswith("end")  # quadratic, it would not end today
