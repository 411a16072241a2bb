"""Whatever happens in a run, what AG-UI clients get is well-formed: nothing overlaps, what begins ends, and no call is told twice."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from toolgate.agent.events import (
    ApprovalWanted,
    Bill,
    Called,
    Calling,
    Event,
    Finished,
    Noted,
    Routed,
    Said,
    Spent,
    Started,
    Status,
    Thought,
    Wanted,
    Withdrawn,
)
from toolgate.api.agui import Stream
from toolgate.llm.messages import Tokens

IDS = st.sampled_from(["c1", "c2", "c3"])
STEPS = st.integers(1, 3)
STATUSES: list[Status] = ["done", "waiting", "budget_exhausted", "looping", "cancelled", "failed"]
BILL = Bill(0, 0, 0, 0, {}, {}, {}, Tokens())
MIDDLE: st.SearchStrategy[Event] = st.one_of(
    st.builds(Said, st.text(max_size=5), STEPS),
    st.builds(Thought, st.text(max_size=5), STEPS),
    st.builds(Withdrawn, STEPS, st.just("it broke off")),
    st.builds(Calling, IDS, st.just("t"), st.just({"a": 1}), STEPS),
    st.builds(Called, IDS, st.just("t"), st.text(max_size=5), st.booleans(), st.none(), st.just(0), st.just(0.1)),
    st.builds(ApprovalWanted, st.lists(st.builds(Wanted, IDS, IDS, st.just("t"), st.just({}), st.just("May it?")), min_size=1, max_size=2)),
    st.builds(Routed, st.just("p"), st.just("m")),
    st.builds(Spent, st.just(1), st.just(Tokens()), st.just(1), st.just(1), st.none()),
    st.builds(Noted, st.just("hint"), st.just("again")),
)
PAIRS = {
    "TEXT_MESSAGE_START": "TEXT_MESSAGE_END",
    "REASONING_START": "REASONING_END",
    "REASONING_MESSAGE_START": "REASONING_MESSAGE_END",
    "TOOL_CALL_START": "TOOL_CALL_END",
    "STEP_STARTED": "STEP_FINISHED",
}
INSIDE = {
    "TEXT_MESSAGE_CONTENT": "TEXT_MESSAGE_START",
    "REASONING_MESSAGE_CONTENT": "REASONING_MESSAGE_START",
    "TOOL_CALL_ARGS": "TOOL_CALL_START",
}


@given(st.lists(MIDDLE, max_size=25), st.sampled_from(STATUSES))
def test_every_stream_is_well_formed(middle: list[Event], status: Status) -> None:
    stream = Stream("t", "r")
    heard: list[dict[str, Any]] = []
    for event in [Started("run"), *middle, Finished("run", status, "", BILL, 0.0, 1, 0)]:
        heard += stream.of(event)

    opened: list[str] = []
    for each in heard:
        kind = each["type"]
        if kind in INSIDE:
            assert opened[-1] == INSIDE[kind]
        elif kind in PAIRS:
            assert kind == "STEP_STARTED" or not {*opened} - {"STEP_STARTED", "REASONING_START"}
            opened.append(kind)
        elif kind in PAIRS.values():
            assert PAIRS[opened.pop()] == kind
        else:
            assert not {*opened} - {"STEP_STARTED"}
    assert opened == []
    assert [each["type"] for each in heard if each["type"].startswith("RUN_")] == ["RUN_STARTED", heard[-1]["type"]]
    assert heard[-1]["type"] == ("RUN_ERROR" if status == "failed" else "RUN_FINISHED")
    calls = [each["toolCallId"] for each in heard if each["type"] == "TOOL_CALL_START"]
    assert len(calls) == len(set(calls))
    results = [each["toolCallId"] for each in heard if each["type"] == "TOOL_CALL_RESULT"]
    assert set(results) <= set(calls)
    messages = [each["messageId"] for each in heard if each["type"] in ("TEXT_MESSAGE_START", "REASONING_START", "TOOL_CALL_RESULT")]
    assert len(messages) == len(set(messages))
    asked = any(isinstance(event, ApprovalWanted) for event in middle)
    if status == "waiting" and asked:
        assert heard[-1]["outcome"]["type"] == "interrupt"


def test_what_is_withdrawn_is_no_longer_in_the_conversation() -> None:
    stream = Stream("t", "r", [{"id": "u", "role": "user", "content": "Hi"}])
    heard = [
        each for event in (Started("run"), Said("Half", 1), Withdrawn(1, "it broke off"), Said("Whole", 1)) for each in stream.of(event)
    ]

    (snapshot,) = (each for each in heard if each["type"] == "MESSAGES_SNAPSHOT")
    assert snapshot["messages"] == [{"id": "u", "role": "user", "content": "Hi"}]
    assert [message["content"] for message in stream.messages] == ["Hi", "Whole"]
