"""The services that answer prompts, as the world knows them: where they are, which variable holds their key, which models to begin with.

Windows are those of genai-prices 0.2.3 and the services' pages of autumn 2026. Qualities are guesses, of use only in relation to each
other and until the router has seen replies: 0.9 for the best that is sold, 0.6 for small ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolgate.thinking import ProviderKind

ANYWHERE = 128_000
"""Tokens of a window that nobody told us."""
LOCAL = 8_192
"""Tokens of a local server's window, where it does not say: they are started with small ones."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a model by its name."""

    window: int = ANYWHERE
    max_output: int = 8_192
    quality: float = 0.6
    vision: bool = False
    strict: bool = False
    tools: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """A kind of provider."""

    base_url: str
    variables: tuple[str, ...]
    """Of the environment: the first that is set holds the key."""
    models: Mapping[str, Known]
    """The first is asked where nobody says which."""
    places: tuple[str, ...] = ()
    """Variables of the environment that hold another `base_url`."""
    local: bool = False
    """A server of the operator's own: it needs no key, and says itself which models it has."""

    @property
    def declaring(self) -> tuple[str, ...]:
        """The variables that say it is to be used: those of its key, or of a local one those of the place where it is."""
        return self.places if self.local else self.variables


BIG, SMALL = 922_000, 272_000
"""What OpenAI's take of input. Their 1,050,000 and 400,000 are with the longest reply, of 128,000, whether one asks for it or not."""
SERVICES: Mapping[ProviderKind, Service] = {
    "openai": Service(
        "https://api.openai.com/v1",
        ("OPENAI_API_KEY",),
        {
            "gpt-6.1-terra": Known(BIG, 128_000, 0.84, vision=True, strict=True),
            "gpt-6.1-sol": Known(BIG, 128_000, 0.9, vision=True, strict=True),
            "gpt-6-luna": Known(BIG, 128_000, 0.76, vision=True, strict=True),
            "gpt-5.4-mini": Known(SMALL, 128_000, 0.7, vision=True, strict=True),
        },
        places=("OPENAI_BASE_URL",),
    ),
    "anthropic": Service(
        "https://api.anthropic.com",
        ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
        {
            "claude-sonnet-5-5": Known(1_000_000, 64_000, 0.86, vision=True, strict=True),
            "claude-opus-5-5": Known(1_000_000, 64_000, 0.9, vision=True, strict=True),
            "claude-haiku-5-5": Known(1_000_000, 64_000, 0.76, vision=True, strict=True),
        },
        places=("ANTHROPIC_BASE_URL",),
    ),
    "mistral": Service(
        "https://api.mistral.ai/v1",
        ("MISTRAL_API_KEY",),
        {
            "mistral-medium-3-5": Known(262_144, 32_768, 0.76, vision=True, strict=True),
            "mistral-large-4": Known(1_048_576, 32_768, 0.82, vision=True, strict=True),
            "mistral-small-2603": Known(262_144, 32_768, 0.66, vision=True, strict=True),
        },
    ),
    "cohere": Service(
        "https://api.cohere.ai/compatibility/v1",
        ("COHERE_API_KEY", "CO_API_KEY"),
        {"command-a-03-2025": Known(256_000, 8_000, 0.7)},
    ),
    "openrouter": Service(
        "https://openrouter.ai/api/v1",
        ("OPENROUTER_API_KEY",),
        {
            "anthropic/claude-sonnet-4.5": Known(200_000, 64_000, 0.82, vision=True),
            "openai/gpt-5-mini": Known(SMALL, 128_000, 0.7, vision=True),
            "deepseek/deepseek-v3.2": Known(131_072, 32_768, 0.72),
        },
    ),
    "groq": Service(
        "https://api.groq.com/openai/v1",
        ("GROQ_API_KEY",),
        {"openai/gpt-oss-120b": Known(131_072, 32_768, 0.7), "openai/gpt-oss-20b": Known(131_072, 32_768, 0.62)},
    ),
    "deepseek": Service(
        "https://api.deepseek.com/v1",
        ("DEEPSEEK_API_KEY",),
        {"deepseek-v4-pro": Known(1_000_000, 32_768, 0.8), "deepseek-v4-flash": Known(1_000_000, 32_768, 0.7)},
    ),
    "ollama": Service("http://127.0.0.1:11434/v1", ("OLLAMA_API_KEY",), {}, places=("OLLAMA_HOST",), local=True),
    "vllm": Service("http://127.0.0.1:8000/v1", ("VLLM_API_KEY",), {}, places=("VLLM_BASE_URL",), local=True),
    "llamacpp": Service("http://127.0.0.1:8080/v1", ("LLAMA_API_KEY",), {}, places=("LLAMACPP_BASE_URL",), local=True),
    "compatible": Service("", (), {}),
    "scripted": Service("", (), {"scripted-1": Known(ANYWHERE, 8_192, 0.5, vision=True, strict=True)}),
}
