"""`POST /v1/chat/completions`: the agent for programs that speak OpenAI's Chat Completions.

Tools run inside, behind the gate; calls of those that a request brings are the program's own to make (`theirs`).
"""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from toolgate.agent.events import Event, Finished, Said, Started, Withdrawn
from toolgate.agent.loop import Agent
from toolgate.agent.report import report
from toolgate.api.answers import Json
from toolgate.api.conversation import asked
from toolgate.api.events import Events, Say
from toolgate.api.failures import A_BUG, problem_answer, problem_of, told
from toolgate.api.openai import OURS, Wanted, Wire, answer_of, bill_of, good, read, schema_in, used, wishes_in
from toolgate.api.theirs import has_to_call, results_in, tools_in
from toolgate.api.theirs import wanted as calls_of
from toolgate.api.tools import unless_gone
from toolgate.calls import Problem, new_id
from toolgate.errors import InvalidArguments, ModelFailed, ToolgateError
from toolgate.llm.messages import Tokens
from toolgate.llm.models import Models
from toolgate.server.context import trace_parent

log = logging.getLogger("toolgate.api")

RUN = "toolgate_run"
"""The key of `metadata` that names the run to go on with."""


class StreamOptions(Wire):
    include_usage: bool | None = None


class Body(Wire):
    model: str = OURS
    messages: list[Any]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: Any = None
    metadata: dict[str, Any] | None = None
    n: int | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None


class Completions:
    def __init__(self, agent: Agent, models: Models) -> None:
        self._agent = agent
        self._models = models

    async def complete(self, request: Request) -> Response:
        try:
            user, body = await read(request, self._agent, self._models, Body)
            _check(body)
            results = results_in(body.messages)
            run = results.run if results else (body.metadata or {}).get(RUN)
            before = await bill_of(self._agent, str(run), user) if run is not None else None
            said, schema = asked(body.messages), schema_in(body.response_format)
            brought = tools_in(body.tools, body.tool_choice)
        except ToolgateError as error:
            return problem_answer(problem_of(error))
        wanted = Wanted(
            self._agent,
            user,
            body.model,
            said,
            schema,
            run,
            before,
            trace_parent(request.headers.get("traceparent")),
            theirs=brought,
            has_to_call=has_to_call(body.tool_choice),
            results=results.by_call if results else {},
            answers=json.dumps(results.by_call) if results else "",
            streamed=bool(body.stream),
            wishes=wishes_in(body.metadata),
        )
        if body.stream:
            return Events(Chunks(wanted, with_usage=bool(body.stream_options and body.stream_options.include_usage)).go)
        end = await unless_gone(request, wanted.go(_nothing))
        if end is None:
            return Response(status_code=499)  # nobody reads it
        end = good(end, wanted)
        return problem_answer(end) if isinstance(end, Problem) else Json(_completion(wanted, end))


class Chunks:
    """An answer in pieces."""

    def __init__(self, wanted: Wanted, *, with_usage: bool) -> None:
        self._wanted = wanted
        self._with_usage = with_usage
        self._id = f"chatcmpl-{new_id()}"
        self._created = int(time.time())
        self._step: int | None = None

    async def go(self, say: Say) -> Response | None:
        async def hear(event: Event) -> None:
            match event:
                case Started(run):
                    self._id = f"chatcmpl-{run}"
                    say.hold(self._chunk({"role": "assistant", "content": ""}))
                case Said(text, step) if self._wanted.heard:
                    between = "" if self._step in (None, step) else "\n\n"
                    self._step = step
                    await say(self._chunk({"content": between + text}))
                case Withdrawn(_, reason) if self._wanted.heard:  # what was said cannot be taken back in these words
                    raise ModelFailed(f"the answer broke off and began anew, which a stream of chunks cannot say: {reason}", "transient")

        try:
            end = good(await self._wanted.go(hear), self._wanted)
        except Exception:
            log.exception("a run over chat completions failed by a bug")
            end = A_BUG
        if isinstance(end, Problem):
            if not say.begun:
                return problem_answer(end)
            await say(json.dumps({"error": told(end)}))
            return None
        if self._wanted.schema is not None and end.status == "done":
            await say(self._chunk({"content": end.answer}))
        if end.theirs:
            pieces = [{"index": place, **call} for place, call in enumerate(calls_of(end))]
            await say(self._chunk({"tool_calls": pieces}))
        elif end.code == "refusal":
            await say(self._chunk({"refusal": end.reason}))
        elif end.status != "done" and end.code != "filtered":
            await say(self._chunk({"content": f"\n\n[{end.status}: {end.reason}]"}))
        await say(self._chunk({}, _finish(end), **{OURS: report(end)}))
        if self._with_usage:
            await say(self._chunk(None, usage=_usage(used(end.bill, self._wanted.before))))
        await say("[DONE]")
        return None

    def _chunk(self, delta: Any, finish: str | None = None, **more: Any) -> str:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}]
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._wanted.model}
        return orjson.dumps(head | {"choices": choices} | more).decode()


def _completion(wanted: Wanted, end: Finished) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer_of(end), "refusal": None}
    if end.code == "refusal":
        message |= {"content": None, "refusal": end.answer or end.reason}
    if end.theirs:
        message |= {"content": end.answer or None if wanted.schema is None else None, "tool_calls": calls_of(end)}
    return {
        "id": f"chatcmpl-{end.run}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": wanted.model,
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(end), "logprobs": None}],
        "usage": _usage(used(end.bill, wanted.before)),
        OURS: report(end),
    }


def _finish(end: Finished) -> str:
    if end.theirs:
        return "tool_calls"
    if end.code == "filtered":
        return "content_filter"
    return "length" if end.status == "budget_exhausted" else "stop"


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning},
    }


def _check(body: Body) -> None:
    """
    Raises:
        InvalidArguments: it wants what the agent does not do.
    """
    if body.n not in (None, 1):
        raise InvalidArguments("n: the agent gives one answer")


async def _nothing(_event: Event) -> None:
    pass
