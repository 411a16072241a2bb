"""A declared provider, ready to be asked. Here alone is known which module speaks which wire form; each is imported on use."""

from __future__ import annotations

from toolgate.egress.transport import Transport
from toolgate.errors import Misconfigured
from toolgate.llm.declared import Declared
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
    raise Misconfigured(f"{provider.name}: providers of kind {provider.kind} cannot be asked yet")
