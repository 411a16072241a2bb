"""A declared provider, ready to be asked. Here alone is known which module speaks which wire form; each is imported on use."""

from __future__ import annotations

from toolgate.egress.transport import Transport
from toolgate.errors import ModelFailed
from toolgate.llm.declared import Declared, model
from toolgate.llm.model import Model
from toolgate.llm.provider import Provider
from toolgate.llm.script import read_script
from toolgate.llm.scripted import Scripted


def opened(provider: Declared, transport: Transport) -> Provider:
    """
    Raises:
        Misconfigured: it cannot be used as it was declared.
    """
    if provider.kind == "scripted":
        return Scripted(provider.name, read_script(provider.script) if provider.script else None)
    known = {each.name: each for each in provider.models}

    def named(name: str) -> Model:
        name = name or provider.default or next(iter(known), "")
        if not name:
            raise ModelFailed(f"{provider.name} has no default; name one of its models", "request", reason="model_unknown")
        return known.get(name) or model(provider.name, provider.kind, name, region=provider.region)

    if provider.kind == "openai":
        from toolgate.llm.openai import openai

        return openai(provider, transport, named)
    if provider.kind == "anthropic":
        from toolgate.llm.anthropic import anthropic

        return anthropic(provider, transport, named)
    from toolgate.llm.openai import compatible

    return compatible(provider, transport, named)
