"""What is known of a model before it is asked."""

from __future__ import annotations

from dataclasses import dataclass

OFF = "its provider is switched off by an operator"


@dataclass(frozen=True, slots=True)
class Model:
    """One model of one provider, as the operator's files and the price list describe it."""

    provider: str
    name: str
    """As the provider calls it."""
    window: int = 128_000
    """Tokens of input and reply together."""
    max_output: int = 8_192
    """Tokens of a reply."""
    tools: bool = True
    vision: bool = False
    strict: bool = False
    """It can be held to a schema."""
    region: str = ""
    """Where it computes, such as `eu`; empty: not known, which no rule of residency accepts."""
    tags: frozenset[str] = frozenset()
    """Words of the operator's that policies may ask for."""
    quality: float = 0.5
    """What is expected of it before anything was seen, 0 to 1."""
    priced_as: str = ""
    """Whose prices hold, as genai-prices names providers: `openai`, `groq`; empty: those of `provider`; `free`: nothing is paid."""
    only_named: bool = False
    """Asked only where a prompt names it or its provider, never chosen."""
    off: bool = False
    """An operator has switched its provider off."""

    @property
    def id(self) -> str:
        """`provider/name`."""
        return f"{self.provider}/{self.name}"
