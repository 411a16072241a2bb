"""OpenAI's Chat Completions, as everybody speaks them: requests and chunks, as values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from toolgate.calls import new_id
from toolgate.llm.classify import cut_off, interrupted
from toolgate.llm.count import Counter, count_text, family
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
from toolgate.llm.quirks import DEFAULT, Quirks

NINE = re.compile(r"[a-zA-Z0-9]{9}")
BRIDGE = "I have the results."
"""What an assistant says between tools and a user, where a server wants it to say something."""
SIGNING = re.compile(r"gemini-(?:[3-9]|[1-9]\d)")
"""Models that refuse a call of their own without the signature of what they thought before it."""
UNSIGNED = "skip_thought_signature_validator"
"""Google's word for calls that another model has made."""
STOPS: Mapping[str, Stop] = {
    "stop": "end",
    "eos": "end",
    "length": "length",
    "tool_calls": "calls",
    "function_call": "calls",
    "content_filter": "filtered",
}


@dataclass(slots=True)
class _Call:
    id: str
    told: str = ""
    """As its server calls it."""
    name: str = ""
    raw: str = ""
    extra: Any = None
    """What its server wants back with it: Google's `extra_content`."""


@dataclass
class Completions:
    """One request in the form of compatible servers, and its answer."""

    name: str
    prompt: Prompt
    model: Model
    offer: Offer
    quirks: Quirks = DEFAULT
    _text: list[str] = field(default_factory=list, init=False)
    _thoughts: list[str] = field(default_factory=list, init=False)
    _details: list[dict[str, Any]] = field(default_factory=list, init=False)
    _calls: list[_Call] = field(default_factory=list, init=False)
    _by_index: dict[int, _Call] = field(default_factory=dict, init=False)
    _usage: dict[str, Any] = field(default_factory=dict, init=False)
    _tier: str = field(default="", init=False)
    _model: str = field(default="", init=False)
    _reason: str = field(default="", init=False)
    _earlier: set[str] = field(init=False)
    """Ids of the conversation's calls; each has to stay the only one of its name."""

    def __post_init__(self) -> None:
        self._earlier = {call.id for message in self.prompt.messages if isinstance(message, Assistant) for call in message.calls}

    def body(self) -> dict[str, Any]:
        prompt, offer, quirks = self.prompt, self.offer, self.quirks
        messages = self._messages(prompt.messages)
        body: dict[str, Any] = {"model": self.model.name, "messages": messages, quirks.limit: prompt.max_tokens}
        if quirks.usage:
            body["stream_options"] = {"include_usage": True}
        if offer.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": made.schema,
                        **({"strict": made.strict} if quirks.strict else {}),
                    },
                }
                for tool, made in offer.tools
            ]
            if prompt.choice == "none":
                body["tool_choice"] = "none"
        if offer.schema is not None:
            self._put_schema(body)
        return body | {"extra_body": dict(quirks.extra)} if quirks.extra else body

    def take(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        if event.get("error"):
            raise interrupted(self.name, event)
        self._model = event.get("model") or self._model
        self._tier = event.get("service_tier") or self._tier
        usage = event.get("usage") or (event.get("x_groq") or {}).get("usage")
        if isinstance(usage, Mapping):
            self._usage = dict(usage)
        choices = event.get("choices") or ()
        for choice in choices[:1]:
            yield from self._more(choice.get("delta") or {})
            self._reason = choice.get("finish_reason") or self._reason
            if self._reason == "error":
                raise interrupted(self.name, choice)

    def _more(self, delta: Mapping[str, Any]) -> Iterator[Delta]:
        for kind, piece in _pieces(delta):
            if kind == "thought":
                self._thoughts.append(piece)
                yield ReasoningDelta(piece)
            else:
                self._text.append(piece)
                yield TextDelta(piece)
        for detail in delta.get("reasoning_details") or ():
            put_together(self._details, detail)
        for piece in delta.get("tool_calls") or ():
            function = piece.get("function") or {}
            call, new = self._call(piece, function)
            call.name = call.name or function.get("name") or ""
            call.extra = piece.get("extra_content") or call.extra
            raw = function.get("arguments") or ""
            call.raw += raw
            if new or raw:
                yield CallDelta(call.id, call.name if new else "", raw)

    def _call(self, piece: Mapping[str, Any], function: Mapping[str, Any]) -> tuple[_Call, bool]:
        """The call that a piece belongs to, and whether it is a new one.

        Servers that send calls whole give them all the same index, or none; some count ids anew with each answer.
        """
        index, told = piece.get("index") or 0, piece.get("id") or ""
        known = self._by_index.get(index)
        if known is not None and not (told and told != known.told and function.get("name")):
            return known, False
        taken = {each.id for each in self._calls} | self._earlier
        call = _Call(told if told and told not in taken else f"call_{new_id()[:12]}", told)
        self._calls.append(call)
        self._by_index[index] = call
        return call, True

    def reply(self) -> Reply:
        if not self._reason:
            raise cut_off(self.name)
        calls = tuple(self.offer.call(call.id, call.name, call.raw) for call in self._calls)
        text = self.offer.text("".join(self._text))
        stop = STOPS.get(self._reason, "end")
        if calls and stop == "end":
            stop = "calls"  # several servers say `stop` when they mean this
        elif stop == "calls" and not calls:
            stop = "end"
        usage = {key: value for key, value in self._usage.items() if key != "cost"}
        if self.quirks.costs:
            usage["cost"] = paid(self._usage)
        if self._tier:
            usage["service_tier"] = self._tier
        account = tokens(usage)
        return Reply(
            Assistant(text, calls, self._carried(), self.model.id),
            stop,
            account if account.input else self._counted(text, calls),
            self.name,
            called(self._model, self.model),
            estimated=not account.input,
            usage=usage,
        )

    def _carried(self) -> tuple[Mapping[str, Any], ...]:
        found = {"reasoning_content": "".join(self._thoughts), "reasoning_details": self._details}
        carried: dict[str, Any] = {name: found[name] for name in self.quirks.thoughts if found.get(name)}
        if extra := {call.id: call.extra for call in self._calls if call.extra}:
            carried["extra_content"] = extra
        return (carried,) if carried else ()

    def _counted(self, text: str, calls: Sequence[ToolCall]) -> Tokens:
        """Our own count, where the server keeps none."""
        name = family(self.model)
        said = [text, "".join(self._thoughts), *(call.name + call.raw for call in calls)]
        return Tokens(Counter().raw(self.prompt, self.model), sum(count_text(each, name) for each in said))

    def _put_schema(self, body: dict[str, Any]) -> None:
        offer, made = self.offer, self.offer.schema
        assert made is not None
        if self.quirks.schema == "json_schema" and offer.formal is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", **offer.formal}}
            return
        if self.quirks.schema == "json_object" and offer.formal is not None:
            body["response_format"] = {"type": "json_object"}
        told = System(instruction(made.schema if made.strict else made.original))
        body["messages"] = self._messages((told, *self.prompt.messages))

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        for message in messages:
            made = self._message(message)
            before = said[-1]["role"] if said else ""
            if self.quirks.bridge and made["role"] == "user" and before == "tool":
                said.append({"role": "assistant", "content": BRIDGE})
            if made["role"] == before and before in ("system", "user"):
                said[-1]["content"] = _together(said[-1]["content"], made["content"])
            else:
                said.append(made)
        return said

    def _message(self, message: Message) -> dict[str, Any]:
        match message:
            case System(text):
                return {"role": "system", "content": text}
            case User(text, images):
                if not images:
                    return {"role": "user", "content": text}
                words = [{"type": "text", "text": text}] if text else []
                pictures = [{"type": "image_url", "image_url": {"url": each.url, "detail": DETAIL}} for each in images]
                return {"role": "user", "content": [*words, *pictures]}
            case Assistant(text, calls):
                made: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), **self.quirks.always}
                if calls:
                    made["tool_calls"] = [self._wanted(call) for call in calls]
                    carried = dict(next(iter(own(message, self.model)), {}))
                    extra = carried.pop("extra_content", None) or self._unsigned(calls)
                    made |= carried
                    for call, wanted in zip(calls, made["tool_calls"], strict=True):
                        if call.id in extra:
                            wanted["extra_content"] = extra[call.id]
                return made
            case ToolResult(id, text):
                return {"role": "tool", "tool_call_id": self._id(id), "content": text}

    def _unsigned(self, calls: Sequence[ToolCall]) -> Mapping[str, Any]:
        """What Gemini 3 and later want with the first of calls that another model has made."""
        signs = not self.quirks.thoughts and SIGNING.search(self.model.name)
        return {calls[0].id: {"google": {"thought_signature": UNSIGNED}}} if signs else {}

    def _wanted(self, call: ToolCall) -> dict[str, Any]:
        # Templates of local servers parse the arguments again, and fail at what is not JSON.
        raw = call.raw if call.raw.strip() and call.arguments is not None else "{}"
        return {"id": self._id(call.id), "type": "function", "function": {"name": call.name, "arguments": raw}}

    def _id(self, id: str) -> str:
        if not self.quirks.nine or NINE.fullmatch(id):
            return id
        return blake2b(id.encode(), digest_size=5).hexdigest()[:9]


