"""`POST /v1/responses`: the agent for programs that speak OpenAI's Responses API.

Its tools are to such a program those of an MCP server that the model calls by itself: each call is an `mcp_call` of the output, one that
waits for a person's yes an `mcp_approval_request`, which is answered by `previous_response_id` and an `mcp_approval_response`.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from toolgate.agent.events import ApprovalWanted, Called, Calling, Event, Finished, Said, Started, Withdrawn
from toolgate.agent.loop import Agent
from toolgate.agent.report import report
from toolgate.api.answers import Json
from toolgate.api.conversation import Asked, asked
from toolgate.api.events import Events, Say
from toolgate.api.failures import A_BUG, problem_answer, problem_of, status_of, told
from toolgate.api.openai import OURS, Wanted, Wire, answer_of, bill_of, good, read, schema_in, used, wishes_in
from toolgate.api.tools import unless_gone
from toolgate.calls import Principal, Problem, new_id
from toolgate.errors import InvalidArguments, ModelFailed, ToolgateError, UnknownApproval
from toolgate.llm.messages import Tokens
from toolgate.llm.models import Models
from toolgate.server.context import trace_parent

log = logging.getLogger("toolgate.api")

PREFIX = "resp_"
ANSWER = "mcp_approval_response"
OUTPUTS = ("function_call_output", "custom_tool_call_output", "mcp_call")
"""Items that hold what a tool has answered."""
LABEL = "toolgate"
"""Of the server that the tools are of."""


class TextFormat(Wire):
    format: Any = None


class Body(Wire):
    model: str = OURS
    input: str | list[Any] = ""
    instructions: str | None = None
    previous_response_id: str | None = None
    stream: bool | None = None
    text: TextFormat | None = None
    tools: list[Any] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None
    metadata: dict[str, Any] | None = None


class Responses:
    def __init__(self, agent: Agent, models: Models) -> None:
        self._agent = agent
        self._models = models

    async def create(self, request: Request) -> Response:
        try:
            user, body = await read(request, self._agent, self._models, Body)
            _check(body)
            run = body.previous_response_id.removeprefix(PREFIX) if body.previous_response_id is not None else None
            before = await bill_of(self._agent, run, user) if run is not None else None
            said, answers = _said(body)
            schema = schema_in(body.text.format) if body.text else None
        except ToolgateError as error:
            return problem_answer(problem_of(error))

        async def decide() -> None:
            for answer in answers:
                await self._decide(answer, user)

        trace = trace_parent(request.headers.get("traceparent"))
        answered = "; ".join(f"{answer.get('approval_request_id')}: {answer.get('approve')}" for answer in answers)
        more: Any = {"streamed": bool(body.stream), "wishes": wishes_in(body.metadata)}
        wanted = Wanted(self._agent, user, body.model, said, schema, run, before, trace, decide, answered, **more)
        output = Output(wanted, body)
        if body.stream:
            return Events(output.stream)
        end = await unless_gone(request, output.go())
        if end is None:
            return Response(status_code=499)  # nobody reads it
        end = good(end, wanted)
        return problem_answer(end) if isinstance(end, Problem) else Json(output.whole(end))

    async def _decide(self, answer: Mapping[str, Any], user: Principal) -> None:
        """Write down the user's answer to one question. One that is not asked any more is asked anew by the gate."""
        name, yes = answer.get("approval_request_id"), answer.get("approve")
        if not isinstance(name, str) or not isinstance(yes, bool):
            raise InvalidArguments(f"{ANSWER} has approval_request_id, a text, and approve, true or false")
        approvals = self._agent.gateway.approvals
        with suppress(UnknownApproval):
            approval = await approvals.find(name)
            if approvals.settings.by == "caller" and approvals.owns(user, approval):
                await approvals.decide(name, yes, user, "client")


