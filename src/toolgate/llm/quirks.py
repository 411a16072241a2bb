"""In what each OpenAI-compatible server differs from what it is compatible with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from toolgate.thinking import ProviderKind


@dataclass(frozen=True, slots=True)
class Quirks:
    """How a server wants Chat Completions; the defaults are what most take."""

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name of the most tokens of a reply."""
    usage: bool = True
    """It takes `stream_options`, and tells the usage of a stream only then."""
    strict: bool = False
    """It takes `strict` with a tool."""
    schema: Literal["json_schema", "json_object"] = "json_schema"
    """How it is told the schema of an answer."""
    nine: bool = False
    """Ids of tool calls are nine letters and digits."""
    bridge: bool = False
    """Nobody but the assistant may speak after a tool."""
    thoughts: tuple[str, ...] = ()
    """Fields of a reply that it wants back with tool calls, as they were."""
    always: Mapping[str, str] = field(default_factory=dict)
    """Fields that each turn of an assistant has to have, and what they are where nothing is known of them."""
    costs: bool = False
    """`usage.cost` is what it takes for the request, in US dollars."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of every request."""


DEFAULT = Quirks()
QUIRKS: Mapping[ProviderKind, Quirks] = {
    "mistral": Quirks(usage=False, strict=True, nine=True, bridge=True),
    "cohere": Quirks(usage=False),
    "openrouter": Quirks(thoughts=("reasoning_details",), costs=True, extra={"usage": {"include": True}}),
    "groq": Quirks(limit="max_completion_tokens"),
    "deepseek": Quirks(schema="json_object", thoughts=("reasoning_content",), always={"reasoning_content": " "}),
    "ollama": DEFAULT,
    "vllm": DEFAULT,
    "llamacpp": DEFAULT,
    "compatible": DEFAULT,
}
"""From the servers' own documentation, autumn 2026. Mistral tells the usage of every stream unasked and refuses unknown fields; Cohere
refuses `stream_options`; DeepSeek refuses a turn whose thoughts are missing or empty, also one of another model."""
