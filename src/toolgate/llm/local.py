"""Which models a server of the operator's own has: Ollama, vLLM and llama.cpp all tell at `/models`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from toolgate.egress.origin import locate
from toolgate.egress.wire import Reach, Request, Sender
from toolgate.llm.classify import answered, malformed, unanswered
from toolgate.llm.declared import Declared, model
from toolgate.llm.model import Model
from toolgate.thinking import ModelFacts

SECONDS = 2.0
"""For the answer: who asks a model waits for it."""
MOST = 200
"""Models that are taken of one server."""


async def listed(provider: Declared, sender: Sender) -> Sequence[Model]:
    """
    Raises:
        ModelFailed: it does not answer, or not with a list of models.
    """
    url = f"{provider.base_url}/models"
    headers = (("Authorization", f"Bearer {provider.api_key.get_secret_value()}"),) if provider.api_key else ()
    try:
        place, _ = locate(url)
        reach = Reach(frozenset({place.origin}), provider.networks)
        response = await sender.send(Request("GET", url, headers), reach=reach, seconds=SECONDS)
    except Exception as error:
        raise unanswered(provider.name, error) from None
    if response.status != 200:
        raise answered(provider.name, response.status, {name.lower(): value for name, value in response.headers})
    try:
        entries = [entry for entry in orjson.loads(response.body)["data"] if isinstance(entry["id"], str)]
    except (ValueError, KeyError, TypeError):
        raise malformed(provider.name) from None
    return [model(provider.name, provider.kind, entry["id"], _facts(entry), provider.region) for entry in entries[:MOST]]


def _facts(entry: Mapping[str, Any]) -> ModelFacts:
    """What the server says of a model beside its name: vLLM its `max_model_len`, llama.cpp the context it was started with."""
    meta = entry.get("meta")
    said = (entry.get("max_model_len"), meta.get("n_ctx") if isinstance(meta, Mapping) else None)
    window = next((length for length in said if isinstance(length, int) and length > 0), None)
    return ModelFacts(window=window, max_output=window // 2 if window else None)
