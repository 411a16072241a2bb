"""Answers of compatible servers, in all the ways that they differ."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.errors import ModelFailed
from toolgate.llm.blocks import Blocks
from toolgate.llm.completions import Completions
from toolgate.llm.messages import (
    Assistant,
    CallDelta,
    Delta,
    Errand,
    Prompt,
    ReasoningDelta,
    Reply,
    TextDelta,
    Tokens,
    ToolCall,
    ToolResult,
    User,
)
from toolgate.llm.model import Model
from toolgate.llm.offer import Offer
from toolgate.llm.quirks import QUIRKS
from toolgate.llm.remote import Form, Remote
from toolgate.llm.responses import Responses
from toolgate.llm.strict import OPENAI
from toolgate.testing import a_principal
from toolgate.thinking import ProviderKind

PROMPT = Prompt((User("Hello?"),))
MODEL = Model("acme", "model-x")


def read(form: Form, events: Sequence[dict[str, Any]]) -> tuple[list[Delta], Reply]:
    reading = form("acme", PROMPT, MODEL, Offer())
    deltas = [delta for event in events for delta in reading.take(event)]
    return deltas, reading.reply()


def chat(*deltas: dict[str, Any], reason: str = "stop", kind: ProviderKind = "compatible", **last: Any) -> tuple[list[Delta], Reply]:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return read(
        partial(Completions, quirks=QUIRKS[kind]), [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}], **last}]
    )


def call(**more: Any) -> dict[str, Any]:
    name, arguments = more.pop("name", None), more.pop("arguments", "")
    return {"tool_calls": [{"function": {"name": name, "arguments": arguments}, **more}]}


def test_whole_calls_that_share_an_index_are_several() -> None:
    _, reply = chat(
        call(index=0, id="a", name="look", arguments='{"x":1}'),
        call(index=0, id="b", name="look", arguments='{"x":2}'),
        reason="tool_calls",
    )

    assert [(each.id, each.arguments) for each in reply.message.calls] == [("a", {"x": 1}), ("b", {"x": 2})]


def test_calls_in_pieces_go_by_their_index_even_when_the_id_is_told_again() -> None:
    _, reply = chat(
        call(index=0, id="a", name="look", arguments='{"x"'),
        call(index=1, id="b", name="see"),
        call(index=0, id="a", arguments=":1}"),
        call(index=1, arguments='{"y":2}'),
    )

    assert [(each.name, each.arguments) for each in reply.message.calls] == [("look", {"x": 1}), ("see", {"y": 2})]
    assert reply.stop == "calls"


def test_a_call_without_an_id_is_given_one() -> None:
    deltas, reply = chat(call(name="look", arguments="{}"))

    [made] = reply.message.calls
    assert made.id
    assert [delta.id for delta in deltas if isinstance(delta, CallDelta)] == [made.id]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_thoughts_have_several_names(name: str) -> None:
    deltas, reply = chat({name: "Hm."}, {"content": "Yes."})

    assert deltas == [ReasoningDelta("Hm."), TextDelta("Yes.")]
    assert reply.message.text == "Yes."


def test_content_may_be_a_list_of_parts() -> None:
    deltas, _ = chat(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]}, {"content": [{"type": "text", "text": "Yes."}]}
    )

    assert deltas == [ReasoningDelta("Hm."), TextDelta("Yes.")]


def test_groq_tells_the_usage_in_a_place_of_its_own_and_deepseek_its_cache() -> None:
    _, groq = chat({"content": "Hi"}, kind="groq", x_groq={"usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    _, deepseek = chat({"content": "Hi"}, kind="deepseek", usage={"prompt_tokens": 9, "completion_tokens": 2, "prompt_cache_hit_tokens": 8})

    assert groq.tokens == Tokens(9, 2)
    assert deepseek.tokens == Tokens(9, 2, cached=8)


def test_only_openrouter_is_believed_what_it_costs() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "cost": 0.00012}

    assert chat({"content": "Hi"}, kind="openrouter", usage=usage)[1].usage["cost"] == 0.00012
    assert "cost" not in chat({"content": "Hi"}, usage=usage)[1].usage


@pytest.mark.parametrize(
    ("told", "paid"),
    [  # with a key of one's own the provider sends a bill of its own; without one it is a part of what OpenRouter takes
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0360795}}, "0.0360795"),
        ({"cost": 0.1, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.3"),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0, "is_byok": True}, None),
        ({"cost": 0.00000285, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.00000285}}, 0.00000285),
    ],
)
def test_with_a_key_of_ones_own_openrouter_has_two_bills(told: dict[str, object], paid: object) -> None:
    usage = {"prompt_tokens": 9171, "completion_tokens": 113, **told}

    assert chat({"content": "Hi"}, kind="openrouter", usage=usage)[1].usage["cost"] == paid


def test_openrouters_details_of_thoughts_are_carried() -> None:
    _, reply = chat({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, {"content": "Hi"}, kind="openrouter")

    assert reply.message.carried == ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]},)


def test_a_thought_that_openrouter_sends_in_pieces_is_carried_whole_since_it_is_signed_whole() -> None:
    form = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    sealed = [{"type": "reasoning.encrypted", "data": data, "index": 0} for data in ("x", "y")]
    pieces = [{**form, "text": "Let", "signature": None}, {**form, "text": " me see."}, {**form, "signature": "Et8B"}, *sealed]

    _, reply = chat(*({"reasoning_details": [piece]} for piece in pieces), call(id="a", name="look"), kind="openrouter")

    assert reply.message.carried == ({"reasoning_details": [{**form, "text": "Let me see.", "signature": "Et8B"}, *sealed]},)


SIGNED = {"google": {"thought_signature": "CpEC"}}


def test_what_gemini_signs_goes_back_with_its_calls() -> None:
    _, reply = chat(
        call(index=0, id="a", name="look", arguments="{}", extra_content=SIGNED),
        call(index=0, id="b", name="look", arguments="{}"),
        reason="tool_calls",
    )

    again = Completions("acme", Prompt((User("Hi"), reply.message)), MODEL, Offer()).body()

    assert [each.get("extra_content") for each in again["messages"][1]["tool_calls"]] == [SIGNED, None]


@pytest.mark.parametrize(
    ("model", "kind", "extra"),
    [
        ("gemini-3-flash", "compatible", {"google": {"thought_signature": "skip_thought_signature_validator"}}),
        ("gemini-2.5-pro", "compatible", None),
        ("google/gemini-3-flash", "openrouter", None),
        ("model-x", "compatible", None),
    ],
)
def test_gemini_is_told_which_calls_another_model_has_made(model: str, kind: ProviderKind, extra: object) -> None:
    calls = tuple(ToolCall(name, "look", {}, "{}") for name in ("a", "b"))
    prompt = Prompt((User("Hi"), Assistant("", calls, ({"extra_content": {"a": SIGNED}},), "another")))

    body = Completions("acme", prompt, Model("acme", model), Offer(), QUIRKS[kind]).body()

    assert [each.get("extra_content") for each in body["messages"][1]["tool_calls"]] == [extra, None]


@pytest.mark.parametrize(
    "event",
    [
        {"error": {"code": 502, "message": "Provider disconnected"}, "choices": []},
        {"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "Provider disconnected"}}]},
    ],
)
def test_an_error_may_come_in_a_chunk(event: dict[str, Any]) -> None:
    with pytest.raises(ModelFailed) as failed:
        read(Completions, [event])

    assert (failed.value.kind, failed.value.reason) == ("transient", "server_error")


def test_an_end_that_says_calls_without_any_is_an_end() -> None:
    assert chat({"content": "Hi"}, reason="tool_calls")[1].stop == "end"
    assert chat({"content": "Hi"}, reason="a reason of tomorrow")[1].stop == "end"


def test_a_failed_response_is_what_its_error_says() -> None:
    with pytest.raises(ModelFailed) as failed:
        read(Responses, [{"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "slow"}}}])

    assert (failed.value.kind, failed.value.reason) == ("transient", "rate_limited")


@pytest.mark.parametrize("form", [Responses, Blocks, Completions])
def test_events_of_tomorrow_are_passed_over(form: Form) -> None:
    reading = form("acme", PROMPT, MODEL, Offer())

    assert list(reading.take({"type": "something.new", "data": 1})) == []
    with pytest.raises(ModelFailed, match="broke off"):
        reading.reply()


def test_a_signature_and_a_sealed_thought_go_back_with_the_tool_call_they_belong_to() -> None:
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "claude", "usage": {"input_tokens": 5, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "sealed"}},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t1", "name": "look", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x": 1}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]

    _, reply = read(Blocks, events)

    assert reply.message.carried == (
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"x": 1}},
    )
    assert reply.tokens == Tokens(5, 9)


def test_ids_that_a_server_uses_again_are_made_the_only_ones_of_their_name() -> None:
    earlier = Prompt((User("Go"), Assistant("", (ToolCall("call_0", "look", {}, "{}"),)), ToolResult("call_0", "One.")))
    reading = Completions("acme", earlier, MODEL, Offer())
    for index, told in enumerate(("call_0", "call_1", "call_1")):
        list(reading.take({"choices": [{"delta": call(index=index, id=told, name="look", arguments="{}")}]}))
    list(reading.take({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}))

    ids = [each.id for each in reading.reply().message.calls]

    assert "call_0" not in ids
    assert len(set(ids)) == 3


KEYS = [
    *"type delta item response output usage choices error content message index content_block finish_reason".split(),
    *"tool_calls function id name arguments input_tokens output_tokens prompt_tokens completion_tokens".split(),
    *"input_tokens_details cached_tokens model text".split(),
]
HOSTILE: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
TYPES = [
    *("response.output_text.delta", "response.output_item.added", "response.function_call_arguments.delta", "response.completed", "error"),
    *("response.failed", "message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "chunk"),
]


@pytest.mark.parametrize("form", [Responses, Blocks, Completions])
@given(events=st.lists(st.tuples(st.sampled_from(TYPES), HOSTILE), max_size=4))
async def test_whatever_a_server_sends_is_an_answer_or_a_failure(form: Form, events: list[tuple[str, Any]]) -> None:
    async def send(_: dict[str, Any], __: float) -> AsyncGenerator[Mapping[str, Any], None]:
        for kind, event in events:
            yield {**event, "type": kind} if isinstance(event, dict) else {"type": kind, "delta": event, "choices": event}

    try:
        reply = await Remote("acme", form, OPENAI, send, lambda _: MODEL).reply(PROMPT, Errand(a_principal()))
    except ModelFailed:
        return
    used = reply.tokens
    assert 0 <= used.cached + used.cache_written <= used.input
    assert 0 <= used.reasoning <= used.output
    assert isinstance(reply.message.text, str)
    assert isinstance(reply.model, str)