class Output:
    """What a run's events become: items of the output, and events about them."""

    def __init__(self, wanted: Wanted, body: Body) -> None:
        self._wanted = wanted
        self._body = body
        self._id = f"{PREFIX}{new_id()}"
        self._created = int(time.time())  # clients in typed languages read no other number
        self._items: list[dict[str, Any]] = []
        self._number = 0
        self._say: Say | None = None
        self._talking = False

    async def go(self) -> Finished | Problem:
        end = await self._wanted.go(self.hear)
        if isinstance(end, Finished) and not isinstance(good(end, self._wanted), Problem):
            await self._tell(self._rest(end))
        return end

    async def stream(self, say: Say) -> Response | None:
        self._say = say
        try:
            end = await self.go()
        except Exception:
            log.exception("a run over responses failed by a bug")
            end = A_BUG
        failed = good(end, self._wanted)
        if isinstance(failed, Problem) and not say.begun:
            return problem_answer(failed)
        if isinstance(end, Problem):
            await self._broke(end)
            return None
        whole = self.whole(end)
        kind = {"completed": "completed", "failed": "failed"}.get(whole["status"], "incomplete")
        await self._tell([{"type": f"response.{kind}", "response": whole}])
        return None

    async def hear(self, event: Event) -> None:
        await self._tell(self._of(event), hold=isinstance(event, Started))

    def whole(self, end: Finished) -> dict[str, Any]:
        """The response at its end."""
        beside: dict[str, Any] = {"usage": _usage(used(end.bill, self._wanted.before)), OURS: report(end)}
        failed = good(end, self._wanted)
        if isinstance(failed, Problem):
            return self._head("failed") | beside | {"error": told(failed)}
        said = self._head("completed") | beside
        # OpenAI's agents take an incomplete response for a failure, and no question out of it.
        if end.status in ("done", "waiting") or end.code == "refusal":
            return said
        return said | {"status": "incomplete", "incomplete_details": {"reason": "content_filter" if end.code == "filtered" else end.status}}

    def _of(self, event: Event) -> Iterator[dict[str, Any]]:
        match event:
            case Started(run):
                self._id = f"{PREFIX}{run}"
                for kind in ("created", "in_progress"):
                    yield {"type": f"response.{kind}", "response": self._head("in_progress")}
            case Said(text) if self._wanted.schema is None:
                yield from self._piece(text)
            case Withdrawn(_, reason) if self._wanted.heard:
                raise ModelFailed(f"the answer broke off and began anew, which these events cannot say: {reason}", "transient")
            case Calling(id, tool, arguments):
                yield from self._begin_call(id, tool, arguments)
            case Called():
                yield from self._end_call(event)
            case ApprovalWanted(wanted):
                yield from self._closed()
                for one in wanted:
                    item = {"type": "mcp_approval_request", "id": one.approval, "name": one.tool, "server_label": LABEL}
                    yield from self._added(item | {"arguments": json.dumps(dict(one.arguments), ensure_ascii=False)})
                    yield self._done(self._items[-1])

    def _piece(self, text: str) -> Iterator[dict[str, Any]]:
        if not self._talking:
            self._talking = True
            message = _message(f"msg_{len(self._items)}_{self._id}", "")
            yield from self._added(message | {"status": "in_progress", "content": []})
            self._items[-1]["content"] = message["content"]
            yield self._about("content_part.added", part=dict(message["content"][0]))
        self._items[-1]["content"][0]["text"] += text
        yield self._about("output_text.delta", delta=text, logprobs=[])

    def _rest(self, end: Finished) -> Iterator[dict[str, Any]]:
        """What is said at the end of a run and was not in its course."""
        yield from self._closed()
        if end.code == "refusal":
            yield from self._declined(end.reason)
        elif not any(item["type"] == "message" for item in self._items):
            yield from self._piece(answer_of(end))
        elif end.status != "done" and end.code != "filtered":
            yield from self._piece(f"[{end.status}: {end.reason}]")
        yield from self._closed()

    def _declined(self, why: str) -> Iterator[dict[str, Any]]:
        part = {"type": "refusal", "refusal": why}
        item = _message(f"msg_{len(self._items)}_{self._id}", "") | {"content": [part]}
        yield from self._added(item | {"status": "in_progress", "content": []})
        self._items[-1] = item
        yield self._about("content_part.added", part=part | {"refusal": ""})
        yield self._about("refusal.delta", delta=why)
        yield self._about("refusal.done", refusal=why)
        yield self._about("content_part.done", part=part)
        yield self._done(item)

    def _closed(self) -> Iterator[dict[str, Any]]:
        """The end of the message that is being said."""
        if not self._talking:
            return
        self._talking = False
        item = self._items[-1]
        item["status"] = "completed"
        (part,) = item["content"]
        yield self._about("output_text.done", text=part["text"], logprobs=[])
        yield self._about("content_part.done", part=part)
        yield self._done(item)

    def _begin_call(self, id: str, tool: str, arguments: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        yield from self._closed()
        said = json.dumps(dict(arguments), ensure_ascii=False)
        item = {"type": "mcp_call", "id": f"mcp_{id}", "name": tool, "server_label": LABEL, "arguments": said}
        yield from self._added(item | {"output": None, "error": None, "status": "in_progress"})
        yield {"type": "response.mcp_call.in_progress", "item_id": item["id"], "output_index": len(self._items) - 1}

    def _end_call(self, called: Called) -> Iterator[dict[str, Any]]:
        place = next((at for at, item in enumerate(self._items) if item["id"] == f"mcp_{called.id}"), None)
        if place is None:  # it was not made
            yield from self._begin_call(called.id, called.tool, {})
            place = len(self._items) - 1
        item = self._items[place]
        item["status"] = "failed" if called.failed else "completed"
        item["error" if called.failed else "output"] = called.text
        yield {"type": f"response.mcp_call.{item['status']}", "item_id": item["id"], "output_index": place}
        yield {"type": "response.output_item.done", "output_index": place, "item": item}

    def _added(self, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
        self._items.append(item)
        yield {"type": "response.output_item.added", "output_index": len(self._items) - 1, "item": dict(item)}

    def _done(self, item: dict[str, Any]) -> dict[str, Any]:
        return {"type": "response.output_item.done", "output_index": len(self._items) - 1, "item": item}

    def _about(self, kind: str, **more: Any) -> dict[str, Any]:
        """An event about the text of the message that is being said."""
        at = {"item_id": self._items[-1]["id"], "output_index": len(self._items) - 1, "content_index": 0}
        return {"type": f"response.{kind}"} | at | more

    def _head(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": self._wanted.model,
            "output": list(self._items),
            "instructions": self._body.instructions,
            "previous_response_id": self._body.previous_response_id,
            "metadata": self._body.metadata or {},
            "error": None,
            "incomplete_details": None,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "temperature": None,
            "top_p": None,
            "usage": None,
        }

    async def _tell(self, events: Iterator[dict[str, Any]] | Sequence[dict[str, Any]], *, hold: bool = False) -> None:
        for event in events:
            if self._say is not None:
                data = orjson.dumps({**event, "sequence_number": self._number}).decode()
                self._number += 1
                if hold:
                    self._say.hold(data)
                else:
                    await self._say(data)

    async def _broke(self, problem: Problem) -> None:
        await self._tell([{**told(problem), "type": "error", "status": status_of(problem.code)}])


def _message(id: str, text: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"type": "message", "id": id, "role": "assistant", "status": "completed", "content": [part]}


def _said(body: Body) -> tuple[Asked, Sequence[Mapping[str, Any]]]:
    """What is asked for, and the answers to what an earlier response asked.

    Raises:
        InvalidArguments: as `asked`, or an item is not there but named.
    """
    items = [{"role": "user", "content": body.input}] if isinstance(body.input, str) else body.input
    answers = [item for item in items if isinstance(item, Mapping) and item.get("type") == ANSWER]
    messages = [message for place, item in enumerate(items) if (message := _message_of(item, place))]
    over = [{"role": "system", "content": body.instructions}] if body.instructions else []
    said = asked([*over, *messages])
    if body.previous_response_id is not None and said.spoken:  # all of it comes after what that response has heard
        said = replace(said, text=said.task, earlier="", images=said.all_images, shown=())
    return said, answers


def _message_of(item: Any, place: int) -> Mapping[str, Any] | None:
    """What an item of the input says to the agent; None: nothing, as what another model thought, or calls whose results come too."""
    kind = item.get("type", "message") if isinstance(item, Mapping) else None
    if kind == "item_reference":
        raise InvalidArguments(
            f"input.{place}: items are not kept by id; send the item itself (with `store: false` clients do), or previous_response_id"
        )
    if kind in OUTPUTS and isinstance(item.get("output"), str | list):
        return {"role": "tool", "content": item["output"]}
    return item if kind == "message" and item.get("content") else None


def _usage(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "input_tokens_details": {"cached_tokens": tokens.cached},
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": tokens.input + tokens.output,
    }


def _check(body: Body) -> None:
    """
    Raises:
        InvalidArguments: it wants what the agent does not do.
    """
    if body.background:
        raise InvalidArguments("background: the agent answers while you wait; GET /v1/runs tells of runs afterwards")
    if body.conversation is not None:
        raise InvalidArguments("conversation: none are kept here; previous_response_id goes on with one")
    if body.prompt is not None:
        raise InvalidArguments("prompt: none are kept here; send what it says as instructions")
    if body.tools:
        raise InvalidArguments("tools: the agent calls Toolgate's tools by itself; leave yours out, or add them as an integration")
