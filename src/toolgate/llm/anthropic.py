"""Anthropic, asked with its own package, by the Messages API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from toolgate.egress.transport import Transport
from toolgate.llm.blocks import Blocks
from toolgate.llm.declared import Declared
from toolgate.llm.model import Model
from toolgate.llm.remote import Remote
from toolgate.llm.sdk import events, http, key

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


def anthropic(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    sent = events(provider, lambda: _client(provider, transport), lambda client: client.messages.create)
    return Remote(provider.name, Blocks(provider.name), sent, model)


def _client(provider: Declared, transport: Transport) -> AsyncAnthropic:
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(
        api_key=key(provider), base_url=provider.base_url, max_retries=0, http_client=http(provider, transport), open_telemetry=False
    )
