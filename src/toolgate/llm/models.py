"""Language models for the rest of the program: everything that asking one takes, put together when the first is asked.

Until then nothing is opened and next to nothing imported, so that who asks no model pays nothing for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from anyio import CancelScope

from toolgate.environment import ENVIRONMENT
from toolgate.errors import Misconfigured
from toolgate.tasks import beside

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from toolgate.egress.transport import Transport
    from toolgate.llm.declared import Declared
    from toolgate.llm.embedding import Embedder
    from toolgate.llm.provider import Provider
    from toolgate.llm.roster import Roster
    from toolgate.llm.routed import Routed
    from toolgate.policy.live import Live
    from toolgate.policy.models import Models as Rules
    from toolgate.settings import Settings
    from toolgate.stores import Stores
    from toolgate.telemetry import Metrics


VARIABLES = (
    *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "MISTRAL_API_KEY", "COHERE_API_KEY", "CO_API_KEY"),
    *("OPENROUTER_API_KEY", "GROQ_API_KEY", "DEEPSEEK_API_KEY", "OLLAMA_HOST", "VLLM_BASE_URL", "LLAMACPP_BASE_URL"),
)
"""Of the environment, each of which has a provider declared: those of `llm.known`, which takes its time to import."""


def declared_any(settings: Settings, environ: Mapping[str, str]) -> bool:
    """Whether somebody is declared who answers prompts."""
    if settings.providers is not None:
        return bool(settings.providers)
    return any(environ.get(variable) for variable in VARIABLES)


@dataclass(eq=False)
class Models:
    """What `App.models` is."""

    settings: Settings
    transport: Transport
    stores: Stores
    live: Live
    environ: Mapping[str, str]
    tasks: TaskGroup | None = None
    """Runs what is done beside requests, such as writing down what was learned; None: only the end of `open_models` does."""
    _metrics: Metrics | None = field(default=None, init=False)

    @property
    def any(self) -> bool:
        """Whether somebody is declared who answers without being named."""
        return declared_any(self.settings, self.environ)

    async def check(self, named: str = "") -> None:
        """Hear before anything is begun whether somebody is there who could answer.

        Args:
            named: as of `Prompt.model`.

        Raises:
            Misconfigured: nobody is set up; says what would work.
            NoModel: there is no model of that name.
        """
        await self.roster.ready(named)
        self.roster.check(named)

    @property
    def policy(self) -> Rules:
        """Which models may be asked, and by whom."""
        return self.live.current.models

    def watch(self, metrics: Metrics) -> None:
        """Have what models do counted in `metrics`, from the first that is asked on."""
        self._metrics = metrics

    @cached_property
    def provider(self) -> Routed:
        """Whom to ask: the `Provider` before all others, with all that stands around it."""
        from toolgate.llm.breaker import Breakers
        from toolgate.llm.count import Counter
        from toolgate.llm.evidence import Evidence
        from toolgate.llm.memory import Memory
        from toolgate.llm.metrics import Performance
        from toolgate.llm.prices import PriceList
        from toolgate.llm.purse import Purse
        from toolgate.llm.routed import Routed
        from toolgate.llm.router import Router

        roster, stores, live = self.roster, self.stores, self.live
        breakers, performance, prices = Breakers(), Performance(), PriceList(lambda: live.current.prices)
        if self._metrics is not None:
            performance.watch(self._metrics)
        router = Router(
            roster.models, lambda: live.current.models, health=breakers, speeds=performance, rates=prices, heard=performance.judge
        )
        return Routed(
            providers=roster,
            router=router,
            counter=Counter(),
            prices=prices,
            purse=Purse(stores.ledger, live, prices),
            breakers=breakers,
            performance=performance,
            evidence=Evidence(stores),
            memory=Memory(stores.records, router, performance, self.tasks.start_soon if self.tasks else None),
            settings=self.settings.models,
            policy=lambda: live.current.digest,
        )

    def window(self, named: str) -> int | None:
        """Tokens of the largest window of those that may be asked, or of the one that is `named`; None: nobody is known."""
        return max((model.window for model in self.roster.able(named)), default=None)

    @cached_property
    def roster(self) -> Roster:
        from toolgate.llm.declared import declared
        from toolgate.llm.local import listed
        from toolgate.llm.prices import load
        from toolgate.llm.roster import Roster
        from toolgate.switches import Switches

        found, switches = declared(self.settings, self.environ), Switches(self.stores, "provider")
        return Roster(found, self._open, lambda provider: listed(provider, self.transport), switches, load)

    def embedder(self, provider: str, name: str, dimensions: int | None) -> Embedder:
        """Who turns texts into vectors: the model `name` of `provider`.

        Raises:
            Misconfigured: there is no such provider, or it has no embeddings.
        """
        from toolgate.llm.embedding import Embedder

        found = self.roster.by_name.get(provider)
        if found is None:
            raise Misconfigured(f"library.embeddings names the provider {provider!r}; there is {', '.join(self.roster.by_name)}")
        return Embedder(self, found, found.named(name), dimensions)

    def _open(self, provider: Declared) -> Provider:
        from toolgate.llm.opening import opened

        return opened(provider, self.transport)


@asynccontextmanager
async def open_models(
    settings: Settings, transport: Transport, stores: Stores, live: Live, environ: Mapping[str, str] = ENVIRONMENT
) -> AsyncIterator[Models]:
    """Language models, until the block ends; what was learned is written down then."""
    async with beside() as tasks:
        models = Models(settings, transport, stores, live, environ, tasks)
        try:
            yield models
        finally:
            if "provider" in models.__dict__:  # else nobody was asked, and there is nothing to write down
                with CancelScope(shield=True):
                    await models.provider.memory.save()
