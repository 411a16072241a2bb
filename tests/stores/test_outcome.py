from __future__ import annotations

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from toolgate.calls import Binary, Outcome, Problem, Text
from toolgate.stores.outcome import dumps, loads

WORDS = st.text(st.characters(exclude_categories=["Cs"]))  # half a surrogate pair has no place in UTF-8
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
OUTCOMES = st.builds(
    Outcome,
    content=st.lists(st.builds(Text, WORDS) | st.builds(Binary, st.binary(), WORDS, WORDS), max_size=3).map(tuple),
    problem=st.none() | st.builds(Problem, WORDS, WORDS, st.none() | st.floats(0, 100), st.dictionaries(WORDS, JSON, max_size=2)),
    effect=st.sampled_from(["none", "done", "unknown"]),
    meta=st.dictionaries(WORDS, JSON, max_size=3),
)


@given(OUTCOMES)
def test_what_is_kept_comes_back_as_it_was(outcome: Outcome) -> None:
    text = dumps(outcome)

    assert text is not None
    assert loads(text) == outcome


@given(OUTCOMES, JSON, st.booleans())
def test_so_does_a_structured_value_whether_it_stands_in_the_first_text_or_not(outcome: Outcome, value: object, first: bool) -> None:
    content = (Text(orjson.dumps(value).decode()), *outcome.content) if first else outcome.content
    outcome = replace(outcome, structured=value, content=content)

    text = dumps(outcome)

    assert text is not None
    assert loads(text) == outcome
    assert type(loads(text).structured) is type(value)


def test_an_answer_whose_text_is_its_json_is_kept_once() -> None:
    value = {"items": ["x" * 1000]}

    text = dumps(Outcome((Text(orjson.dumps(value).decode()),), value))

    assert text is not None
    assert text.count(b"x" * 1000) == 1


def test_what_belongs_to_one_call_is_not_kept() -> None:
    outcome = Outcome((Text("a"),), cost=5, metered=5, fresh=1.0, replayed=True, rule="r", notes={"spend": {}})

    text = dumps(outcome)

    assert text is not None
    assert loads(text) == Outcome((Text("a"),))


def test_what_json_has_no_place_for_is_not_kept() -> None:
    deep: list[object] = []
    for _ in range(300):
        deep = [deep]

    unkept = [
        Outcome((Text("\ud800"),)),
        Outcome(structured=2**64),
        Outcome(structured=deep),
        Outcome(meta={"x": object()}),
        Outcome(problem=Problem("x", "y", details={"z": 2**64})),
    ]

    assert [dumps(outcome) for outcome in unkept] == [None] * 5
