from __future__ import annotations

import pytest

from toolgate.egress.wire import seconds_in


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("15", 15.0),
        ("0", 0.0),
        ("9" * 12, 999_999_999_999.0),
        ("9" * 13, None),
        ("²", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_in_a_header_are_plain_digits_and_not_endless(header: str | None, seconds: float | None) -> None:
    assert seconds_in(header) == seconds
