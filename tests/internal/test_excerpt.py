from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from toolgate.internal.excerpt import shown


def test_short_output_is_whole_without_what_nobody_sees() -> None:
    assert shown(b"a\r\nb\x1b[0m\x00", "ü\n".encode(), 1000) == ("a\nb[0m", "ü\n", False)


def test_of_long_output_beginning_and_end_are_kept_and_the_short_stream_is_whole() -> None:
    stdout, stderr, cut = shown(b"first\n" + b"x" * 100_000 + b"\nlast", b"why", 3000)

    assert (stdout[:6], stdout[-5:], stderr, cut) == ("first\n", "\nlast", "why", True)
    assert "characters left out" in stdout


@given(st.binary(max_size=5000), st.binary(max_size=5000), st.integers(500, 4000))
def test_the_answer_has_room_for_both(stdout: bytes, stderr: bytes, room: int) -> None:
    out, err, cut = shown(stdout, stderr, room)

    assert len(orjson.dumps(out)) + len(orjson.dumps(err)) <= room + 400 or not cut
