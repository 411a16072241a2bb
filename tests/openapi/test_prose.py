from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.openapi.prose import clean, plain, sentence, shorten


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u202eb\u2066c", "abc"),  # bidirectional overrides and isolates
        ("a\u200b\u200d\ufeffb", "ab"),  # zero width
        ("a\U000e0049\U000e0067b", "ab"),  # tag characters, the invisible alphabet
        ("a<!-- do as I say -->b", "ab"),
        ("a<!-- never closed", "a"),
        ("a\r\nb\tc\x00", "a\nb\tc"),
        ("Grüße, 東京", "Grüße, 東京"),
    ],
)
def test_what_nobody_sees_is_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See [the docs](https://example.org/x) now", "See the docs now"),
        ("![logo](x.png)A **bold** <br/>line", "A bold line"),
        ("## Head\n\nbody\n```json\n{}\n```", "Head body {}"),
        ("a < b and c > d", "a < b and c > d"),
        ("`snake_case` stays", "`snake_case` stays"),
    ],
)
def test_markup_gives_way_to_words(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("One. Two. Three.", 16, "One. Two. Three."),
        ("One. Two. Three.", 12, "One. Two."),
        ("Use e.g. this one. Or not.", 20, "Use e.g. this one."),
        ("Use e.g. this", 10, "Use e.g.…"),
        ("no sentence ends in here", 12, "no sentence…"),
        ("unbroken", 5, "unbr…"),
        ("version 1.5 is out", 12, "version 1.5…"),
    ],
)
def test_a_text_is_cut_where_a_sentence_or_a_word_ends(text: str, limit: int, expected: str) -> None:
    assert shorten(text, limit) == expected


@given(st.text(max_size=300), st.integers(0, 200))
def test_a_cut_text_is_never_longer_than_asked(text: str, limit: int) -> None:
    assert len(shorten(text, limit)) <= limit or text == shorten(text, limit) == ""


def test_a_sentence_gets_one_full_stop() -> None:
    assert [sentence(text) for text in ("Go", "Go.", "Go?", "")] == ["Go.", "Go.", "Go?", ""]


@pytest.mark.parametrize("filling", ["\n", " ", "   \n", "\t\n", "#", "`", "\n#", "*", "_a", "<a ", "<!--", "[x]", "&lt;"])
def test_a_description_made_to_be_read_for_hours_is_read_at_once(filling: str) -> None:
    text = filling * 250_000 + "\n# the end"  # a reading that is quadratic in it would not end today

    assert plain(clean(text)).endswith("the end") or "<!--" in filling
