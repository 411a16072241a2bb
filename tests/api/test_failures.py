"""What fails behind the agent, as OpenAI's SDK meets it: the status that it goes by, the error, and whether it asks again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import anyio
import openai
import pytest
from openai import AsyncOpenAI

from tests.api.talking import Talking, events
from tests.api.test_openai import ASKED, sdk
from tests.llm.routing import World
from tests.llm.wires import OPENAI, Act, a_provider, model_server
from toolgate.api.events import Events, Say
from toolgate.api.failures import told
from toolgate.calls import Problem
from toolgate.egress.transport import open_transport
from toolgate.errors import BLIND, AuditUnavailable, Busy, Misconfigured, ModelFailed, NoModel, OverBudget, TimedOut, ToolgateError
from toolgate.llm.classify import REASONS, answered, unanswered
from toolgate.llm.messages import Delta, Done, Errand, Prompt, Stop, ToolResult
from toolgate.llm.provider import Provider
from toolgate.testing import Line, ScriptedProvider

FORMS = ("chat", "responses")


async def ask(client: AsyncOpenAI, form: str, *, stream: bool = False) -> Any:
    """The answer in one of the forms; of a stream all that came."""
    create: Callable[..., Any] = client.chat.completions.create if form == "chat" else client.responses.create
    answer = await create(model="toolgate", stream=stream, **({"messages": ASKED} if form == "chat" else {"input": "Issues?"}))
    return [piece async for piece in answer] if stream else answer


def busy(seconds: int | None = 7) -> ModelFailed:
    return answered("acme", 429, {} if seconds is None else {"retry-after": str(seconds)}, {"error": {"code": "rate_limit_exceeded"}})


TOO_LONG = answered("acme", 400, {}, {"error": {"code": "context_length_exceeded", "message": "maximum context length"}})
FLAGGED = answered("acme", 400, {}, {"error": {"code": "content_policy_violation"}})
OVERLOADED = answered("acme", 529, {"retry-after": "3"}, {})
NO_KEY = answered("acme", 401, {}, {"error": {"code": "invalid_api_key", "message": "Incorrect API key provided"}})
TABLE: list[tuple[ToolgateError, int, str, str, str | None]] = [
    (busy(), 429, "rate_limit_error", "rate_limit_exceeded", "7"),
    (busy(None), 429, "rate_limit_error", "rate_limit_exceeded", None),
    (OVERLOADED, 503, "server_error", "server_is_overloaded", "3"),
    (answered("acme", 500, {}, {}), 503, "server_error", "server_error", None),
    (unanswered("acme", ConnectionError()), 503, "server_error", "connection", None),
    (unanswered("acme", TimeoutError()), 504, "server_error", "timeout", None),
    (TimedOut("no model had answered in time"), 504, "server_error", "timed_out", None),
    (TOO_LONG, 400, "invalid_request_error", "context_length_exceeded", None),
    (answered("acme", 400, {}, {}), 400, "invalid_request_error", "invalid", None),
    (FLAGGED, 400, "invalid_request_error", "invalid_prompt", None),
    (NO_KEY, 502, "server_error", "model_failed", None),
    (answered("acme", 402, {}, {}), 502, "server_error", "model_failed", None),
    (answered("acme", 403, {}, {}), 502, "server_error", "model_failed", None),
    (NoModel({"a/m": BLIND}), 400, "invalid_request_error", "no_model", None),
    (NoModel({"a/m": "no-a denies it"}, "model_forbidden"), 403, "permission_error", "no_model", None),
    (NoModel({"a/m": "it kept failing"}), 503, "server_error", "no_model", None),
    (OverBudget("the money of this day is spent", 90.0), 429, "insufficient_quota", "over_budget", "90"),
    (Misconfigured("no language model is set up"), 502, "server_error", "misconfigured", None),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("error", "status", "kind", "code", "after"), TABLE)
async def test_what_fails_before_a_word_has_the_status_that_its_clients_know(
    error: ToolgateError, status: int, kind: str, code: str, after: str | None, form: str, stream: bool
) -> None:
    lines = [Line(error=error)] * 2  # who has no money left is asked for the last words
    async with sdk(Talking(lines)) as client:
        with pytest.raises(openai.APIStatusError) as failed:
            await ask(client, form, stream=stream)

    said = failed.value
    assert (said.status_code, said.type, said.code, said.param) == (status, kind, code, None)
    assert said.response.headers.get("retry-after") == after
    assert said.response.headers.get("x-should-retry") == (None if status in (429, 503, 504) else "false")


async def test_a_provider_that_lets_this_server_not_in_does_not_look_like_the_callers_own_key() -> None:
    async with sdk(Talking([Line(error=NO_KEY)])) as client:
        with pytest.raises(openai.APIStatusError) as failed:
            await ask(client, "chat")

    said = failed.value
    assert "by how this server is set up and not by the request: the provider of a language model does not accept the key" in said.message
    assert not any(word in said.response.text for word in ("401", "invalid_api_key", "Incorrect"))


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_an_error_in_openais_words(reason: str) -> None:
    said = told(Problem(reason, "it failed"))

    assert set(said) == {"message", "type", "param", "code"}
    assert said["type"] != "authentication_error"


class Declining(ScriptedProvider):
    """Says that it will not."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(lambda _: Line("I will not."))
        self._stop = stop

    async def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        async for delta in super().stream(prompt, errand):
            yield Done(replace(delta.reply, stop=self._stop)) if isinstance(delta, Done) else delta


