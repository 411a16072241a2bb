"""A server on loopback that speaks the wire forms of OpenAI (Responses), Anthropic (Messages) and everybody else (Chat Completions).

It runs under uvicorn, so that streams, broken connections and slow answers are those of a real server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from toolgate.egress.transport import Transport
from toolgate.llm.declared import LOOPBACK, Declared
from toolgate.llm.model import Model
from toolgate.llm.opening import opened
from toolgate.llm.provider import Provider
from toolgate.thinking import ProviderKind

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a model says, in any form."""

    text: str = ""
    """Sent word by word."""
    thought: str = ""
    calls: Sequence[tuple[str, str, str]] = ()
    """Id, tool, and the JSON of its arguments as it is written; sent in two pieces."""
    stop: str = "end"
    """`end`, `calls`, `length`, `refusal`, `filtered`."""
    usage: Mapping[str, Any] | None = None
    """As the form has it; None: 100 tokens in, 20 out."""


@dataclass(frozen=True)
class Act:
    """What the server does with one request."""

    answer: Answer = Answer("Hello there.")
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    """Instead of a stream, where the status is an error."""
    cut: int | None = None
    """The connection is closed after so many events."""
    short: int | None = None
    """The stream ends properly, but after so many events."""
    spoil: int | None = None
    """This event is not JSON."""
    error: Event | None = None
    """An error event of the form, before the last one."""
    wait: int | None = None
    """Before this event the server waits for `go`."""


