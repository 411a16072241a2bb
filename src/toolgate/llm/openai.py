"""Providers that are asked with the openai package: OpenAI itself, and whoever is compatible with its Chat Completions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from toolgate.egress.transport import Transport
from toolgate.llm.completions import Completions
from toolgate.llm.declared import Declared
from toolgate.llm.model import Model
from toolgate.llm.quirks import QUIRKS
from toolgate.llm.remote import Events, Remote
from toolgate.llm.responses import Responses
from toolgate.llm.sdk import heard, http, key, seconds

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def openai(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    """OpenAI, by its Responses API."""
    return Remote(provider.name, Responses(provider.name), _events(provider, transport, "responses"), model)


def compatible(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    """A server that speaks Chat Completions."""
    wire = Completions(provider.name, QUIRKS[provider.kind])
    return Remote(provider.name, wire, _events(provider, transport, "completions"), model)


def _events(provider: Declared, transport: Transport, form: str) -> Events:
    client: list[AsyncOpenAI] = []  # made with the first request: to import the package takes a second

    def events(body: dict[str, Any], total: float) -> AsyncGenerator[Mapping[str, Any], None]:
        if not client:
            client.append(_client(provider, transport))
        create: Any = client[0].responses.create if form == "responses" else client[0].chat.completions.create
        return heard(provider.name, lambda: create(**body, stream=True, timeout=seconds(total)))

    return events


def _client(provider: Declared, transport: Transport) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=key(provider), base_url=provider.base_url, max_retries=0, http_client=http(provider, transport))
