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
from toolgate.llm.sdk import Lazy, heard, http, key, seconds

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
    client = Lazy(lambda: _client(provider, transport))

    def events(body: dict[str, Any], total: float) -> AsyncGenerator[Mapping[str, Any], None]:
        async def ask() -> Any:
            made = await client.get()
            create: Any = made.responses.create if form == "responses" else made.chat.completions.create
            return await create(**body, stream=True, timeout=seconds(total, provider.connect))

        return heard(provider.name, ask)

    return events


def _client(provider: Declared, transport: Transport) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=key(provider), base_url=provider.base_url, max_retries=0, http_client=http(provider, transport))
