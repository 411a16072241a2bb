from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.egress.decoding import Intake
from toolgate.egress.wire import Caps
from toolgate.errors import AnswerTooLarge, UpstreamFailed

WHO = "https://api.example:443"


def take_in(intake: Intake, data: bytes, size: int) -> bytes:
    taken = b"".join(intake.take(data[start : start + size]) for start in range(0, len(data), size))
    intake.end()
    return taken


@given(st.binary(max_size=5000), st.integers(1, 700))
def test_a_gzip_answer_is_decoded_however_it_is_cut(body: bytes, size: int) -> None:
    assert take_in(Intake(["gzip"], Caps(), WHO), gzip.compress(body, mtime=0), size) == body


@pytest.mark.parametrize("codings", [[], ["identity"], ["Identity, identity"], [""]])
def test_an_answer_without_encoding_is_taken_as_it_is(codings: list[str]) -> None:
    assert take_in(Intake(codings, Caps(), WHO), b"plain", 2) == b"plain"


def test_a_large_gzip_answer_is_decoded_whole() -> None:
    body = b"".join(f"{number * 7919 % 1000003},".encode() for number in range(300_000))

    assert take_in(Intake(["x-gzip"], Caps(), WHO), gzip.compress(body, mtime=0), 65536) == body


@pytest.mark.parametrize("codings", [["gzip, gzip"], ["gzip", "gzip"], ["br"], ["zstd"], ["deflate"], ["gzip, identity, br"]])
def test_an_encoding_that_was_not_asked_for_is_refused(codings: list[str]) -> None:
    with pytest.raises(UpstreamFailed) as refused:
        Intake(codings, Caps(), WHO)

    assert str(refused.value) == f"{WHO} answered in a content encoding that was not asked for; only gzip, once, is understood"


def test_a_bomb_is_dropped_early_and_costs_little_memory() -> None:
    bomb = gzip.compress(bytes(200 * 1024 * 1024))
    tracemalloc.start()

    with pytest.raises(AnswerTooLarge) as dropped:
        take_in(Intake(["gzip"], Caps(ratio=10_000), WHO), bomb, 65536)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert str(dropped.value) == f"the answer of {WHO} has more than the {10 * 1024 * 1024} bytes that are taken at most, decoded"
    assert peak < 20 * 1024 * 1024


def test_a_compression_ratio_over_the_cap_is_dropped_from_64_kib_on() -> None:
    caps = Caps(ratio=100)

    assert len(take_in(Intake(["gzip"], caps, WHO), gzip.compress(bytes(64 * 1024)), 100)) == 64 * 1024
    with pytest.raises(AnswerTooLarge) as dropped:
        take_in(Intake(["gzip"], caps, WHO), gzip.compress(bytes(1024 * 1024)), 100)

    assert str(dropped.value) == f"the answer of {WHO} unpacks to more than 100 times its size"


@pytest.mark.parametrize("codings", [[], ["gzip"]])
def test_no_more_is_received_than_the_cap(codings: list[str]) -> None:
    intake = Intake(codings, Caps(received=100), WHO)

    with pytest.raises(AnswerTooLarge):
        take_in(intake, gzip.compress(bytes(range(256))), 64)


def test_exactly_the_caps_are_taken() -> None:
    assert take_in(Intake([], Caps(received=10, decoded=10), WHO), b"0123456789", 3) == b"0123456789"


@pytest.mark.parametrize("size", [1, 7, 21, 1024])
def test_gzip_may_have_several_members(size: int) -> None:
    pieces = [b"one", b"", bytes(range(256)) * 20, b"three"]
    data = b"".join(gzip.compress(piece, mtime=0) for piece in pieces)

    assert take_in(Intake(["gzip"], Caps(), WHO), data, size) == b"".join(pieces)


def test_a_bomb_of_many_members_is_stopped_as_one_is() -> None:
    with pytest.raises(AnswerTooLarge, match="unpacks to more than"):
        take_in(Intake(["gzip"], Caps(), WHO), gzip.compress(b"x" * 100_000, mtime=0) * 20, 1024)


def test_an_announced_length_over_the_cap_is_dropped_before_a_byte_is_taken() -> None:
    with pytest.raises(AnswerTooLarge):
        Intake([], Caps(received=100), WHO).expect(101)
    Intake([], Caps(received=100), WHO).expect(100)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"not gzip at all", "is not the gzip that it says"),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], "ends in the middle"),
        (gzip.compress(b"x", mtime=0) + b"trailer", "is not the gzip that it says"),
        (gzip.compress(b"x", mtime=0) + gzip.compress(b"y", mtime=0)[:-9], "ends in the middle"),
    ],
)
def test_broken_gzip_is_an_error_of_the_other_side(data: bytes, complaint: str) -> None:
    with pytest.raises(UpstreamFailed, match=complaint):
        take_in(Intake(["gzip"], Caps(), WHO), data, 1024)


def test_an_empty_body_may_be_called_gzip() -> None:
    Intake(["gzip"], Caps(), WHO).end()
