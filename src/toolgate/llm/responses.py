"""OpenAI's Responses API: requests and events, as values.

Nothing is stored at OpenAI: what a model thought comes back encrypted, is carried, and is sent again with the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from toolgate.llm.classify import cut_off, interrupted
from toolgate.llm.messages import (
    DETAIL,
    Assistant,
    CallDelta,
    Delta,
    Message,
    Prompt,
    ReasoningDelta,
    Reply,
    Stop,
    System,
    TextDelta,
    Tokens,
    ToolCall,
    ToolResult,
    User,
)
from toolgate.llm.model import Model
from toolgate.llm.offer import Offer, called, instruction, own, used

THINKS = re.compile(r"^(o\d|gpt-[5-9](?!.*chat)|codex)")
"""Models that think before they answer: their thoughts can be had encrypted."""
LONGEST_ID = 64
"""Characters of a call's id; a longer one ends the request."""
ANSWER = "answer"
"""What the schema of an answer is called; OpenAI wants a name."""


@dataclass
class Responses:
    """One request in OpenAI's form, and its answer."""

    name: str
    prompt: Prompt
    model: Model
    offer: Offer
    _calls: dict[str, str] = field(default_factory=dict, init=False)
    """By an item's id, the call's."""
    _final: Mapping[str, Any] | None = field(default=None, init=False)

    def body(self) -> dict[str, Any]:
        prompt, model, offer = self.prompt, self.model, self.offer
        body: dict[str, Any] = {
            "model": model.name,
            "input": [item for message in prompt.messages for item in self._items(message)],
            "max_output_tokens": max(16, prompt.max_tokens),  # the least that is taken
            "store": False,
        }
        if THINKS.match(model.name):
            body["include"] = ["reasoning.encrypted_content"]
        if offer.tools:
            body["tools"] = [
                {"type": "function", "name": tool.name, "description": tool.description, "parameters": made.schema, "strict": made.strict}
                for tool, made in offer.tools
            ]
            body["tool_choice"] = prompt.choice
            body["parallel_tool_calls"] = True
        if offer.formal is not None:
            body["text"] = {"format": {"type": "json_schema", "name": ANSWER, **offer.formal}}
        elif offer.schema is not None:
            body["instructions"] = instruction(offer.schema.original)
        return body

    def take(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        match event.get("type"):
            case "response.output_text.delta" | "response.refusal.delta":
                yield TextDelta(event["delta"])
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                yield ReasoningDelta(event["delta"])
            case "response.output_item.added" if event["item"].get("type") == "function_call":
                item = event["item"]
                self._calls[item.get("id") or ""] = item["call_id"]
                yield CallDelta(item["call_id"], item["name"])
            case "response.function_call_arguments.delta":
                yield CallDelta(self._calls.get(event.get("item_id") or "", ""), raw=event["delta"])
            case "response.completed" | "response.incomplete":
                self._final = event["response"]
            case "response.failed":
                raise interrupted(self.name, (event.get("response") or {}).get("error") or {})
            case "error":
                raise interrupted(self.name, event)

    def reply(self) -> Reply:
        final = self._final
        if final is None:
            raise cut_off(self.name)
        items: list[Mapping[str, Any]] = list(final.get("output") or ())
        wanted = [item for item in items if item.get("type") == "function_call"]
        calls = tuple(self.offer.call(item["call_id"], item["name"], item.get("arguments") or "") for item in wanted)
        usage = dict(final.get("usage") or {})
        if final.get("service_tier"):
            usage["service_tier"] = final["service_tier"]
        plain = all(item.get("type") in ("message", "function_call") for item in items)
        return Reply(
            Assistant(self.offer.text(_text(items)), calls, () if plain else tuple(items), self.model.id),
            _stop(final, items, calls),
            tokens(usage),
            self.name,
            called(final.get("model"), self.model),
            usage=usage,
        )

    def _items(self, message: Message) -> Iterator[Mapping[str, Any]]:
        match message:
            case System(text):
                yield {"role": "developer", "content": text}
            case User(text, images):
                words = [{"type": "input_text", "text": text}] if text or not images else []
                pictures = [{"type": "input_image", "detail": DETAIL, "image_url": each.url} for each in images]
                yield {"role": "user", "content": [*words, *pictures]}
            case Assistant(text, calls):
                carried = own(message, self.model)
                if carried and _same(carried, message):  # it may itself give ids that it does not take
                    yield from ({**item, "call_id": _id(item["call_id"])} if "call_id" in item else item for item in carried)
                    return
                if text:
                    yield {"role": "assistant", "content": text}
                for call in calls:
                    yield {"type": "function_call", "call_id": _id(call.id), "name": call.name, "arguments": call.raw or "{}"}
            case ToolResult(id, text):
                yield {"type": "function_call_output", "call_id": _id(id), "output": text}


def _id(id: str) -> str:
    """`id`, or where another provider gave a longer one than is taken, one that is made of it."""
    return id if len(id) <= LONGEST_ID else f"call_{blake2b(id.encode(), digest_size=12).hexdigest()}"


def _same(carried: Sequence[Mapping[str, Any]], message: Assistant) -> bool:
    """Whether `carried` still says what the message says; who shortens a conversation leaves it out."""
    ids = [item.get("call_id") for item in carried if item.get("type") == "function_call"]
    return ids == [call.id for call in message.calls] and bool(_text(carried)) == bool(message.text)


def _text(items: Sequence[Mapping[str, Any]]) -> str:
    return "".join(part.get("text") or part.get("refusal") or "" for part in _parts(items))


def _parts(items: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Of all messages."""
    return (part for item in items if item.get("type") == "message" for part in item.get("content") or ())


def tokens(usage: Mapping[str, Any]) -> Tokens:
    """What a `usage` of the Responses API says."""
    inside, outside = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return used(
        input=usage.get("input_tokens"),
        output=usage.get("output_tokens"),
        cached=inside.get("cached_tokens"),
        written=inside.get("cache_write_tokens"),
        reasoning=outside.get("reasoning_tokens"),
    )


def _stop(final: Mapping[str, Any], items: Sequence[Mapping[str, Any]], calls: tuple[ToolCall, ...]) -> Stop:
    reason = (final.get("incomplete_details") or {}).get("reason")
    if reason == "content_filter":
        return "filtered"
    if reason is not None or final.get("status") == "incomplete":
        return "length"
    if calls:
        return "calls"
    return "refusal" if any(part.get("type") == "refusal" for part in _parts(items)) else "end"
