"""The sections of the settings for who thinks: language models, how they are asked, and what a run of the agent may use."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from toolgate.section import Seconds, Strict

ProviderKind = Literal[
    "openai", "anthropic", "mistral", "cohere", "openrouter", "groq", "deepseek", "ollama", "vllm", "llamacpp", "compatible", "scripted"
]


class ModelFacts(Strict):
    """What the operator knows of a model better than Toolgate does; what is absent here is as Toolgate has it."""

    window: int | None = Field(default=None, gt=0)
    """Tokens of input and reply together."""
    max_output: int | None = Field(default=None, gt=0)
    """Tokens of a reply."""
    quality: float | None = Field(default=None, ge=0, le=1)
    """What is expected of it before anything was seen, 0 to 1."""
    tools: bool | None = None
    """It calls tools."""
    vision: bool | None = None
    """It takes pictures."""
    strict: bool | None = None
    """It can be held to a schema."""
    region: str | None = None
    """Where it computes, such as `eu`; absent: where its provider does."""
    tags: tuple[str, ...] = ()
    """Words that policies may ask for."""


class ModelProvider(Strict):
    """Somebody who answers prompts: a service, a server of your own, or a script."""

    kind: ProviderKind
    """Whose wire form it speaks. `compatible`: OpenAI's Chat Completions at `base_url`; `scripted`: what `script` says, without a model."""
    api_key: SecretStr | None = None
    """What it wants to be shown, best as `${VARIABLE}`; absent: nothing."""
    base_url: str | None = None
    """Where it is; absent: where services of its kind are."""
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """CIDRs where it may be besides public addresses. A loopback address in `base_url` is allowed by being there."""
    models: Mapping[str, ModelFacts] = {}
    """The models to use, by the provider's name for them, with what is to be known of them; absent: well-known ones of its kind."""
    default: str | None = None
    """The model where only the provider is named; absent: the router chooses one of its."""
    region: str = ""
    """Where it computes, such as `eu`; empty: not known, which no rule of residency accepts."""
    script: Path | None = None
    """Of a `scripted` one: the file with its replies; absent: it looks for tools with the task's words and calls one that only reads."""

    @field_validator("models", mode="before")
    @classmethod
    def _names_alone_will_do(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        if not all(isinstance(name, str) for name in value):
            raise ValueError("models are a list of names, or a mapping of each name to what is to be known of it")
        return {name: {} for name in value}

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.kind == "compatible" and not (self.base_url and self.models):
            raise ValueError("a compatible provider needs base_url and models")
        if self.script is not None and self.kind != "scripted":
            raise ValueError("only a scripted provider has a script")
        if self.default is not None and self.models and self.default not in self.models:
            raise ValueError("default is not among models")
        return self


class Models(Strict):
    """How language models are asked."""

    attempts: int = Field(default=3, ge=1, le=3)
    """Of one request to one provider, before the next is asked."""
    patience: Annotated[Seconds, Field(le=60)] = 20.0
    """Seconds that are waited because a provider asks for them; one that asks for more is left for the next."""
    connect: Annotated[Seconds, Field(gt=0)] = 5.0
    """Seconds until a provider has taken the connection."""
    first: Annotated[Seconds, Field(gt=0)] = 30.0
    """Seconds until the first piece of an answer."""
    idle: Annotated[Seconds, Field(gt=0)] = 30.0
    """Seconds between two pieces of an answer."""
    cut_off: Literal["fail", "restart"] = "fail"
    """What becomes of an answer that breaks off after some of it was seen: the request fails, or the next attempt begins it anew."""


class Agent(Strict):
    """What a run of the agent may use, unless whoever starts it says less or more."""

    cost: Decimal | None = Field(default=Decimal(1), ge=0)
    """US dollars, of models and tools together; null: only the budgets of its user bound it."""
    tokens: int | None = Field(default=1_000_000, gt=0)
    """Of all requests, read and said; null: any number."""
    steps: int = Field(default=25, gt=0)
    """Requests to a model."""
    calls: int = Field(default=50, gt=0)
    """Of tools."""
    seconds: Annotated[Seconds, Field(gt=0)] = 600.0
    """Seconds, or such as `10m`, in which it is under way."""
    depth: int = Field(default=3, ge=1)
    """Calls within calls: an agent that an agent calls is one deeper."""
    parallel: int = Field(default=8, gt=0)
    """Calls of tools at the same time."""
    window: int = Field(default=128_000, gt=1000)
    """Tokens, at most, of the model's own window that are used: a tenth may be tools, and when three quarters are full the conversation
    is made shorter."""
    result_bytes: int = Field(default=50_000, gt=1000)
    """Bytes of one result that the model gets; of a larger one its beginning and end, and the rest with `read_result`."""
    reply_tokens: int = Field(default=8192, gt=0)
    """Of one reply of the model."""
    keep: Seconds = 30 * 86_400.0
    """Seconds, or such as `30d`, after its last step in which a run can be looked at and taken up."""
