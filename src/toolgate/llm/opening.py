"""A declared provider, ready to be asked. Here alone is known who speaks which wire form."""

from __future__ import annotations

from functools import partial

from toolgate.egress.transport import Transport
from toolgate.errors import ModelFailed
from toolgate.llm.blocks import Blocks
from toolgate.llm.completions import Completions
from toolgate.llm.declared import Declared
from toolgate.llm.model import Model
from toolgate.llm.provider import Provider
from toolgate.llm.quirks import QUIRKS
from toolgate.llm.remote import Remote
from toolgate.llm.responses import Responses
from toolgate.llm.script import read_script
from toolgate.llm.scripted import Scripted
from toolgate.llm.strict import ANTHROPIC, OPENAI


def opened(provider: Declared, transport: Transport) -> Provider:
    """
    Raises:
        Misconfigured: it cannot be used as it was declared.
    """
    if provider.kind == "scripted":
        return Scripted(provider.name, read_script(provider.script) if provider.script else None)
    from toolgate.llm import sdk

    def named(name: str) -> Model:
        name = name or provider.default or next((each.name for each in provider.models), "")
        if not name:
            raise ModelFailed(f"{provider.name} has no default; name one of its models", "request", reason="model_unknown")
        return provider.named(name)

    name, openai = provider.name, partial(sdk.openai, provider, transport)
    if provider.kind == "openai":
        return Remote(name, Responses, OPENAI, sdk.events(provider, openai, lambda client: client.responses.create), named)
    if provider.kind == "anthropic":
        anthropic = partial(sdk.anthropic, provider, transport)
        return Remote(name, Blocks, ANTHROPIC, sdk.events(provider, anthropic, lambda client: client.messages.create), named)
    sent = sdk.events(provider, openai, lambda client: client.chat.completions.create)
    return Remote(name, partial(Completions, quirks=QUIRKS[provider.kind]), OPENAI, sent, named)
