"""Anthropic, asked with its own package, by the Messages API."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING, Any

from toolgate.egress.transport import Transport
from toolgate.llm.blocks import Blocks
from toolgate.llm.declared import Declared
from toolgate.llm.model import Model
from toolgate.llm.remote import Events, Remote
from toolgate.llm.sdk import Lazy, heard, http, key, seconds

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic


def anthropic(provider: Declared, transport: Transport, model: Callable[[str], Model]) -> Remote:
    return Remote(provider.name, Blocks(provider.name), _events(provider, transport), model)


def _events(provider: Declared, transport: Transport) -> Events:
    client = Lazy(lambda: _client(provider, transport))

    def events(body: dict[str, Any], total: float) -> AsyncGenerator[Mapping[str, Any], None]:
        async def ask() -> Any:
            create: Any = (await client.get()).messages.create
            return await create(**body, stream=True, timeout=seconds(total, provider.connect))

        return heard(provider.name, ask)

    return events


def _client(provider: Declared, transport: Transport) -> AsyncAnthropic:
    from anthropic import AsyncAnthropic

    return AsyncAnthropic(
        api_key=key(provider), base_url=provider.base_url, max_retries=0, http_client=http(provider, transport), open_telemetry=False
    )
