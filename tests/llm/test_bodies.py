"""What a prompt becomes in the form of each provider."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import pytest

from toolgate.llm.blocks import Blocks
from toolgate.llm.completions import Completions
from toolgate.llm.messages import Assistant, Image, Message, Prompt, System, ToolCall, ToolResult, ToolSpec, User
from toolgate.llm.model import Model
from toolgate.llm.offer import Offers
from toolgate.llm.quirks import QUIRKS
from toolgate.llm.remote import Form
from toolgate.llm.responses import Responses
from toolgate.llm.strict import ANTHROPIC, OPENAI
from toolgate.thinking import ProviderKind

LOOK = ToolCall("call_1", "look", {"x": 1}, '{"x": 1}')
TALK: tuple[Message, ...] = (
    System("Be brief."),
    User("Look twice.", (Image(b"\x89PNG", "image/png"),)),
    Assistant("I look.", (LOOK, ToolCall("call_2", "look", {}, "{}"))),
    ToolResult("call_1", "One."),
    ToolResult("call_2", "It is dark.", failed=True),
    System("Time is short."),
    User("And?"),
)
TOOL = ToolSpec("look", "Look around.", {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]})


def body(form: Form, prompt: Prompt, model: str = "model-x", *, strict: bool = True) -> dict[str, Any]:
    known = Model("acme", model, strict=strict, vision=True)
    dialect = ANTHROPIC if form is Blocks else OPENAI
    return form("acme", prompt, known, Offers(dialect).of(prompt, known)).body()


def chat(kind: ProviderKind, prompt: Prompt, *, strict: bool = True) -> dict[str, Any]:
    return body(partial(Completions, quirks=QUIRKS[kind]), prompt, strict=strict)


def test_a_conversation_in_openais_form() -> None:
    made = body(Responses, Prompt(TALK, max_tokens=500), "gpt-4.1")

    assert made == {
        "model": "gpt-4.1",
        "input": [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Look twice."},
                    {"type": "input_image", "detail": "high", "image_url": "data:image/png;base64,iVBORw=="},
                ],
            },
            {"role": "assistant", "content": "I look."},
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"x": 1}'},
            {"type": "function_call", "call_id": "call_2", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "One."},
            {"type": "function_call_output", "call_id": "call_2", "output": "It is dark."},
            {"role": "developer", "content": "Time is short."},
            {"role": "user", "content": [{"type": "input_text", "text": "And?"}]},
        ],
        "max_output_tokens": 500,
        "store": False,
    }


def test_an_id_of_another_provider_is_none_that_openai_refuses() -> None:
    ids = ["call_1", "x" * 64, "x" * 65, "x" * 66]
    calls = tuple(ToolCall(each, "look", {}, "{}") for each in ids)

    told = body(Responses, Prompt((User("Go"), Assistant("", calls), *(ToolResult(each, "Yes.") for each in ids))))["input"]

    asked, answered = ([item["call_id"] for item in told if item.get("type") == kind] for kind in ("function_call", "function_call_output"))
    assert asked == answered
    assert asked[:2] == ids[:2]
    assert len({each for each in asked if len(each) <= 64}) == 4


def test_an_id_of_openais_own_that_it_does_not_take_is_another_in_call_and_answer() -> None:
    sealed = ({"type": "reasoning", "encrypted_content": "gAAA"}, {"type": "function_call", "call_id": "x" * 69, "name": "look"})
    said = Assistant("", (ToolCall("x" * 69, "look", {}, "{}"),), sealed, "acme/model-x")

    _, thought, asked, answered = body(Responses, Prompt((User("Go"), said, ToolResult("x" * 69, "Yes."))))["input"]

    assert thought == sealed[0]
    assert asked["call_id"] == answered["call_id"] != "x" * 69


def test_a_model_that_thinks_gives_its_thoughts_sealed() -> None:
    made = body(Responses, Prompt(TALK), "gpt-5-mini")

    assert made["include"] == ["reasoning.encrypted_content"]


def test_a_model_that_only_chats_has_no_thoughts_to_give() -> None:
    assert "include" not in body(Responses, Prompt(TALK), "gpt-5-chat-latest")


def test_a_conversation_in_anthropics_form_has_all_results_in_one_message_before_the_text() -> None:
    made = body(Blocks, Prompt(TALK, max_tokens=500))

    assert made == {
        "model": "model-x",
        "max_tokens": 500,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                    {"type": "text", "text": "Look twice."},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "call_1", "name": "look", "input": {"x": 1}},
                    {"type": "tool_use", "id": "call_2", "name": "look", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "One."},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": "It is dark.", "is_error": True},
                    {"type": "text", "text": "A note of the operator of this conversation, not of the user: Time is short."},
                    {"type": "text", "text": "And?"},
                ],
            },
        ],
    }


def test_empty_text_and_foreign_ids_are_nothing_that_anthropic_refuses() -> None:
    foreign = ToolCall("functions.look:0", "look", None, '{"x": ')
    made = body(Blocks, Prompt((User(""), User("Go on"), Assistant("", (foreign,)), ToolResult("functions.look:0", " "))))

    [use] = made["messages"][1]["content"]
    assert made["messages"][0]["content"] == [{"type": "text", "text": "Go on"}]
    assert use["input"] == {}
    assert use["id"].replace("_", "").isalnum()
    assert made["messages"][2]["content"] == [{"type": "tool_result", "tool_use_id": use["id"]}]


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_whether_tools_may_be_called(choice: Literal["auto", "none"]) -> None:
    prompt = Prompt((User("Go"),), tools=(TOOL,), choice=choice)

    ours = body(Responses, prompt)

    assert (ours["tool_choice"], ours["parallel_tool_calls"]) == (choice, True)
    assert body(Blocks, prompt)["tool_choice"] == {"type": choice}
    assert chat("compatible", prompt).get("tool_choice", "auto") == choice


def test_anthropic_caches_what_is_asked_with_tools() -> None:
    assert body(Blocks, Prompt((User("Go"),), tools=(TOOL,)))["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body(Blocks, Prompt((User("Go"),)))


def test_no_more_tools_are_strict_than_anthropic_takes() -> None:
    plain = {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}
    loose = {"type": "object", "properties": {name: {"type": "string"} for name in "abcdefghij"}}
    many = tuple(ToolSpec(f"plain_{index}", "", plain) for index in range(25))
    optional = tuple(ToolSpec(f"loose_{index}", "", loose) for index in range(4))

    def strict(*tools: ToolSpec) -> list[bool]:
        return ["strict" in tool for tool in body(Blocks, Prompt((User("Go"),), tools=tools))["tools"]]

    assert strict(*many) == [True] * 20 + [False] * 5
    assert strict(*optional) == [True, True, False, False]  # 10 optional properties each, 24 at most


def test_a_model_that_cannot_be_held_to_a_schema_is_offered_it_as_it_is() -> None:
    made = body(Responses, Prompt((User("Go"),), tools=(TOOL,)), strict=False)

    assert made["tools"] == [
        {"type": "function", "name": "look", "description": "Look around.", "parameters": dict(TOOL.schema), "strict": False}
    ]


def test_a_conversation_as_compatible_servers_take_it() -> None:
    made = chat("compatible", Prompt(TALK, tools=(TOOL,), max_tokens=500))

    assert made == {
        "model": "model-x",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look twice."},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "detail": "high"}},
                ],
            },
            {
                "role": "assistant",
                "content": "I look.",
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}},
                    {"id": "call_2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "One."},
            {"role": "tool", "tool_call_id": "call_2", "content": "It is dark."},
            {"role": "system", "content": "Time is short."},
            {"role": "user", "content": "And?"},
        ],
        "max_tokens": 500,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "look",
                    "description": "Look around.",
                    "parameters": {**TOOL.schema, "additionalProperties": False},
                },
            }
        ],
    }


def test_arguments_that_are_no_json_are_not_sent_again_to_servers_that_would_parse_them() -> None:
    made = chat("vllm", Prompt((User("Go"), Assistant("", (ToolCall("call_1", "look", None, '{"x": '),)), ToolResult("call_1", "no"))))

    assert made["messages"][1] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
    }


def test_mistral_has_ids_of_nine_letters_and_an_assistant_after_tools() -> None:
    made = chat(
        "mistral",
        Prompt((User("Go"), Assistant("", (LOOK,)), ToolResult("call_1", "One."), User("And?")), tools=(TOOL,)),
    )

    call, result, bridge, _ = made["messages"][1:]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) == 9
    assert result["tool_call_id"].isalnum()
    assert (bridge["role"], made["messages"][4]["role"]) == ("assistant", "user")
    assert made["tools"][0]["function"]["strict"] is True
    assert "stream_options" not in made


def test_cohere_is_spared_what_it_refuses() -> None:
    assert "stream_options" not in chat("cohere", Prompt((User("Go"),)))
    assert "stream_options" in chat("ollama", Prompt((User("Go"),)))


def test_openrouter_is_asked_for_its_bill_and_groq_has_another_word_for_the_limit() -> None:
    assert chat("openrouter", Prompt((User("Go"),)))["extra_body"] == {"usage": {"include": True}}
    assert chat("groq", Prompt((User("Go"),), max_tokens=7))["max_completion_tokens"] == 7


def test_the_schema_of_an_answer_goes_where_the_server_reads_it() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    closed = {**schema, "additionalProperties": False}
    prompt = Prompt((User("Count"),), schema=schema)

    assert body(Responses, prompt)["text"] == {"format": {"type": "json_schema", "name": "answer", "schema": closed, "strict": True}}
    assert body(Blocks, prompt)["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
    assert chat("vllm", prompt)["response_format"]["json_schema"] == {"name": "answer", "schema": closed, "strict": True}
    assert chat("deepseek", prompt)["response_format"] == {"type": "json_object"}
    assert '"integer"' in chat("deepseek", prompt)["messages"][0]["content"]


def test_an_answer_that_no_strict_mode_knows_is_asked_for_in_words_where_there_is_no_other_way() -> None:
    prompt = Prompt((User("List"),), schema={"type": "array", "items": {"type": "string"}})

    assert '"array"' in body(Blocks, prompt)["system"][0]["text"]
    assert '"array"' in body(Responses, prompt)["instructions"]
    kinds: tuple[ProviderKind, ...] = ("vllm", "deepseek")
    for kind in kinds:
        made = chat(kind, prompt)
        assert '"array"' in made["messages"][0]["content"]
        assert "response_format" not in made


def test_templates_of_local_servers_meet_one_system_message_and_no_speaker_twice_in_a_row() -> None:
    picture = Image(b"\x89PNG\r\n\x1a\n", "image/png")
    messages = (System("Be brief."), User("One."), User("Two."), User("Look", (picture,)), Assistant("Yes."), User("And?"))
    made = chat("deepseek", Prompt(messages, schema={"type": "object", "properties": {}}))["messages"]

    assert [each["role"] for each in made] == ["system", "user", "assistant", "user"]
    assert "JSON Schema" in made[0]["content"]
    assert made[0]["content"].endswith("Be brief.")
    assert [part.get("text", part["type"]) for part in made[1]["content"]] == ["One.\n\nTwo.", "Look", "image_url"]


@pytest.mark.parametrize(("model", "thought"), [("acme/model-x", "Hm."), ("acme/model-y", " "), ("another/model-x", " ")])
def test_thoughts_go_back_to_the_model_that_had_them_and_deepseek_is_told_of_some_in_every_turn(model: str, thought: str) -> None:
    said = Assistant("", (LOOK,), ({"reasoning_content": "Hm."},), model)
    prompt = Prompt((User("Go"), said, ToolResult("call_1", "One."), Assistant("Done."), User("And?")))

    made = chat("deepseek", prompt)["messages"]

    assert [made[1]["reasoning_content"], made[3]["reasoning_content"]] == [thought, " "]


def test_a_conversation_that_was_shortened_leaves_out_what_no_longer_fits_it() -> None:
    sealed = (
        {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA", "summary": []},
        {"type": "function_call", "call_id": "call_1"},
    )
    shortened = Assistant("", (), sealed, "acme/model-x")

    assert "gAAA" not in str(body(Responses, Prompt((User("Go"), shortened, User("And?"))))["input"])
