"""Providers that are asked with the openai package: OpenAI itself, and whoever is compatible with its Chat Completions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from toolgate.egress.transport import Transport
from toolgate.llm.completions import Completions
from toolgate.llm.declared import Declared
from toolgate.llm.model import Model
from toolgate.llm.quirks import QUIRKS
from toolgate.llm.remote import Remote
from toolgate.llm.responses import Responses
from toolgate.llm.sdk import events, http, key

if TYPE_CHECKING:
    from openai import AsyncOpenAI


def openai(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    """OpenAI, by its Responses API."""
    sent = events(provider, lambda: _client(provider, transport), lambda client: client.responses.create)
    return Remote(provider.name, Responses(provider.name), sent, model)


def compatible(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    """A server that speaks Chat Completions."""
    sent = events(provider, lambda: _client(provider, transport), lambda client: client.chat.completions.create)
    return Remote(provider.name, Completions(provider.name, QUIRKS[provider.kind]), sent, model)


def _client(provider: Declared, transport: Transport) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=key(provider), base_url=provider.base_url, max_retries=0, http_client=http(provider, transport))
