from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.wire import Response
from toolgate.openapi.freshness import fresh


def answer(*cache_control: str, **more: str) -> Response:
    return Response(200, (*(("Cache-Control", value) for value in cache_control), *((name, value) for name, value in more.items())))


@pytest.mark.parametrize(
    ("response", "own", "everybodys"),
    [
        (answer(), None, None),
        (answer("public"), None, None),
        (answer("max-age=60"), 60, 60),
        (answer("Max-Age = 60"), 60, 60),
        (answer('max-age="60"'), 60, 60),  # RFC 9111, 5.2: both forms are to be accepted
        (answer("private, max-age=60, s-maxage=30"), 60, 0),  # as GitHub's, but for the 30
        (answer("max-age=60, s-maxage=30"), 60, 30),
        (answer("max-age=60", "no-store"), 0, 0),
        (answer("no-cache"), 0, 0),
        (answer('no-cache="set-cookie", max-age=60'), 0, 0),  # qualified: taken for the whole, the safe side
        (answer('community="no-store", max-age=60'), 60, 60),
        (answer("x-no-store, max-age=60"), 60, 60),
        (answer("max-age=60, max-age=5"), 60, 60),
        (answer("max-age=60", age="45"), 15, 15),
        (answer("max-age=60", age="600"), 0, 0),
        (answer("max-age=60", age="soon"), 60, 60),
        (answer("max-age=-1"), 0, 0),
        (answer("max-age"), 0, 0),
        (answer("max-age=60", vary="*"), 0, 0),
        (answer("max-age=60", vary="Accept"), 60, 60),
        (answer("max-age=99999999999999999999"), 999_999_999, 999_999_999),
    ],
)
def test_it_is_what_the_other_side_says(response: Response, own: float | None, everybodys: float | None) -> None:
    assert (fresh(response, shared=False), fresh(response, shared=True)) == (own, everybodys)


@given(st.lists(st.text()), st.text(), st.booleans())
def test_whatever_it_says_the_seconds_are_a_number_or_nothing(values: list[str], age: str, shared: bool) -> None:
    seconds = fresh(answer(*values, age=age), shared=shared)

    assert seconds is None or 0 <= seconds <= 999_999_999
