"""How many tokens a prompt will have, before it is sent: a linear count, corrected by what came of earlier ones.

Real tokenizers are megabytes each, and most providers publish none. But all of them cut text alike: a word is about one token and a long
one two, three digits are one, a symbol is one, other scripts cost so much a character. So the classes of a text's characters and of
neighbours among them are counted, at the speed of `bytes.count`, and weighed by a table for each family of tokenizers (`weights`).
What stands around texts (roles, tools, their parameters) costs what providers were seen to charge for it.

Sources of the overheads: measurements against the providers' APIs published with the npm package ai-tokenizer 1.0.6 (MIT).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

from toolgate.llm.messages import Assistant, Message, Prompt, System, ToolResult, ToolSpec, User
from toolgate.llm.model import Model
from toolgate.llm.weights import CLASSES, FAMILIES, LEADS, WEIGHTS

IMAGES = {"openai": 6_200, "anthropic": 4_800, "google": 2_300, "mistral": 4_200, "deepseek": 6_500, "llama": 6_500, "qwen": 16_400}
"""Tokens of a picture at most, whatever its size: what is set aside is never too little. Providers scale larger ones down. By their guides:
OpenAI in detail `high` to 2,500 patches of up to 2.46 tokens, Anthropic to 4,784 tokens, Gemini to 2,240, Mistral to 64 × 64 patches and a
mark for each row, Llama to 4 tiles of 1,601, Qwen to 16,384. Of DeepSeek's none is known; it is as others that are not."""
BY_TILES, TILES = re.compile(r"gpt-4o-mini"), 48_200  # that one's 8 tiles have 5,667 tokens each, and 2,833 come on top
KEPT = 4096  # texts whose counts are remembered; an agent's conversation is counted before each step
TOOLS = 4096  # tools whose counts are remembered
SHORT = 2  # characters; to count even those takes 15 us, to remember a longer text 0.4
LEARNING = 0.3  # the weight of a new ratio between real and counted; a guess
BOUNDS = (0.5, 2.0)
"""A correction beyond these comes from something else than the tokenizer: hidden prompts of a proxy."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """Tokens around texts."""

    prompt: int
    message: int
    tools: int
    """Once, when there are tools."""
    tool: int
    description: int
    first: int
    """The first parameter of a tool or object."""
    parameter: int
    """Every further one."""
    told: int
    """The description of a parameter."""
    enum: int
    nested: int
    """An object in an object, or in an array."""


OVERHEADS = {
    "openai": Overhead(5, 4, 24, 6, 2, 5, 3, 2, 7, 0),
    "anthropic": Overhead(6, 3, 549, 53, 5, 13, 12, 5, 9, 12),
    "google": Overhead(0, 0, 0, 2, 0, 3, 2, 0, 0, 0),
    "mistral": Overhead(2, 2, 60, 57, 1, 14, 11, 5, 9, 10),
    "deepseek": Overhead(5, 3, 144, 60, 0, 14, 11, 5, 9, 10),
    "llama": Overhead(34, 5, 173, 47, 1, 8, 7, 3, 5, 9),
    "qwen": Overhead(7, 4, 229, 50, 0, 27, 22, 6, 12, 0),
}

NAMED = (
    (re.compile(r"claude", re.IGNORECASE), "anthropic"),
    (re.compile(r"gemini|gemma", re.IGNORECASE), "google"),
    (re.compile(r"mistral|mixtral|ministral|codestral|devstral|magistral|pixtral", re.IGNORECASE), "mistral"),
    (re.compile(r"deepseek", re.IGNORECASE), "deepseek"),
    (re.compile(r"qwen|qwq", re.IGNORECASE), "qwen"),
    (re.compile(r"llama(?!\.?cpp)|hermes", re.IGNORECASE), "llama"),
    (re.compile(r"\bgpt|\bo\d|chatgpt|codex", re.IGNORECASE), "openai"),
)
"""Models by their names; others are counted as Llama, whose vocabulary is in the middle."""


def family(model: Model) -> str:
    """Whose tokenizer `model` is counted by."""
    return next((name for pattern, name in NAMED if pattern.search(model.name)), model.provider if model.provider in FAMILIES else "llama")


def _table() -> bytes:
    table = bytearray(b"." * 128)
    for mark, characters in CLASSES.items():
        for character in characters:
            table[ord(character)] = ord(mark)
    for bound, mark in LEADS:
        table.extend(mark.encode() * (bound - len(table)))
    return bytes(table)


TABLE = _table()
ASCII = tuple((pattern.encode(), weights) for pattern, weights in WEIGHTS.items() if set(pattern) <= set("aA0ns."))
OTHER = tuple((pattern.encode(), weights) for pattern, weights in WEIGHTS.items() if not set(pattern) <= set("aA0ns."))


def count_text(text: str, family: str) -> int:
    """Tokens of `text`, to a tokenizer of that family."""
    if not text:
        return 0
    column = FAMILIES.index(family)
    classes = text.encode("utf-8", "replace").translate(TABLE)
    total = sum(weights[column] * classes.count(pattern) for pattern, weights in ASCII)
    if not text.isascii():
        total += sum(weights[column] * classes.count(pattern) for pattern, weights in OTHER)
    return max(1, -(-total // 1000))


@dataclass
class Counter:
    """Counts prompts, and learns from what providers then counted themselves."""

    _ratios: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    """By model, the logarithm of real to counted."""
    _texts: dict[tuple[int, int, str], int] = field(default_factory=dict, init=False, repr=False)

    _tools: dict[tuple[int, str, int, str], tuple[Mapping[str, Any], int]] = field(default_factory=dict, init=False, repr=False)
    """By the identity of the schema, which is kept with it so that no other has it."""

    def count(self, prompt: Prompt, model: Model) -> int:
        """Tokens of all that `prompt` puts to `model`, as its provider will count them."""
        return round(self._words(prompt, model) * exp(self._ratios.get(model.id, 0.0))) + _pictures(prompt, model)

    def learn(self, prompt: Prompt, model: Model, real: int) -> None:
        """Hear that the provider counted `real` tokens of input for `prompt`."""
        if prompt.pictures:  # nobody knows how much of what is real is theirs
            return
        counted = self._words(prompt, model)
        if real <= 0 or not BOUNDS[0] <= real / counted <= BOUNDS[1]:
            return
        seen, ratio = self._ratios.get(model.id), log(real / counted)
        self._ratios[model.id] = ratio if seen is None else seen + LEARNING * (ratio - seen)

    def raw(self, prompt: Prompt, model: Model) -> int:
        """`count`, without what was learnt."""
        return self._words(prompt, model) + _pictures(prompt, model)

    def _words(self, prompt: Prompt, model: Model) -> int:
        """Of all but pictures."""
        name = family(model)
        overhead = OVERHEADS[name]
        total = overhead.prompt + sum(self._message(message, name, overhead) for message in prompt.messages)
        if prompt.tools:
            total += overhead.tools + sum(self._tool(tool, name, overhead) for tool in prompt.tools)
        if prompt.schema is not None:
            total += self._text(_json(prompt.schema), name)
        return max(1, total)

    def _message(self, message: Message, name: str, overhead: Overhead) -> int:
        match message:
            case System(text):
                inside = self._text(text, name)
            case User(text):
                inside = self._text(text, name)
            case Assistant(text, calls, carried):
                inside = self._text(text, name) + sum(self._text(_json(block), name) for block in carried)
                inside += sum(self._text(call.name, name) + self._text(call.raw or _json(call.arguments), name) for call in calls)
            case ToolResult(id, text):
                inside = self._text(id, name) + self._text(text, name)
        return overhead.message + inside

    def _tool(self, tool: ToolSpec, name: str, overhead: Overhead) -> int:
        key = (id(tool.schema), tool.name, hash(tool.description), name)
        known = self._tools.get(key)
        if known is None:
            if len(self._tools) >= TOOLS:
                self._tools.clear()
            known = self._tools[key] = (tool.schema, self._counted(tool, name, overhead))
        return known[1]

    def _counted(self, tool: ToolSpec, name: str, overhead: Overhead) -> int:
        total = overhead.tool + self._text(tool.name, name)
        if tool.description:
            total += overhead.description + self._text(tool.description, name)
        return total + self._schema(tool.schema, name, overhead, 0)

    def _schema(self, schema: Any, name: str, overhead: Overhead, depth: int) -> int:
        """Tokens of a schema's parameters, as providers write them out for the model."""
        if not isinstance(schema, Mapping) or depth > 32:
            return 0
        total = 0
        properties = schema.get("properties")
        for index, (key, value) in enumerate(properties.items() if isinstance(properties, Mapping) else ()):
            total += self._text(key, name) + (overhead.parameter if index else overhead.first)
            total += self._schema(value, name, overhead, depth + 1)
            if isinstance(value, Mapping) and (
                "properties" in value or (isinstance(value.get("items"), Mapping) and "properties" in value["items"])
            ):
                total += overhead.nested
        if depth and isinstance(schema.get("description"), str):
            total += overhead.told + self._text(schema["description"], name)
        if isinstance(schema.get("enum"), Sequence):
            total += overhead.enum + sum(self._text(str(value), name) for value in schema["enum"])
        for key, value in schema.items():
            if key in PLAIN:
                continue
            if key in INNER:
                for inner in (
                    value.values() if isinstance(value, Mapping) and key in NAMED_INNER else value if isinstance(value, list) else [value]
                ):
                    total += self._schema(inner, name, overhead, depth + 1)
            else:
                total += self._text(_json({key: value}), name)
        return total

    def _text(self, text: str, name: str) -> int:
        if len(text) < SHORT:
            return count_text(text, name)
        key = (hash(text), len(text), name)  # not the text: what was said to a model is not kept
        known = self._texts.get(key)
        if known is None:
            if len(self._texts) >= KEPT:
                del self._texts[next(iter(self._texts))]
            known = self._texts[key] = count_text(text, name)
        return known


PLAIN = frozenset({"type", "properties", "required", "description", "enum", "title", "$schema", "additionalProperties", "$id"})
"""Keywords that are counted by their own rules, or cost nothing."""
NAMED_INNER = frozenset({"$defs", "definitions", "patternProperties"})
INNER = frozenset({"items", "anyOf", "oneOf", "allOf", "not", "prefixItems"}) | NAMED_INNER


def _pictures(prompt: Prompt, model: Model) -> int:
    """Tokens of the pictures in `prompt`, at most."""
    if not (pictures := prompt.pictures):
        return 0
    return pictures * (TILES if BY_TILES.search(model.name) else IMAGES[family(model)])


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except (RecursionError, ValueError):  # deeper than anybody reads, or round
        return ""
