from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import ModelFailed
from toolgate.llm.retry import pause
from toolgate.thinking import Models

KINDS = st.sampled_from(["transient", "provider", "request"])
SECONDS = st.floats(0, 1e6)


def after(failed: ModelFailed, attempt: int = 1, *, left: float = 100.0, chance: float = 0.5) -> float | None:
    return pause(failed, attempt, Models(), left=left, chance=lambda: chance)


@pytest.mark.parametrize(
    ("failed", "attempt", "expected"),
    [
        (ModelFailed("", "transient"), 1, 0.25),
        (ModelFailed("", "transient"), 2, 0.5),
        (ModelFailed("", "transient"), 3, None),
        (ModelFailed("", "transient", retry_after=20), 1, 20.25),
        (ModelFailed("", "transient", retry_after=20.5), 1, None),
        (ModelFailed("", "transient", retry_after=0), 1, 0.25),
        (ModelFailed("", "provider"), 1, None),
        (ModelFailed("", "request"), 1, None),
    ],
)
def test_what_follows_a_failure(failed: ModelFailed, attempt: int, expected: float | None) -> None:
    assert after(failed, attempt) == expected


def test_nobody_waits_past_the_deadline() -> None:
    assert after(ModelFailed("", "transient", retry_after=10), left=10) is None
    assert after(ModelFailed("", "transient", retry_after=10), left=11) == 10.25


@given(kind=KINDS, attempt=st.integers(1, 10), asked=st.none() | SECONDS, left=st.floats(0, 1000), chance=st.floats(0, 1))
def test_no_more_than_three_attempts_no_pause_beyond_patience_and_deadline_and_never_before_the_provider_wants(
    kind: str, attempt: int, asked: float | None, left: float, chance: float
) -> None:
    found = after(ModelFailed("", kind, retry_after=asked), attempt, left=left, chance=chance)  # type: ignore[arg-type]

    if found is not None:
        assert (kind, attempt < 3) == ("transient", True)
        assert (asked or 0) <= found <= (asked or 0) + 8
        assert found <= 28
        assert found < left
