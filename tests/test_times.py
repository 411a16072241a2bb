from __future__ import annotations

import pytest

from toolgate.times import http_date, moment, retry_after, span, stamp

NOW = 1_445_412_480.0
"""Wed, 21 Oct 2015 07:28:00 GMT"""


def test_a_moment_is_written_in_utc() -> None:
    assert stamp(NOW) == "2015-10-21T07:28:00Z"
    assert stamp(NOW + 0.25, "milliseconds") == "2015-10-21T07:28:00.250Z"


@pytest.mark.parametrize("text", ["2015-10-21T07:28:00Z", "2015-10-21T07:28:00", "2015-10-21T09:28:00+02:00", "2015-10-21 07:28"])
def test_a_moment_is_in_utc_where_it_says_nothing_else(text: str) -> None:
    assert moment(text) == NOW
    assert moment("2015-10-21") == NOW - NOW % 86400


def test_what_is_no_moment_is_told_what_would_be() -> None:
    with pytest.raises(ValueError, match="such as 2026-11-20 or"):
        moment("yesterday")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("45s", 45.0),
        ("1.5m", 90.0),
        ("12h", 43_200.0),
        ("90d", 7_776_000.0),
        ("90", None),
        ("d", None),
        ("-1s", None),
        ("²s", None),
    ],
)
def test_a_span_is_a_number_and_its_unit(text: str, seconds: float | None) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("15", 15.0),
        (" 0 ", 0.0),
        ("0.5", 0.5),
        ("9" * 12, 999_999_999_999.0),
        ("9" * 13, None),
        ("²", None),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_that_end_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


def test_a_date_says_nothing_to_who_does_not_know_the_time() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:30 GMT") is None
    assert http_date("Wed, 99 Oct 2015 07:28:30 GMT") is None