def _together(one: str | list[Any], other: str | list[Any]) -> str | list[Any]:
    """Two messages of one speaker as one: templates of local servers (Qwen's, Gemma's) take no two in a row."""
    if isinstance(one, str) and isinstance(other, str):
        return f"{one}\n\n{other}"
    parts = ([{"type": "text", "text": each}] if isinstance(each, str) else each for each in (one, other))
    return [part for each in parts for part in each]


def _pieces(delta: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Text and thoughts of a delta, wherever its server puts them."""
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(thought, str) and thought:
        yield "thought", thought
    content = delta.get("content")
    if isinstance(content, str):
        if content:
            yield "text", content
        return
    for part in content or ():  # Mistral's models that think
        if part.get("type") == "thinking":
            yield from (("thought", inner.get("text") or "") for inner in part.get("thinking") or ())
        elif part.get("text"):
            yield "text", part["text"]


def put_together(details: list[dict[str, Any]], piece: Mapping[str, Any]) -> None:
    """Add a piece of OpenRouter's `reasoning_details`: a thought comes in pieces of one index, its signature last, and is signed whole."""
    kind, index = piece.get("type"), piece.get("index")
    whole = kind not in ("reasoning.text", "reasoning.summary") or index is None
    known = None if whole else next((each for each in details if (each.get("type"), each.get("index")) == (kind, index)), None)
    if known is None:
        details.append(dict(piece))
        return
    told = {name: value for name, value in piece.items() if value is not None}
    known |= told | {name: (known.get(name) or "") + told[name] for name in ("text", "summary") if name in told}


def tokens(usage: Mapping[str, Any]) -> Tokens:
    """What a `usage` of Chat Completions says, and of those who count like it."""
    inside, outside = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return used(
        input=usage.get("prompt_tokens"),
        output=usage.get("completion_tokens"),
        cached=inside.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("cached_tokens"),
        written=inside.get("cache_write_tokens"),
        reasoning=outside.get("reasoning_tokens"),
        total=usage.get("total_tokens"),
    )


def paid(usage: Mapping[str, Any]) -> Any:
    """US dollars that OpenRouter says a request cost. With a key of one's own that is only its fee, and the provider's bill is beside."""
    fee, details = usage.get("cost"), usage.get("cost_details")
    if usage.get("is_byok") is not True:
        return fee
    bill = details.get("upstream_inference_cost") if isinstance(details, Mapping) else None
    both = [Decimal(str(each)) for each in (fee, bill) if type(each) in (int, float)]
    return str(sum(both)) if len(both) == 2 else None
