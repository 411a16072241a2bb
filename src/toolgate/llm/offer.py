"""Tools and schemas as one request offers them, and what a model made of them: shared by the three wire forms."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from toolgate.llm.messages import Assistant, Prompt, Tokens, ToolCall, ToolSpec
from toolgate.llm.model import Model
from toolgate.llm.strict import Converted, Dialect, convert

MOST = 10**9  # tokens that are believed of one request
NAME = 200  # characters of a model's name that are believed
KEPT = 2048  # schemas whose translation is remembered; a gateway's lists are long, and asked for again and again


@dataclass(frozen=True, slots=True)
class Offer:
    """What a request offers a model, in its dialect."""

    tools: tuple[tuple[ToolSpec, Converted], ...] = ()
    schema: Converted | None = None
    """Of the answer; None: any text."""

    @property
    def strict(self) -> bool:
        """Something of it is."""
        return any(made.strict for _, made in self.tools) or (self.schema is not None and self.schema.strict)

    @property
    def formal(self) -> dict[str, Any] | None:
        """The schema of the answer and whether it is strict, for who takes objects only; None: it is asked for in words."""
        made = self.schema
        if made is None or not (made.strict or made.original.get("type") == "object"):
            return None
        return {"schema": made.schema if made.strict else dict(made.original), "strict": made.strict}

    def call(self, id: str, name: str, raw: str) -> ToolCall:
        """The call that a model wrote as `raw`. Raises TypeError where a server sends something else than text."""
        if not (isinstance(id, str) and isinstance(name, str) and isinstance(raw, str)):
            raise TypeError
        arguments = parsed(raw)
        if arguments is not None:
            converted = next((made for tool, made in self.tools if tool.name == name), None)
            if converted is not None:
                arguments = converted.restore(arguments)
        return ToolCall(id, name, arguments, raw)

    def text(self, text: str) -> str:
        """The answer, as the asker's own schema has it: nulls that stand for nothing are gone."""
        if self.schema is None or not self.schema.strict:
            return text
        try:
            value = json.loads(text)
        except ValueError:
            return text
        meant = self.schema.restore(value)
        return text if meant == value else json.dumps(meant, ensure_ascii=False)


@dataclass
class Offers:
    """Translates, and remembers what it translated."""

    dialect: Dialect
    _kept: dict[tuple[int, bool], tuple[Mapping[str, Any], Converted]] = field(default_factory=dict, init=False, repr=False)
    """By the identity of the schema, which is kept with it so that no other has it."""

    def of(self, prompt: Prompt, model: Model, *, strict: bool = True) -> Offer:
        strict = strict and model.strict
        tools = tuple((tool, self._converted(tool.schema, strict=strict)) for tool in prompt.tools)
        return Offer(tools, None if prompt.schema is None else self._converted(prompt.schema, strict=strict))

    def _converted(self, schema: Mapping[str, Any], *, strict: bool) -> Converted:
        key = (id(schema), strict)
        known = self._kept.get(key)
        if known is None:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            made = convert(schema, self.dialect if strict else None)
            known = self._kept[key] = (schema, made)
        return known[1]


def parsed(raw: str) -> dict[str, Any] | None:
    """The JSON object that `raw` is; None: it is none that can be written down. A model that has nothing to say often writes nothing."""
    if not raw.strip():
        return {}
    try:
        # As it will be read when it is taken up again: half of a surrogate pair, 65 bits or 255 levels cannot be kept, NaN is null.
        value = orjson.loads(orjson.dumps(json.loads(raw)))
    except (ValueError, TypeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def used(*, input: Any, output: Any, cached: Any = 0, written: Any = 0, reasoning: Any = 0, hour: Any = 0, total: Any = 0) -> Tokens:
    """Tokens as a server tells them, made whole: nothing is negative, and no part is more than what it is a part of."""
    whole_in, whole_out = _whole(input), _whole(output)
    # What xAI's and Google's models think is billed, and is in the total alone; what was read from a cache may be so too.
    thought = _whole(total) - whole_in - whole_out
    if thought > 0 and thought != _whole(cached):
        whole_out, reasoning = whole_out + thought, thought
    read = min(_whole(cached), whole_in)
    put = min(_whole(written), whole_in - read)
    return Tokens(whole_in, whole_out, read, put, min(_whole(reasoning), whole_out), min(_whole(hour), put))


def _whole(value: Any) -> int:
    return min(int(value), MOST) if isinstance(value, int | float) and value == value and value > 0 else 0


def called(told: Any, model: Model) -> str:
    """The name of the model that answered, as its provider tells it."""
    return told if isinstance(told, str) and 0 < len(told) <= NAME else model.name


def own(message: Assistant, model: Model) -> Sequence[Mapping[str, Any]]:
    """What `message` carries for `model` alone."""
    return message.carried if message.model == model.id else ()


def instruction(schema: Mapping[str, Any]) -> str:
    """For providers that cannot be given a schema."""
    return f"Answer with one JSON value and nothing around it. It has to fit this JSON Schema: {json.dumps(schema, ensure_ascii=False)}"
