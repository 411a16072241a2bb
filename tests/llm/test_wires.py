"""The real SDKs against a real server on loopback, in the three wire forms."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import anyio
import orjson
import pytest

from tests.llm.wires import COMPATIBLE, FORMS, OPENAI, Act, Answer, Form, a_provider, model_server
from toolgate.agent.facts import Replied, to_json
from toolgate.egress.transport import Transport, open_transport
from toolgate.errors import ModelFailed, TimedOut
from toolgate.llm.messages import (
    CallDelta,
    Chosen,
    Delta,
    Done,
    Errand,
    Image,
    Prompt,
    ReasoningDelta,
    Reply,
    System,
    TextDelta,
    Tokens,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from toolgate.llm.pictures import MOST
from toolgate.llm.provider import Provider
from toolgate.testing import a_principal

EVERY = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
ERRAND = Errand(a_principal())
HELLO = Prompt((System("Be brief."), User("Hello?")), seconds=20)
ISSUES = ToolSpec(
    "list_issues",
    "Issues of a repository.",
    {"type": "object", "properties": {"owner": {"type": "string"}, "limit": {"type": "integer"}}, "required": ["owner"]},
)


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as transport:
        yield transport


async def ask(provider: Provider, prompt: Prompt = HELLO) -> tuple[list[Delta], Reply]:
    with anyio.fail_after(15):
        deltas = [delta async for delta in provider.stream(prompt, ERRAND)]
    assert isinstance(deltas[-1], Done)
    return deltas, deltas[-1].reply


async def failure(provider: Provider, prompt: Prompt = HELLO) -> tuple[ModelFailed, list[Delta]]:
    heard: list[Delta] = []
    try:
        with anyio.fail_after(15):
            async for delta in provider.stream(prompt, ERRAND):
                heard.append(delta)
    except ModelFailed as error:
        return error, heard
    pytest.fail("it did not fail")


@EVERY
async def test_what_nobody_can_write_down_is_replaced_in_a_text_and_makes_arguments_that_are_none(form: Form, transport: Transport) -> None:
    half, whole = '{"owner": "\ud83d"}', '{"owner": "\U0001f600"}'
    wrong = ['{"owner": "\\ud83d"}', '{"owner": "a", "limit": 12345678901234567890123}', f'{{"owner": {"[" * 300}{"]" * 300}}}']
    calls = [(f"call_{place}", "list_issues", raw) for place, raw in enumerate((half, whole, *wrong))]
    async with model_server(Act(Answer("A \ud83d face", "Let \ude00 see", calls, stop="calls"))) as server:
        deltas, reply = await ask(a_provider(form, server.origin, transport), replace(HELLO, tools=(ISSUES,)))

    assert reply.message.text == "A \ufffd face" == "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    assert [call.arguments for call in reply.message.calls] == [{"owner": "\ufffd"}, {"owner": "\U0001f600"}, None, None, None]
    assert orjson.dumps(to_json(Replied(0.0, reply.message, reply.stop, "act", reply.provider, reply.model)))


@EVERY
async def test_an_answer_comes_in_pieces_that_add_up_to_the_reply(form: Form, transport: Transport) -> None:
    answer = Answer("Two issues are open.", thought="Let me think.")
    async with model_server(Act(answer)) as server:
        deltas, reply = await ask(a_provider(form, server.origin, transport))

    assert deltas[0] == Chosen("acme", form.model)
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == ["Two", " issues", " are", " open."]
    assert [delta.text for delta in deltas if isinstance(delta, ReasoningDelta)] == ["Let me think."]
    assert (reply.message.text, reply.stop, reply.provider) == ("Two issues are open.", "end", "acme")
    assert reply.tokens == Tokens(100, 20)
    assert not reply.estimated
    assert len(server.bodies) == 1


@EVERY
async def test_an_answer_is_streamed_as_it_comes_and_not_held_back(form: Form, transport: Transport) -> None:
    async with model_server(Act(Answer("One two three."), wait=5)) as server:
        provider = a_provider(form, server.origin, transport)
        heard: list[str] = []
        with anyio.fail_after(15):
            async for delta in provider.stream(HELLO, ERRAND):
                if isinstance(delta, TextDelta):
                    heard.append(delta.text)
                    if "".join(heard).startswith("One two"):
                        server.go.set()  # the server sends nothing more before this

    assert "".join(heard) == "One two three."


@EVERY
async def test_tool_calls_come_with_their_arguments_restored(form: Form, transport: Transport) -> None:
    calls = (("call_1", "list_issues", '{"owner": "acme", "limit": null}'), ("call_2", "list_issues", '{"owner": "b", "limit": 3}'))
    async with model_server(Act(Answer("Let me look.", calls=calls, stop="calls"))) as server:
        deltas, reply = await ask(a_provider(form, server.origin, transport), Prompt(HELLO.messages, tools=(ISSUES,), seconds=20))

    assert [(call.id, call.name, call.arguments) for call in reply.message.calls] == [
        ("call_1", "list_issues", {"owner": "acme"}),
        ("call_2", "list_issues", {"owner": "b", "limit": 3}),
    ]
    assert reply.stop == "calls"
    pieces = [delta for delta in deltas if isinstance(delta, CallDelta)]
    assert [piece.name for piece in pieces if piece.name] == ["list_issues", "list_issues"]
    assert "".join(piece.raw for piece in pieces if piece.id == "call_1") == calls[0][2] == reply.message.calls[0].raw


@EVERY
@pytest.mark.parametrize("raw", ['{"owner": "acme"', "[1]", "null", '"owner"'])
async def test_arguments_that_are_no_json_object_are_passed_on_as_they_were_written(form: Form, raw: str, transport: Transport) -> None:
    async with model_server(Act(Answer(calls=(("call_1", "list_issues", raw),), stop="calls"))) as server:
        _, reply = await ask(a_provider(form, server.origin, transport), Prompt(HELLO.messages, tools=(ISSUES,), seconds=20))

    assert reply.message.calls == (ToolCall("call_1", "list_issues", None, raw),)


@EVERY
async def test_a_tool_without_arguments_may_be_called_with_nothing(form: Form, transport: Transport) -> None:
    async with model_server(Act(Answer(calls=(("call_1", "now", ""),), stop="calls"))) as server:
        _, reply = await ask(
            a_provider(form, server.origin, transport), Prompt(HELLO.messages, tools=(ToolSpec("now", "", {"type": "object"}),), seconds=20)
        )

    assert reply.message.calls[0].arguments == {}


@EVERY
@pytest.mark.parametrize(("stop", "expected"), [("length", "length"), ("refusal", "refusal"), ("filtered", "filtered")])
async def test_why_it_stopped_is_told(form: Form, stop: str, expected: str, transport: Transport) -> None:
    async with model_server(Act(Answer("I will", stop=stop))) as server:
        _, reply = await ask(a_provider(form, server.origin, transport))

    told = {"anthropic": {"filtered": "refusal"}, "compatible": {"refusal": "end"}}.get(form.kind, {}).get(expected, expected)
    assert (reply.stop, reply.message.text) == (told, "I will")


@EVERY
@pytest.mark.parametrize(
    ("act", "kind", "reason", "retry_after"),
    [
        (Act(status=429, headers={"retry-after": "7"}), "transient", "rate_limited", 7),
        (Act(status=429), "transient", "rate_limited", None),
        (Act(status=529, headers={"retry-after-ms": "1500"}), "transient", "overloaded", 1.5),
        (Act(status=503, headers={"x-should-retry": "false"}), "provider", "server_error", None),
        (Act(status=401), "provider", "authentication", None),
        (Act(status=400, body={"error": {"message": "no", "type": "invalid_request_error"}}), "request", "invalid", None),
    ],
    ids=lambda value: value.status if isinstance(value, Act) else "",
)
async def test_an_error_is_one_request_and_says_what_may_be_done(
    form: Form, act: Act, kind: str, reason: str, retry_after: float | None, transport: Transport
) -> None:
    async with model_server(act) as server:
        failed, _ = await failure(a_provider(form, server.origin, transport))

    assert (failed.kind, failed.reason, failed.retry_after, failed.status) == (kind, reason, retry_after, act.status)
    assert len(server.bodies) == 1


@EVERY
@pytest.mark.parametrize("act", [Act(Answer("One two three."), cut=4), Act(Answer("One two three."), short=4)], ids=["cut", "short"])
async def test_a_stream_without_its_end_is_cut_off(form: Form, act: Act, transport: Transport) -> None:
    async with model_server(act) as server:
        failed, heard = await failure(a_provider(form, server.origin, transport))

    assert (failed.kind, failed.reason) == ("transient", "cut_off")
    assert [delta.text for delta in heard if isinstance(delta, TextDelta)][:1] == ["One"]
    assert len(server.bodies) == 1


@EVERY
async def test_an_error_in_the_middle_of_a_stream_is_told_apart(form: Form, transport: Transport) -> None:
    async with model_server(Act(error=form.error)) as server:
        failed, heard = await failure(a_provider(form, server.origin, transport))

    assert (failed.kind, failed.reason) == ("transient", "overloaded")
    assert [delta.text for delta in heard if isinstance(delta, TextDelta)] == ["Hello", " there."]


@EVERY
async def test_a_piece_that_is_no_json_is_malformed(form: Form, transport: Transport) -> None:
    async with model_server(Act(spoil=2)) as server:
        failed, _ = await failure(a_provider(form, server.origin, transport))

    assert (failed.kind, failed.reason) == ("transient", "malformed")


@EVERY
async def test_a_first_piece_that_does_not_come_in_time_ends_the_request(form: Form, transport: Transport) -> None:
    async with model_server(Act(), Act(wait=0)) as server:
        provider = a_provider(form, server.origin, transport)
        await ask(provider)  # a process's first request imports the SDK, which may take longer than the second one has
        with pytest.raises((TimedOut, ModelFailed)), anyio.fail_after(15):
            await provider.reply(Prompt(HELLO.messages, seconds=0.3), ERRAND)

        with anyio.fail_after(10):
            await server.left.wait()


@EVERY
async def test_who_leaves_the_stream_takes_the_request_back(form: Form, transport: Transport) -> None:
    async with model_server(Act(Answer("One two three."), wait=4)) as server, anyio.create_task_group():
        async with aclosing(a_provider(form, server.origin, transport).stream(HELLO, ERRAND)) as deltas:
            async for delta in deltas:
                if isinstance(delta, TextDelta):
                    break

        with anyio.fail_after(10):
            await server.left.wait()


@EVERY
async def test_nobody_there_is_transient_and_another_place_is_blocked(form: Form, transport: Transport) -> None:
    async with model_server() as server:
        pass
    gone, _ = await failure(a_provider(form, server.origin, transport))
    blocked, _ = await failure(a_provider(form, "http://192.168.0.1", transport))

    assert (gone.kind, gone.reason) == ("transient", "connection")
    assert (blocked.kind, blocked.reason) == ("provider", "blocked")


@EVERY
async def test_only_what_is_meant_goes_out_whatever_the_environment_says(
    form: Form, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.setenv(name, "ambient")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Ambient: ambient")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Ambient: ambient")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with model_server() as server:
        await ask(a_provider(form, server.origin, transport))

    [headers] = server.headers
    assert "ambient" not in str(headers)
    assert headers["user-agent"].startswith("toolgate/")
    assert not [name for name in headers if name.startswith("x-stainless")]
    assert headers.get("authorization") == "Bearer sk-secret" or headers["x-api-key"] == "sk-secret"


@EVERY
async def test_what_a_provider_carries_goes_back_as_it_was_and_to_nobody_else(form: Form, transport: Transport) -> None:
    answer = Answer("Let me look.", thought="Hm.", calls=(("call_1", "list_issues", '{"owner": "acme", "limit": null}'),), stop="calls")
    async with model_server(Act(answer), Act()) as server:
        provider = a_provider(form, server.origin, transport, kind="deepseek" if form is COMPATIBLE else None)
        first = await provider.reply(Prompt(HELLO.messages, tools=(ISSUES,), seconds=20), ERRAND)
        conversation = (*HELLO.messages, first.message, ToolResult("call_1", "None."))
        await provider.reply(Prompt(conversation, tools=(ISSUES,), seconds=20), ERRAND)
        sibling = first.message.model + "-2"  # a signature holds for the very model
        for other in (replace(first.message, model=model) for model in (sibling, "somebody/x")):
            await provider.reply(Prompt((*HELLO.messages, other, ToolResult("call_1", "None.")), tools=(ISSUES,), seconds=20), ERRAND)

    assert first.message.carried
    own, *foreign = (str(body) for body in server.bodies[1:])
    thought = {"openai": "gAAA", "anthropic": "EqQB", "compatible": "Hm."}[form.kind]
    assert thought in own
    assert not [body for body in foreign if thought in body]
    for body in (own, *foreign):
        assert "Let me look." in body
        assert body.count("call_1") == 2


@EVERY
async def test_an_answer_may_be_held_to_a_schema(form: Form, transport: Transport) -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}, "due": {"type": "string"}}, "required": ["title"]}
    async with model_server(Act(Answer('{"title": "x", "due": null}'))) as server:
        _, reply = await ask(a_provider(form, server.origin, transport), Prompt(HELLO.messages, schema=schema, seconds=20))

    assert reply.message.text == '{"title": "x"}'
    assert "additionalProperties" in str(server.bodies[0])


@EVERY
async def test_a_model_that_refuses_a_strict_schema_is_asked_without_strict_mode_next(form: Form, transport: Transport) -> None:
    refusal = {
        "error": {"type": "invalid_request_error", "message": "The compiled grammar is too large, which would cause performance issues."}
    }
    prompt = Prompt(HELLO.messages, tools=(ISSUES,), seconds=20)
    async with model_server(Act(status=400, body=refusal), Act(status=400, body=refusal)) as server:
        provider = a_provider(form, server.origin, transport)
        first, _ = await failure(provider, prompt)
        second, _ = await failure(provider, prompt)

    assert (first.kind, first.reason) == ("transient", "schema")
    assert (second.kind, second.reason) == ("request", "schema")
    assert ["additionalProperties" in str(body) for body in server.bodies] == [True, False]
    assert "'strict': True" not in str(server.bodies[1])


async def test_a_local_server_needs_no_key_and_is_sent_none(transport: Transport) -> None:
    from toolgate.llm.declared import LOOPBACK, Declared
    from toolgate.llm.opening import opened

    async with model_server() as server:
        provider = opened(Declared("home", "ollama", f"{server.origin}/v1", networks=LOOPBACK), transport)
        reply = await provider.reply(Prompt(HELLO.messages, model="home/llama3", seconds=20), ERRAND)

    assert reply.message.text == "Hello there."
    assert "authorization" not in server.headers[0]
    assert server.bodies[0]["model"] == "llama3"


async def test_usage_is_counted_where_the_server_keeps_no_account(transport: Transport) -> None:
    async with model_server(Act(Answer("Hello there.", usage={"prompt_tokens": 0}))) as server:
        _, reply = await ask(a_provider(COMPATIBLE, server.origin, transport, kind="cohere"))

    assert reply.estimated
    assert reply.tokens.input > 10
    assert reply.tokens.output > 1
    assert "stream_options" not in server.bodies[0]


async def test_several_requests_at_once_do_not_mix(transport: Transport) -> None:
    async with model_server() as server:
        provider = a_provider(OPENAI, server.origin, transport)
        replies: list[Any] = await asyncio.gather(*(provider.reply(HELLO, ERRAND) for _ in range(8)))

    assert [reply.message.text for reply in replies] == ["Hello there."] * 8
    assert len(server.bodies) == 8


AS_SENT: Mapping[str, Callable[[str], Mapping[str, Any]]] = {
    "openai": lambda data: {"type": "input_image", "detail": "high", "image_url": f"data:image/png;base64,{data}"},
    "anthropic": lambda data: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
    "compatible": lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}", "detail": "high"}},
}
"""A picture, as each form's reference has it."""


@EVERY
async def test_a_picture_as_large_as_may_be_arrives_whole_and_as_its_form_has_it_and_is_in_no_log(
    form: Form, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    image = Image(b"\x89PNG\r\n\x1a\n" + b"\x00\x01\xfe\xff" * (MOST // 4 - 2))
    async with model_server() as server:
        await ask(a_provider(form, server.origin, transport), Prompt((User("What is this?", (image,)),), seconds=20))

    (body,) = server.bodies
    (message,) = body["input" if form is OPENAI else "messages"]
    assert message["role"] == "user"
    assert AS_SENT[form.kind](b64encode(image.data).decode()) in message["content"]
    assert "What is this?" in [part.get("text") for part in message["content"]]
    assert not any(piece in record.getMessage() for record in caplog.records for piece in (image.base64[:40], "What is this?"))