@asynccontextmanager
async def asking_of(provider: Provider) -> AsyncIterator[AsyncOpenAI]:
    world = Talking([])
    world.agent = replace(world.agent, models=provider)
    async with sdk(world) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
async def test_a_providers_429_reaches_the_client_with_its_retry_after(stream: bool) -> None:
    limited = Act(status=429, headers={"retry-after": "42"}, body={"error": {"code": "rate_limit_exceeded"}})
    async with (
        open_transport() as transport,
        model_server(limited) as server,
        asking_of(a_provider(OPENAI, server.origin, transport)) as client,
    ):
        with pytest.raises(openai.RateLimitError) as failed:
            await ask(client, "chat", stream=stream)

    assert (failed.value.response.headers["retry-after"], failed.value.code) == ("42", "rate_limit_exceeded")


@pytest.mark.parametrize("others", [NO_KEY, OVERLOADED])
async def test_of_several_models_what_passes_by_itself_tells_whether_to_come_back(others: ModelFailed) -> None:
    models = World({"a": lambda _: Line(error=busy(30)), "b": lambda _: Line(error=others)})
    async with asking_of(models.routed) as client:
        with pytest.raises(openai.APIStatusError) as failed:
            await ask(client, "chat")

    assert failed.value.status_code == (429 if others is NO_KEY else 503)
    assert failed.value.response.headers["retry-after"] == ("30" if others is NO_KEY else "3")


async def test_the_client_asks_again_where_that_helps_and_nothing_was_called() -> None:
    world = Talking([Line(error=busy(None)), Line("One leaks.")])
    async with sdk(world) as client:
        answer = await ask(client.with_options(max_retries=1), "chat")

    assert answer.choices[0].message.content == "One leaks."


@pytest.mark.parametrize("form", FORMS)
async def test_a_run_that_has_called_something_is_not_made_again(form: str) -> None:
    world = Talking([Line(calls=(("list_issues", {}),)), Line(error=busy())])
    async with sdk(world) as client:
        with pytest.raises(openai.RateLimitError) as failed:
            await ask(client.with_options(max_retries=2), form)

    assert (failed.value.response.headers["retry-after"], len(world.model.asked)) == ("7", 2)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", [AuditUnavailable("the disk is full"), Busy("another process has it"), ZeroDivisionError()], ids=repr)
async def test_a_run_that_breaks_off_is_not_made_again(error: Exception, stream: bool, form: str) -> None:
    def say(prompt: Prompt) -> Line:
        if isinstance(prompt.messages[-1], ToolResult):
            raise error
        return Line(calls=(("list_issues", {}),))

    world = Talking(say)
    async with sdk(world) as client:
        with suppress(openai.APIError):  # a stream of responses tells it as an event
            await ask(client.with_options(max_retries=2), form, stream=stream)

    assert len(world.model.asked) == 2


