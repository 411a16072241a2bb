from __future__ import annotations

import time
from dataclasses import FrozenInstanceError, replace

import pytest

from toolgate.calls import UNSET, Binary, Outcome, Problem, changed
from toolgate.testing import a_call, a_tool


def test_time_left_is_the_tools_until_a_deadline_is_set() -> None:
    assert a_call(a_tool(timeout=7.0)).seconds_left() == 7.0
    assert a_call(deadline=time.monotonic() - 1).seconds_left() == 0.0
    assert 0 < a_call(deadline=time.monotonic() + 60).seconds_left() <= 60


def test_unset_is_not_null() -> None:
    assert UNSET is not None
    assert not UNSET
    assert repr(UNSET) == "UNSET"


def test_bytes_stay_out_of_reprs() -> None:
    assert "secret" not in repr(Binary(b"secret"))


def test_an_outcome_is_ok_unless_it_has_a_problem() -> None:
    assert Outcome().ok
    assert not Outcome(problem=Problem("failed", "no")).ok


def test_the_shown_schema_is_the_slim_one_where_there_is_one() -> None:
    assert a_tool(schema={"type": "object"}).input_schema == {"type": "object"}
    assert a_tool(schema={"type": "object"}, advertised={}).input_schema == {}


def test_a_changed_call_is_what_replace_would_make() -> None:
    call = a_call(rule="one")
    there = changed(call, rule="two", deadline=5.0)
    assert there == replace(call, rule="two", deadline=5.0)
    assert (call.rule, call.deadline) == ("one", None)
    assert changed(Outcome(), cost=3) == Outcome(cost=3)
    with pytest.raises(FrozenInstanceError):
        there.rule = "three"  # type: ignore[misc]
