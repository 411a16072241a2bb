"""Server-sent events (WHATWG HTML, 9.2.6), in whatever pieces they come."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import AnswerTooLarge
from toolgate.upstream.events import Event, events


async def read(pieces: Sequence[bytes], most: int = 1000) -> list[Event]:
    left = [piece for piece in pieces if piece]

    async def next_piece() -> bytes:
        return left.pop(0) if left else b""

    return [event async for event in events(next_piece, most)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: one\n\ndata:two\n\n", [Event(b"one"), Event(b"two")]),
        (b"data: one\r\ndata: more\r\n\r\n", [Event(b"one\nmore")]),
        (b"data: one\rdata\r\rdata: x\r\r\n", [Event(b"one\n"), Event(b"x")]),
        (b": a comment\n\nevent: endpoint\ndata: /x\n\n", [Event(b"/x", "endpoint")]),
        (b"id: 7\nretry: 250\ndata:\n\n", [Event(b"", id="7", retry=0.25)]),
        (b"id: a\0b\nretry: soon\nunknown: y\ndata: z\n\n", [Event(b"z")]),
        (b"data: never completed\n", []),
    ],
)
async def test_a_stream_is_read_as_its_specification_says(stream: bytes, expected: list[Event]) -> None:
    assert await read([stream]) == expected


@given(
    st.lists(st.sampled_from([b"data: a", b"data:", b"id: 1", b"event: x", b": c", b"", b""]), max_size=12),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(1, 40), max_size=20),
)
async def test_where_a_stream_is_cut_makes_no_difference(lines: list[bytes], end: bytes, cuts: list[int]) -> None:
    stream = end.join(lines) + end + b"\n"  # a last line end, so that a CR is not taken for half of one
    pieces, start = [], 0
    for length in cuts:
        pieces.append(stream[start : start + length])
        start += length

    assert await read([*pieces, stream[start:]]) == await read([stream])


@pytest.mark.parametrize("pieces", [[b"data: ", *[b"x" * 100] * 11], [b"data: x\n" * 200], [b": " + b"c" * 2000]])
async def test_an_event_over_the_bound_is_not_waited_for(pieces: list[bytes]) -> None:
    with pytest.raises(AnswerTooLarge, match="more than the 1000 bytes"):
        await read(pieces)


async def test_a_long_stream_of_small_events_is_fine() -> None:
    assert len(await read([b"data: x\n\n" * 1000])) == 1000
