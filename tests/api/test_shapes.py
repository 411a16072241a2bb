"""How long a description may get where a provider limits it."""

from __future__ import annotations

import pytest

from toolgate.api.shapes import shortened


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1023 + "…"),
        ("a" * 600 + ". " + "b" * 600, "a" * 600 + "."),
        ("a. " + "b" * 1100, "a. " + "b" * 1020 + "…"),
    ],
    ids=["fits", "one too many", "a sentence", "an early sentence"],
)
def test_a_description_is_cut_where_a_sentence_ends(text: str, short: str) -> None:
    assert shortened(text) == short
