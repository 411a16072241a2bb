"""Which models a provider has: servers of the operator's own (Ollama, vLLM, llama.cpp) and services all tell at `/models`, for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from toolgate.egress.wire import Request, Sender
from toolgate.llm.classify import answered, malformed, unanswered
from toolgate.llm.declared import Declared, model
from toolgate.llm.model import Model
from toolgate.thinking import ModelFacts

SECONDS = 2.0
"""For the answer: who asks a model waits for it."""
PATIENCE = 10.0
"""Seconds for the answer where a person waits for it."""
MOST = 200
"""Models that are taken of one server."""


async def listed(provider: Declared, sender: Sender) -> Sequence[Model]:
    """
    Raises:
        ModelFailed: it does not answer, or not with a list of models.
    """
    entries = await _entries(provider, sender, SECONDS)
    return [model(provider.name, provider.kind, entry["id"], _facts(entry), provider.region) for entry in entries[:MOST]]


async def tried(provider: Declared, sender: Sender) -> str:
    """Whether it answers and takes our key, as a sentence. No model is asked anything.

    Raises:
        ModelFailed: it does not.
    """
    if provider.kind == "scripted":
        return "it says what its script says; there is nobody to reach"
    there = {entry["id"].removeprefix("models/") for entry in await _entries(provider, sender, PATIENCE)}
    missing = [each.name for each in provider.models if each.name not in there]
    return f"it answers and lists {len(there)} models" + (f"; not among them: {', '.join(missing[:5])}" if missing else "")


async def _entries(provider: Declared, sender: Sender, seconds: float) -> list[Mapping[str, Any]]:
    """What it says of its models, each with a text as `id`. Raises ModelFailed."""
    url, headers = _request(provider)
    try:
        response = await sender.send(Request("GET", url, headers), reach=provider.reach, seconds=seconds)
    except Exception as error:
        raise unanswered(provider.name, error) from None
    if response.status != 200:
        raise answered(provider.name, response.status, {name.lower(): value for name, value in response.headers})
    try:
        return [entry for entry in orjson.loads(response.body)["data"] if isinstance(entry["id"], str)]
    except (ValueError, KeyError, TypeError):
        raise malformed(provider.name) from None


def _request(provider: Declared) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Where the list is, and the headers to ask for it with."""
    key = provider.api_key.get_secret_value() if provider.api_key else None
    if provider.kind == "anthropic":
        version = ("anthropic-version", "2023-06-01")
        return f"{provider.base_url}/v1/models?limit=1000", (version, *((("x-api-key", key),) if key else ()))
    return f"{provider.base_url}/models", (("Authorization", f"Bearer {key}"),) if key else ()


def _facts(entry: Mapping[str, Any]) -> ModelFacts:
    """What the server says of a model beside its name: vLLM its `max_model_len`, llama.cpp the context it was started with."""
    meta = entry.get("meta")
    said = (entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    window = next((length for length in said if isinstance(length, int) and length > 0), None)
    return ModelFacts(window=window, max_output=window // 2 if window else None)