@dataclass
class Server:
    """What came, and what is done with it."""

    origin: str = ""
    acts: list[Act] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has gone away before the end."""


@dataclass(frozen=True)
class Form:
    """One wire form."""

    kind: ProviderKind
    model: str
    path: str
    """Of the base URL."""
    events: Callable[[Answer], Iterator[Event]]
    usage: Callable[[int, int], Mapping[str, Any]]
    error: Event
    """An overload in the middle of a stream."""
    last: int
    """Events after the last piece of text."""


@asynccontextmanager
async def model_server(*acts: Act) -> AsyncIterator[Server]:
    """The server; it does `acts` in order, and the last one again and again."""
    state = Server(acts=list(acts) or [Act()])

    async def answer(request: Request) -> Response:
        state.bodies.append(await request.json())
        state.headers.append(dict(request.headers))
        act = state.acts.pop(0) if len(state.acts) > 1 else state.acts[0]
        if act.status != 200:
            return JSONResponse(act.body if act.body is not None else {}, act.status, dict(act.headers))
        form = next(form for form in FORMS if request.url.path.endswith(ENDPOINTS[form.kind]))
        return StreamingResponse(_stream(state, act, form), headers={"content-type": "text/event-stream", **act.headers})

    app = Starlette(routes=[Route(path, answer, methods=["POST"]) for path in ("/v1/responses", "/v1/messages", "/v1/chat/completions")])
    config = uvicorn.Config(app, port=0, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    config.load()
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0)
        state.origin = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield state
    finally:
        state.go.set()
        server.should_exit = True
        await running


async def _stream(state: Server, act: Act, form: Form) -> AsyncIterator[bytes]:
    events = list(form.events(act.answer))
    if act.error is not None:
        events.insert(len(events) - form.last, act.error)
    try:
        for index, event in enumerate(events):
            if index == act.wait:
                await state.go.wait()
            if index == act.short:
                return
            if index == act.cut:
                raise ConnectionAbortedError
            data = json.dumps(event) if index != act.spoil else '{"type": "response.output_text.delta", "delta": '
            yield f"event: {event['type']}\ndata: {data}\n\n".encode() if "type" in event else f"data: {data}\n\n".encode()
        if form.kind == "compatible":
            yield b"data: [DONE]\n\n"
    except asyncio.CancelledError:
        state.left.set()
        raise


def words(text: str) -> list[str]:
    found = text.split(" ")
    return [word if index == 0 else f" {word}" for index, word in enumerate(found)] if text else []


def _responses(answer: Answer) -> Iterator[Event]:
    output: list[dict[str, Any]] = []
    shell: Event = {"id": "resp_1", "object": "response", "model": "gpt-5-mini-2025-08-07", "service_tier": "default", "output": []}
    yield {"type": "response.created", "response": {**shell, "status": "in_progress"}, "sequence_number": 0}
    if answer.thought:
        item = {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": answer.thought}],
            "encrypted_content": "gAAA",
        }
        yield {
            "type": "response.reasoning_summary_text.delta",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "delta": answer.thought,
        }
        output.append(item)
    if answer.text:
        kind, key = ("refusal", "refusal") if answer.stop == "refusal" else ("output_text", "text")
        for word in words(answer.text):
            yield {"type": f"response.{kind}.delta", "item_id": "msg_1", "output_index": len(output), "content_index": 0, "delta": word}
        part = {"type": kind, key: answer.text}
        output.append({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]})
    for index, (call, name, raw) in enumerate(answer.calls):
        item = {"type": "function_call", "id": f"fc_{index}", "call_id": call, "name": name, "arguments": "", "status": "in_progress"}
        yield {"type": "response.output_item.added", "output_index": len(output), "item": item}
        for piece in (raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            yield {"type": "response.function_call_arguments.delta", "item_id": f"fc_{index}", "output_index": len(output), "delta": piece}
        output.append({**item, "arguments": raw, "status": "completed"})
    reasons = {"length": "max_output_tokens", "filtered": "content_filter"}
    ending: dict[str, Any] = {"status": "completed"}
    if answer.stop in reasons:
        ending = {"status": "incomplete", "incomplete_details": {"reason": reasons[answer.stop]}}
    usage = answer.usage or OPENAI_USAGE(100, 20)
    yield {"type": f"response.{ending['status']}", "response": {**shell, **ending, "output": output, "usage": usage}}


def _messages(answer: Answer) -> Iterator[Event]:
    usage = dict(answer.usage or {"input_tokens": 100, "output_tokens": 20})
    message: Event = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5-20250929",
        "content": [],
        "stop_reason": None,
    }
    yield {"type": "message_start", "message": {**message, "usage": {**usage, "output_tokens": 1}}}
    index = 0
    if answer.thought:
        yield {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": answer.thought}}
        yield {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}
        yield {"type": "content_block_stop", "index": 0}
        index = 1
    if answer.text:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}}
        for word in words(answer.text):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": word}}
        yield {"type": "content_block_stop", "index": index}
        index += 1
    for call, name, raw in answer.calls:
        yield {"type": "content_block_start", "index": index, "content_block": {"type": "tool_use", "id": call, "name": name, "input": {}}}
        for piece in ("", raw[: len(raw) // 2], raw[len(raw) // 2 :]):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": piece}}
        yield {"type": "content_block_stop", "index": index}
        index += 1
    reasons = {"end": "end_turn", "calls": "tool_use", "length": "max_tokens", "refusal": "refusal", "filtered": "refusal"}
    yield {"type": "message_delta", "delta": {"stop_reason": reasons[answer.stop]}, "usage": {"output_tokens": usage["output_tokens"]}}
    yield {"type": "message_stop"}


def _chunks(answer: Answer) -> Iterator[Event]:
    shell = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "model-x-1"}

    def chunk(delta: Event, reason: str | None = None) -> Event:
        return {**shell, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield chunk({"role": "assistant", "content": ""})
    if answer.thought:
        yield chunk({"reasoning_content": answer.thought})
    for word in words(answer.text):
        yield chunk({"content": word})
    for index, (call, name, raw) in enumerate(answer.calls):
        half = len(raw) // 2
        yield chunk({"tool_calls": [{"index": index, "id": call, "type": "function", "function": {"name": name, "arguments": raw[:half]}}]})
        yield chunk({"tool_calls": [{"index": index, "function": {"arguments": raw[half:]}}]})
    reasons = {"end": "stop", "calls": "tool_calls", "length": "length", "refusal": "stop", "filtered": "content_filter"}
    yield chunk({}, reasons[answer.stop])
    yield {**shell, "choices": [], "usage": answer.usage or CHAT_USAGE(100, 20)}


def OPENAI_USAGE(tokens_in: int, tokens_out: int) -> Mapping[str, Any]:
    details = {"input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out, **details}


def ANTHROPIC_USAGE(tokens_in: int, tokens_out: int) -> Mapping[str, Any]:
    return {"input_tokens": tokens_in, "output_tokens": tokens_out, "service_tier": "standard"}


def CHAT_USAGE(tokens_in: int, tokens_out: int) -> Mapping[str, Any]:
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}


OVERLOADED = {"type": "overloaded_error", "message": "Overloaded"}
OPENAI = Form(
    "openai",
    "gpt-5-mini",
    "/v1",
    _responses,
    OPENAI_USAGE,
    {"type": "error", "code": "server_is_overloaded", "message": "Overloaded", "param": None},
    1,
)
ANTHROPIC = Form("anthropic", "claude-sonnet-5-5", "", _messages, ANTHROPIC_USAGE, {"type": "error", "error": OVERLOADED}, 2)
COMPATIBLE = Form("compatible", "model-x", "/v1", _chunks, CHAT_USAGE, {"error": {"code": 503, "message": "Overloaded"}}, 2)
FORMS = (OPENAI, ANTHROPIC, COMPATIBLE)
ENDPOINTS = {"openai": "/responses", "anthropic": "/messages", "compatible": "/chat/completions"}


def a_provider(form: Form, origin: str, transport: Transport, *, kind: ProviderKind | None = None, strict: bool = True) -> Provider:
    """A provider that asks the server, over the guarded way out."""
    model = Model("acme", form.model, strict=strict, vision=True)
    declared = Declared(
        "acme", kind or form.kind, origin + form.path, SecretStr("sk-secret"), networks=LOOPBACK, models=(model,), default=form.model
    )
    return opened(declared, transport)
