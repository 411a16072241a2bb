"""Anthropic's Messages API: requests and events, as values.

What it wants of a conversation: the results of one turn's tool calls in one user message, before any text; no empty text; ids of its own
alphabet. Thoughts are signed and go back as they came.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from toolgate.llm.classify import cut_off, interrupted, malformed
from toolgate.llm.messages import (
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
    ToolResult,
    User,
)
from toolgate.llm.model import Model
from toolgate.llm.offer import Offer, called, instruction, own, parsed, used
from toolgate.llm.strict import loosened

ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
STRICT_TOOLS, OPTIONAL, UNIONS = 20, 24, 16
"""Of one request: tools that are strict, and their optional properties and properties of several types in all (Anthropic's guide to
structured outputs). Further tools are offered without strict mode."""
STOPS: Mapping[str, Stop] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "pause_turn": "end",
    "tool_use": "calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}
LATER = "A note of the operator of this conversation, not of the user: "


@dataclass
class Blocks:
    """One request in Anthropic's form, and its answer."""

    name: str
    prompt: Prompt
    model: Model
    offer: Offer
    _blocks: dict[int, dict[str, Any]] = field(default_factory=dict, init=False)
    _raw: dict[int, str] = field(default_factory=dict, init=False)
    """The input of tool calls, as it was written."""
    _usage: dict[str, Any] = field(default_factory=dict, init=False)
    _model: str = field(default="", init=False)
    _reason: str = field(default="", init=False)
    _ended: bool = field(default=False, init=False)

    def body(self) -> dict[str, Any]:
        prompt, offer = self.prompt, self.offer
        first = next((index for index, message in enumerate(prompt.messages) if not isinstance(message, System)), len(prompt.messages))
        system = [message.text for message in prompt.messages[:first] if isinstance(message, System) and message.text]
        body: dict[str, Any] = {
            "model": self.model.name,
            "max_tokens": prompt.max_tokens,
            "messages": self._messages(prompt.messages[first:]),
        }
        if offer.schema is not None:
            if offer.schema.strict:
                body["output_config"] = {"format": {"type": "json_schema", "schema": offer.schema.schema}}
            else:
                system.append(instruction(offer.schema.original))
        if system:
            body["system"] = [{"type": "text", "text": text} for text in system]
        if offer.tools:
            body["tools"] = list(_tools(offer))
            body["tool_choice"] = {"type": prompt.choice}
            # An agent asks again with the same beginning: what was read once is a tenth of the price, and writing it a quarter more.
            body["cache_control"] = {"type": "ephemeral"}
        return body

    def take(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        match event.get("type"):
            case "message_start":
                self._model = event["message"].get("model") or ""
                self._usage.update(_given(event["message"].get("usage")))
            case "content_block_start":
                yield from self._start(event["index"], dict(event["content_block"]))
            case "content_block_delta":
                yield from self._more(event["index"], event["delta"])
            case "message_delta":
                self._reason = event["delta"].get("stop_reason") or self._reason
                self._usage.update(_given(event.get("usage")))
            case "message_stop":
                self._ended = True
            case "error":
                raise interrupted(self.name, event)

    def _start(self, index: int, block: dict[str, Any]) -> Iterator[Delta]:
        self._blocks[index] = block
        if block["type"] == "tool_use":
            self._raw[index] = ""
            yield CallDelta(block["id"], block["name"])
        elif block["type"] == "text" and block.get("text"):
            yield TextDelta(block["text"])
        elif block["type"] == "thinking" and block.get("thinking"):
            yield ReasoningDelta(block["thinking"])

    def _more(self, index: int, delta: Mapping[str, Any]) -> Iterator[Delta]:
        block = self._blocks.get(index)
        if block is None:
            raise malformed(self.name)
        match delta.get("type"):
            case "text_delta":
                block["text"] = block.get("text", "") + delta["text"]
                yield TextDelta(delta["text"])
            case "thinking_delta":
                block["thinking"] = block.get("thinking", "") + delta["thinking"]
                yield ReasoningDelta(delta["thinking"])
            case "signature_delta":
                block["signature"] = block.get("signature", "") + delta["signature"]
            case "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            case "input_json_delta" if index in self._raw:
                self._raw[index] += delta["partial_json"]
                yield CallDelta(block["id"], raw=delta["partial_json"])

    def reply(self) -> Reply:
        if not self._ended:
            raise cut_off(self.name)
        calls = []
        for index, raw in sorted(self._raw.items()):
            block = self._blocks[index]
            block["input"] = parsed(raw) or {}
            calls.append(self.offer.call(block["id"], block["name"], raw))
        blocks = [block for _, block in sorted(self._blocks.items())]
        text = "".join(block.get("text", "") for block in blocks if block["type"] == "text")
        plain = all(block["type"] in ("text", "tool_use") for block in blocks)
        carried = () if plain else tuple(_carried(block) for block in blocks if not _empty(block))
        return Reply(
            Assistant(self.offer.text(text), tuple(calls), carried, self.model.id),
            STOPS.get(self._reason, "end"),
            tokens(self._usage),
            self.name,
            called(self._model, self.model),
            usage=dict(self._usage),
        )

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        turns: list[dict[str, Any]] = []
        for message in messages:
            role = "assistant" if isinstance(message, Assistant) else "user"
            blocks = list(self._said(message))
            if not blocks:
                continue
            if turns and turns[-1]["role"] == role:
                turns[-1]["content"].extend(blocks)
            else:
                turns.append({"role": role, "content": blocks})
        for turn in turns:
            turn["content"].sort(key=lambda block: turn["role"] == "user" and block["type"] != "tool_result")
        return turns

    def _said(self, message: Message) -> Iterator[Mapping[str, Any]]:
        match message:
            case System(text):
                if text:
                    yield {"type": "text", "text": LATER + text}
            case User(text, images):
                for each in images:
                    yield {"type": "image", "source": {"type": "base64", "media_type": each.media_type, "data": each.base64}}
                if text.strip():
                    yield {"type": "text", "text": text}
            case Assistant(text, calls):
                carried = own(message, self.model)
                if carried and [block.get("id") for block in carried if block.get("type") == "tool_use"] == [call.id for call in calls]:
                    yield from carried
                    return
                if text.strip():
                    yield {"type": "text", "text": text}
                for call in calls:
                    yield {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": parsed(call.raw) or call.arguments or {}}
            case ToolResult(id, text, failed):
                result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(id)}
                if text.strip():
                    result["content"] = text
                yield result | ({"is_error": True} if failed else {})


def _tools(offer: Offer) -> Iterator[dict[str, Any]]:
    strict = optional = unions = 0
    for tool, made in offer.tools:
        fits = made.strict and strict < STRICT_TOOLS and optional + made.optional <= OPTIONAL and unions + made.unions <= UNIONS
        if fits:
            strict, optional, unions = strict + 1, optional + made.optional, unions + made.unions
        elif made.strict:
            made = loosened(made.original)
        described = {"description": tool.description} if tool.description else {}
        yield {"name": tool.name, **described, "input_schema": made.schema, **({"strict": True} if fits else {})}


def _id(id: str) -> str:
    """`id`, or where another provider gave it in other letters, one that is made of it."""
    return id if ID.fullmatch(id) else f"call_{blake2b(id.encode(), digest_size=12).hexdigest()}"


def tokens(usage: Mapping[str, Any]) -> Tokens:
    """What a `usage` of the Messages API says; its `input_tokens` are those that no cache was part of."""
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    split = usage.get("cache_creation") or {}
    hour = split.get("ephemeral_1h_input_tokens") or 0
    written = max(written, hour + (split.get("ephemeral_5m_input_tokens") or 0))
    return used(
        input=(usage.get("input_tokens") or 0) + read + written,
        output=usage.get("output_tokens"),
        cached=read,
        written=written,
        reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        hour=hour,
    )


def _given(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (usage or {}).items() if value is not None}


def _carried(block: Mapping[str, Any]) -> dict[str, Any]:
    """As it may be sent again: without what only answers have."""
    return {key: value for key, value in block.items() if value is not None and key not in ("caller", "toolset_name")}


def _empty(block: Mapping[str, Any]) -> bool:
    return block["type"] == "text" and not block.get("text", "").strip()
