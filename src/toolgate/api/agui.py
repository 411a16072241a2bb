"""A run's events in the words of AG-UI 1.0 (docs.ag-ui.com/spec/1.0). Pure.

A producer's streams do not overlap here: whatever else comes closes the text or the reasoning that is open. What AG-UI has no word for
(which model was chosen, what was spent, a hint) goes as `CUSTOM` events called `toolgate.…`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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
    Thought,
    Wanted,
    Withdrawn,
)
from toolgate.agent.report import report
from toolgate.calls import Problem
from toolgate.money import shown
from toolgate.times import stamp

VERSION = "1.0"
OURS = "toolgate"
"""The key of our metadata, and the beginning of our events' names."""
YES_OR_NO: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "approved": {"type": "boolean", "description": "It counts once, for exactly this call."},
        # What it is called in AG-UI's "Approve with edits" (docs.ag-ui.com/concepts/interrupts).
        "editedArgs": {"type": "object", "description": "Full replacement of the tool's arguments. Not merged."},
    },
    "required": ["approved"],
}
Json = dict[str, Any]


@dataclass
class Stream:
    """One AG-UI run: what our events become."""

    thread: str
    run: str
    """As the client calls it; ours stands in the metadata of RUN_STARTED."""
    messages: list[Json] = field(default_factory=list)
    """The conversation as the client has it; it grows with what we say."""
    before: Bill | None = None
    """What our run had used before this one: AG-UI counts for each run alone."""
    answerable: bool = True
    """The caller's own yes counts; otherwise only an operator's."""
    expires: float | None = None
    """Until when questions may be answered, seconds since 1970."""
    _open: tuple[str, str] | None = field(default=None, init=False)
    """The kind and the id of the message that is being said."""
    _step: int | None = field(default=None, init=False)
    _count: int = field(default=0, init=False)
    _started: bool = field(default=False, init=False)
    _wanted: Sequence[Wanted] = field(default=(), init=False)
    _ours: int = field(default=0, init=False)
    """Messages that were there before this step's."""

    def __post_init__(self) -> None:
        self._calls = {call.get("id") for message in self.messages for call in message.get("toolCalls") or ()}
        """Ids of tool calls that the client has."""
        self._made = {message.get("toolCallId") for message in self.messages if message.get("role") == "tool"}
        """Of those, the ones that it has the result of."""

    def of(self, event: Event) -> Iterator[Json]:
        match event:
            case Started():
                yield from self._start(event.run, event.resumed)
            case Said(text, step):
                yield from self._piece("text", text, step)
            case Thought(text, step):
                yield from self._piece("reasoning", text, step)
            case Withdrawn(step, reason):
                yield from self._withdraw(reason)
            case Calling(id, tool, arguments, step):
                yield from self._in(step)
                yield from self._call(id, tool, arguments)
            case Called():
                yield from self._result(event)
            case ApprovalWanted(wanted):
                self._wanted = wanted
                for one in wanted:  # a call that is asked about has to be seen
                    yield from self._call(one.call, one.tool, one.arguments)
            case Routed(provider, model, reasons, scores):
                yield from self._custom("routed", {"provider": provider, "model": model, "reasons": list(reasons), "scores": dict(scores)})
            case Spent(cost, _, steps, calls, left):
                value = {"cost": shown(cost), "steps": steps, "calls": calls, "left": None if left is None else shown(left)}
                yield from self._custom("spent", value)
            case Noted(kind, text):
                yield from self._custom("noted", {"kind": kind, "text": text})
            case Finished():
                yield from self._finish(event)

    def broke(self, problem: Problem) -> Iterator[Json]:
        """The end of a run that did not get to its own."""
        if not self._started:
            yield from self._start("", resumed=False)
        yield from self._end_step()
        yield {"type": "RUN_ERROR", "message": problem.message, "code": problem.code}

    def _start(self, run: str, resumed: bool) -> Iterator[Json]:
        self._started = True
        started = {"type": "RUN_STARTED", "threadId": self.thread, "runId": self.run, "protocolVersion": VERSION}
        yield started | ({"metadata": {OURS: {"run": run, "resumed": resumed}}} if run else {})

    def _piece(self, kind: str, text: str, step: int) -> Iterator[Json]:
        yield from self._in(step)
        if self._open is None or self._open[0] != kind:
            yield from self._close()
            message = self._new_id()
            self._open = kind, message
            if kind == "text":
                self.messages.append({"id": message, "role": "assistant", "content": ""})
                yield {"type": "TEXT_MESSAGE_START", "messageId": message, "role": "assistant"}
            else:
                yield {"type": "REASONING_START", "messageId": message}
                yield {"type": "REASONING_MESSAGE_START", "messageId": message, "role": "reasoning"}
        message = self._open[1]
        if kind == "text":
            self.messages[-1]["content"] += text
        yield {"type": "TEXT_MESSAGE_CONTENT" if kind == "text" else "REASONING_MESSAGE_CONTENT", "messageId": message, "delta": text}

    def _withdraw(self, reason: str) -> Iterator[Json]:
        """What was said in this step is void: the client is told what the conversation is without it."""
        yield from self._close()
        del self.messages[self._ours :]
        yield {"type": "MESSAGES_SNAPSHOT", "messages": [dict(message) for message in self.messages]}
        yield from self._custom("withdrawn", {"reason": reason})

    def _call(self, id: str, tool: str, arguments: Mapping[str, Any]) -> Iterator[Json]:
        if id in self._calls:
            return
        self._calls.add(id)
        yield from self._close()
        said = json.dumps(dict(arguments), ensure_ascii=False)
        last = self.messages[-1] if len(self.messages) > self._ours else {}
        parent = last if last.get("role") == "assistant" else None
        if parent is None:
            parent = {"id": self._new_id(), "role": "assistant"}
            self.messages.append(parent)
        parent.setdefault("toolCalls", []).append({"id": id, "type": "function", "function": {"name": tool, "arguments": said}})
        yield {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": tool, "parentMessageId": parent["id"]}
        yield {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": said}
        yield {"type": "TOOL_CALL_END", "toolCallId": id}

    def _result(self, called: Called) -> Iterator[Json]:
        if called.id in self._made:
            return
        yield from self._call(called.id, called.tool, {})
        yield from self._close()
        message = self._new_id()
        failed = {"error": called.code or "failed"} if called.failed else {}
        self.messages.append({"id": message, "role": "tool", "toolCallId": called.id, "content": called.text, **failed})
        about = {"failed": called.failed, "code": called.code, "cost": shown(called.cost), "seconds": called.seconds}
        result = {"type": "TOOL_CALL_RESULT", "messageId": message, "toolCallId": called.id, "content": called.text, "role": "tool"}
        yield result | {"metadata": {OURS: about | {"replayed": called.replayed}}}

    def _finish(self, end: Finished) -> Iterator[Json]:
        yield from self._end_step()
        usage = usages(end.bill, self.before)
        if end.status == "failed":
            yield {"type": "RUN_ERROR", "message": end.reason or "the run failed", "code": end.status, "usage": usage}
            return
        finished = {"type": "RUN_FINISHED", "threadId": self.thread, "runId": self.run, "outcome": self._outcome(end)}
        yield finished | {"result": report(end), "usage": usage}

    def _outcome(self, end: Finished) -> Json:
        if end.status == "waiting" and self._wanted:
            return {"type": "interrupt", "interrupts": [self._interrupt(one) for one in self._wanted]}
        return {"type": "cancelled" if end.status == "cancelled" else "success"}

    def _interrupt(self, wanted: Wanted) -> Json:
        asked: Json = {"id": wanted.approval, "reason": "tool_call", "message": wanted.text, "toolCallId": wanted.call}
        if self.answerable:
            asked["responseSchema"] = dict(YES_OR_NO)
        if self.expires is not None:
            asked["expiresAt"] = stamp(self.expires, "milliseconds")
        return asked | {"metadata": {OURS: {"tool": wanted.tool, "by": "caller" if self.answerable else "operator"}}}

    def _custom(self, name: str, value: Json) -> Iterator[Json]:
        yield from self._close()
        yield {"type": "CUSTOM", "name": f"{OURS}.{name}", "value": value}

    def _in(self, step: int) -> Iterator[Json]:
        """Be in that step of the run."""
        if step != self._step:
            yield from self._end_step()
            self._step, self._ours = step, len(self.messages)
            yield {"type": "STEP_STARTED", "stepName": f"step {step}"}

    def _end_step(self) -> Iterator[Json]:
        yield from self._close()
        if self._step is not None:
            yield {"type": "STEP_FINISHED", "stepName": f"step {self._step}"}
            self._step = None

    def _close(self) -> Iterator[Json]:
        if self._open is None:
            return
        (kind, message), self._open = self._open, None
        if kind == "text":
            yield {"type": "TEXT_MESSAGE_END", "messageId": message}
        else:
            yield {"type": "REASONING_MESSAGE_END", "messageId": message}
            yield {"type": "REASONING_END", "messageId": message}

    def _new_id(self) -> str:
        self._count += 1
        return f"{self.run}-{self._count}"


def usages(bill: Bill, before: Bill | None = None) -> list[Json]:
    """Tokens by provider and model, without those that `before` has already."""
    earlier = before.by_model if before else {}
    found = []
    for name, line in bill.by_model.items():
        was = earlier.get(name, {}).get("tokens", {})
        tokens = {kind: count - was.get(kind, 0) for kind, count in line["tokens"].items()}
        if any(tokens.values()):
            provider, _, model = name.partition("/")
            found.append(
                {
                    "provider": provider,
                    "model": model,
                    "inputTokens": tokens["input"],
                    "outputTokens": tokens["output"],
                    "totalTokens": tokens["input"] + tokens["output"],
                    "reasoningTokens": tokens["reasoning"],
                    "cachedInputTokens": tokens["cached"],
                    "cacheWriteInputTokens": tokens["cache_written"],
                }
            )
    return found
