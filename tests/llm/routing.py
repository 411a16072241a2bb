"""A small world for what stands before providers: scripted ones, a clock that moves when somebody waits, stores in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolgate.llm.breaker import Breakers
from toolgate.llm.count import Counter
from toolgate.llm.declared import Declared
from toolgate.llm.evidence import Evidence
from toolgate.llm.memory import Memory
from toolgate.llm.messages import Delta, Errand, Prompt, User
from toolgate.llm.metrics import Performance, ProviderExecutionMetric
from toolgate.llm.model import Model
from toolgate.llm.prices import PriceList
from toolgate.llm.purse import Purse
from toolgate.llm.roster import Roster
from toolgate.llm.routed import Routed
from toolgate.llm.router import Router
from toolgate.policy.live import Live
from toolgate.policy.models import Models
from toolgate.policy.prices import Prices
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Tier
from toolgate.stores import Journal, Stores
from toolgate.stores.memory import MemoryJournal, MemoryRecords, memory_ledger
from toolgate.switches import Switches
from toolgate.testing import FakeClock, Line, ScriptedProvider, a_principal
from toolgate.thinking import Models as Settings

ERRAND = Errand(a_principal(), task="chat", phase="act", run="run1", prompt_version="system@1")
HELLO = Prompt([User("Hello?")], max_tokens=100)


class Hearing(Performance):
    """Remembers every attempt that it hears of."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self.attempts: list[ProviderExecutionMetric] = []

    def record(self, metric: ProviderExecutionMetric) -> None:
        self.attempts.append(metric)
        super().record(metric)


async def nobody(provider: Declared) -> Sequence[Model]:
    """Lists no models."""
    return ()


@dataclass
class World:
    """Providers `a`, `b` … with one model each, asked in that order: each is cheaper than the next."""

    scripts: Mapping[str, list[Line] | Callable[[Prompt], Line]]
    settings: Settings = field(default_factory=Settings)
    given: Sequence[Model] = ()
    tiers: Mapping[str, Tier] = field(default_factory=dict)
    rules: Models = field(default_factory=Models)
    clock: FakeClock = field(default_factory=lambda: FakeClock(1000.0))
    waits: list[float] = field(default_factory=list)
    journal: Journal = field(default_factory=MemoryJournal)

    def __post_init__(self) -> None:
        self.asked = {name: ScriptedProvider(lines, name=name) for name, lines in self.scripts.items()}
        self.known = self.given or [Model(name, "m", window=10_000, max_output=1000, quality=0.8) for name in self.scripts]
        rates = {f"{name}/m": {"input": n, "output": n} for n, name in enumerate(self.scripts, 1)}
        self.policy = Policy([], self.tiers, Prices.model_validate({"models": rates}), self.rules)
        self.live = Live(self.policy)
        self.stores = Stores(self.journal, MemoryRecords(), memory_ledger(self.clock))
        self.breakers = Breakers(self.clock, lambda: 0.0)
        self.performance = Hearing(self.clock)
        self.prices = PriceList(lambda: self.live.current.prices, self.clock)
        declared = [
            Declared(name, "compatible", "", models=tuple(each for each in self.known if each.provider == name))
            for name in dict.fromkeys(each.provider for each in self.known)
        ]
        self.switches = Switches(self.stores, "provider", clock=self.clock)
        self.roster = Roster(declared, lambda provider: self.asked[provider.name], nobody, self.switches)
        self.router = Router(
            self.roster.models, lambda: self.live.current.models, health=self.breakers, speeds=self.performance, rates=self.prices
        )
        self.routed = Routed(
            providers=self.roster,
            router=self.router,
            counter=Counter(),
            prices=self.prices,
            purse=Purse(self.stores.ledger, self.live, self.prices, self.clock),
            breakers=self.breakers,
            performance=self.performance,
            evidence=Evidence(self.stores),
            memory=Memory(self.stores.records, self.router, self.performance, now=self.clock),
            settings=self.settings,
            policy=lambda: self.live.current.digest,
            clock=self.clock,
            now=self.clock,
            sleep=self.sleep,
            chance=lambda: 0.5,
        )

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now += seconds

    async def deltas(self, prompt: Prompt = HELLO, errand: Errand = ERRAND) -> list[Delta]:
        return [delta async for delta in self.routed.stream(prompt, errand)]

    def attempts(self) -> dict[str, int]:
        """Requests that each provider was sent."""
        return {name: len(provider.asked) for name, provider in self.asked.items()}

    async def events(self) -> list[Mapping[str, Any]]:
        """What the audit has, oldest first."""
        return [entry.body for entry in reversed(await self.stores.journal.read("audit"))]

    async def spent(self) -> dict[str, int]:
        """Micro-dollars, by provider; and what is still held."""
        usage = {use.of["provider"]: use.cost for use in await self.stores.ledger.usage(["provider"])}
        return usage | {"held": sum(balance.held for balance in await self.stores.ledger.balances())}
