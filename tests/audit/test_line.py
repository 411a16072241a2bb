"""One event is one line, whatever is in it, and reads back the same."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.audit.line import canonical, line

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_it_is_one_line_without_anything_that_steers_a_terminal_and_reads_back(value: Any) -> None:
    text = line(value)

    assert len(text.splitlines()) == 1
    assert [character for character in text if unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"}] == []
    assert json.loads(text) == orjson.loads(text) == value


@pytest.mark.parametrize(
    "attack",
    [
        'x"}\n{"type":"call.outcome","forged":true}',
        "\x1b[2J\x1b]0;owned\x07",
        "user\u202egpj.exe",
        "a\u2066b\u2069",
        "zero\u200bwidth\ufeff",
        "line\u2028paragraph\u2029next\x85",
        "tag \U000e0041\U000e007f",
        "\x7f\x9b31m",
        "\\u202e is six characters",
    ],
)
def test_attacks_of_known_kinds_stay_inside_their_text(attack: str) -> None:
    text = line({"tool": attack, attack: 1})

    assert json.loads(text) == {"tool": attack, attack: 1}
    assert re.fullmatch(r"[\x20-\x7e]*", text)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": "\ud800"}, {"a": "?"}),
        ({"a": 10**30}, {"a": "1" + "0" * 30}),
        ({1: True}, {"1": True}),
        ({"a": object()}, {"a": "a object"}),
        ({"a": float("nan")}, {"a": None}),
        ({"a": (1, 2)}, {"a": [1, 2]}),
    ],
)
def test_what_json_cannot_hold_is_replaced_and_never_refused(value: Any, kept: Any) -> None:
    assert json.loads(line(value)) == kept


def test_what_is_nested_too_deep_to_be_written_is_cut() -> None:
    value: Any = "\ud800"
    for _ in range(300):
        value = [value]

    assert "nested too deep" in line(value)


@given(st.dictionaries(st.text(), st.integers(-9, 9), min_size=2, max_size=6))
def test_equal_values_have_equal_bytes(value: dict[str, int]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))