@pytest.mark.parametrize("form", FORMS)
async def test_a_run_whose_end_cannot_be_written_down_is_not_made_again(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = Talking([Line(calls=(("list_issues", {}),)), Line("One leaks.")])
    append, ends = world.stores.journal.append, []

    async def full(stream: str, body: Mapping[str, Any], **more: Any) -> int:
        ends.extend([body] if body["type"] == "call.outcome" else [])
        if len(ends) > 1:  # the first is that of the issues
            raise AuditUnavailable("the disk is full")
        return await append(stream, body, **more)

    monkeypatch.setattr(world.stores.journal, "append", full)
    async with sdk(world) as client:
        with pytest.raises(openai.APIStatusError) as failed:
            await ask(client.with_options(max_retries=2), form)

    assert (failed.value.status_code, failed.value.code, len(world.model.asked)) == (503, "audit_unavailable", 2)


async def test_a_run_whose_money_ends_after_a_reply_answers_with_what_it_has() -> None:
    spent = OverBudget("the money of this day is spent", 90.0)
    world = Talking([Line("I look.", calls=(("list_issues", {}),)), Line(error=spent), Line(error=spent)])
    async with sdk(world) as client:
        answer = await ask(client, "chat")

    assert (answer.choices[0].finish_reason, answer.choices[0].message.content[:7]) == ("length", "I look.")


async def test_a_run_that_was_gone_on_with_is_not_gone_on_with_again() -> None:
    world = Talking([Line("Hello."), Line(error=busy())])
    async with sdk(world) as client:
        first = await client.responses.create(model="toolgate", input="Hi")
        with pytest.raises(openai.RateLimitError):
            await client.with_options(max_retries=2).responses.create(model="toolgate", previous_response_id=first.id, input="And?")

    assert len(world.model.asked) == 2


async def test_what_fails_after_a_word_is_an_error_in_the_stream_of_chunks() -> None:
    async with Talking([Line("One ", error=busy())]).client() as client:
        answer = await client.post("/v1/chat/completions", json={"model": "toolgate", "messages": ASKED, "stream": True})

    *chunks, last = events(answer)
    assert (answer.status_code, chunks[0]["choices"][0]["delta"]["role"]) == (200, "assistant")
    assert set(last) == {"error"}
    assert (last["error"]["type"], last["error"]["code"], last["error"]["param"]) == ("rate_limit_error", "rate_limit_exceeded", None)
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
async def test_the_sdk_raises_what_fails_after_a_word(stream: bool) -> None:
    async with sdk(Talking([Line("One ", error=TOO_LONG)])) as client:
        with pytest.raises(openai.APIError) as failed:
            await ask(client, "chat", stream=stream)

    assert failed.value.code == "context_length_exceeded"


async def test_what_fails_after_a_word_fails_the_response() -> None:
    async with sdk(Talking([Line("One ", error=busy())])) as client:
        *_, last = await ask(client, "responses", stream=True)

    assert (last.type, last.response.status) == ("response.failed", "failed")
    assert (last.response.error.code, last.response.error.type) == ("rate_limit_exceeded", "rate_limit_error")


async def test_a_model_that_declines_is_an_answer_with_a_refusal() -> None:
    async with asking_of(Declining("refusal")) as client:
        whole, response = await ask(client, "chat"), await ask(client, "responses")
        chunks, pieces = await ask(client, "chat", stream=True), await ask(client, "responses", stream=True)

    (choice,) = whole.choices
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, "I will not.", "stop")
    assert [chunk.choices[0].delta.refusal for chunk in chunks if chunk.choices[0].delta.refusal] == ["the model declined to answer"]
    assert chunks[-1].choices[0].finish_reason == "stop"
    for answer in (response, pieces[-1].response):
        assert (answer.status, answer.output[-1].content[0].type) == ("completed", "refusal")
    assert [piece.delta for piece in pieces if piece.type == "response.refusal.delta"] == ["the model declined to answer"]
    done = [piece.item for piece in pieces if piece.type == "response.output_item.done"]
    assert done == pieces[-1].response.output


async def test_an_answer_that_was_filtered_ends_as_openais_does() -> None:
    async with asking_of(Declining("filtered")) as client:
        whole, response = await ask(client, "chat"), await ask(client, "responses")
        chunks = await ask(client, "chat", stream=True)

    assert (whole.choices[0].message.content, whole.choices[0].finish_reason) == ("I will not.", "content_filter")
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "I will not."
    assert chunks[-1].choices[0].finish_reason == "content_filter"
    assert (response.status, response.incomplete_details.reason, response.output_text) == ("incomplete", "content_filter", "I will not.")


async def test_what_is_held_is_sent_with_the_first_sign_of_life() -> None:
    seen, heard = anyio.Event(), bytearray()

    async def work(say: Say) -> None:
        say.hold("one")
        await seen.wait()
        await say("two")

    async def receive() -> Mapping[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Mapping[str, Any]) -> None:
        heard.extend(message.get("body", b""))
        if b": still here" in heard:
            seen.set()

    with anyio.fail_after(5):
        await Events(work, ping=0.001)({"type": "http"}, receive, send)  # type: ignore[arg-type]

    assert heard.startswith(b"data: one\n\n: still here\n\n")
    assert heard.endswith(b"data: two\n\n")
