"""Who can be asked: the declared providers, opened when they are first asked, and the models that each of them has."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

import anyio
from anyio import to_thread

from toolgate.errors import Misconfigured, ModelFailed, NoModel
from toolgate.llm.declared import Declared
from toolgate.llm.model import OFF, Model
from toolgate.llm.provider import Provider
from toolgate.switches import Switches

NOBODY = (
    "no language model is set up. Set OPENAI_API_KEY, ANTHROPIC_API_KEY or another variable of docs/models.md, "
    "or name `providers` in toolgate.yaml; `--provider scripted` tries it without a model"
)
NOT_THERE = "no language model is there: {} does not answer, or has none. Start it, or name `models` of it in toolgate.yaml"
log = logging.getLogger("toolgate")

HOLDS = 60.0
"""Seconds for which a local server's list of models is taken for true, and half of them until one that did not answer is asked again."""
MOST_NAMED = 64
"""Models that nobody listed and that prompts named."""


@dataclass
class Roster:
    declared: Sequence[Declared]
    open: Callable[[Declared], Provider]
    list: Callable[[Declared], Awaitable[Sequence[Model]]]
    """Asks a local server which models it has; raises ModelFailed."""
    switches: Switches
    """By which operators switch providers off."""
    prepare: Callable[[], object] | None = None
    """Imports what asking a model takes that is not free; run once, in a thread, so that everything else goes on."""
    clock: Callable[[], float] = time.monotonic
    _opened: dict[str, Provider] = field(default_factory=dict, init=False)
    _local: dict[str, tuple[float, Sequence[Model]]] = field(default_factory=dict, init=False)
    """Models of local servers, and until when that holds."""
    _named: dict[str, Model] = field(default_factory=dict, init=False)
    _all: tuple[Model, ...] | None = field(default=None, init=False)
    _without: frozenset[str] = field(default=frozenset(), init=False)
    """What was off when `_all` was put together."""
    _asking: anyio.Lock = field(default_factory=anyio.Lock, init=False)

    def __post_init__(self) -> None:
        self.by_name = {each.name: each for each in self.declared}

    @property
    def off(self) -> frozenset[str]:
        """Names of providers that an operator has switched off."""
        return self.switches.off

    def models(self) -> Sequence[Model]:
        """The same object until something changes: every decision asks."""
        off = self.off
        if self._all is None or off != self._without:
            known = [each for provider in self.declared for each in self.of(provider)]
            ids = {each.id for each in known}
            named = (replace(each, off=each.provider in off) for each in self._named.values() if each.id not in ids)
            self._all, self._without = (*known, *named), off
        return self._all

    def able(self, named: str) -> Sequence[Model]:
        """Those that may be asked, of those that a prompt names where it names any."""
        return [each for each in self.models() if not each.off and (not named or named in (each.id, each.provider))]

    def of(self, provider: Declared) -> Sequence[Model]:
        """Its models, as far as they are known."""
        known = provider.models or self._local.get(provider.name, (0.0, ()))[1]
        return [replace(each, off=True) for each in known] if provider.name in self.off else known

    async def ready(self, named: str) -> None:
        """Have the models of local servers, and the one that a prompt names; know what is off."""
        await self.switches.fresh()
        if self.prepare is not None and any(each.kind != "scripted" for each in self.declared):
            prepare, self.prepare = self.prepare, None
            await to_thread.run_sync(prepare)
        wanted = named.partition("/")[0]
        if any(self._stale(each) for each in self.declared if wanted in ("", each.name)):
            async with self._asking, anyio.create_task_group() as tasks:
                for each in self.declared:
                    if wanted in ("", each.name) and self._stale(each):
                        tasks.start_soon(self._ask, each)
        provider, name = self.by_name.get(wanted), named.partition("/")[2]
        if provider is not None and name and provider.open and named not in {each.id for each in self.of(provider)}:
            while len(self._named) >= MOST_NAMED:
                del self._named[next(iter(self._named))]
            self._named[named] = provider.named(name)
            self._all = None

    def check(self, named: str) -> None:
        """
        Raises:
            Misconfigured: nobody is set up who could answer, and what would work.
            NoModel: the prompt names a model that there is not.
        """
        models = self.models()
        if named:
            meant = [each for each in models if named in (each.id, each.provider)]
            if named.partition("/")[0] in self.off and all(each.off for each in meant):
                raise NoModel({named[:200]: OFF})
            if not meant:
                there = "there is no such model; `toolgate providers list` and GET /v1/models tell of those there are"
                raise NoModel({named[:200]: there}, "no_such_model")
        elif all(each.only_named for each in models):
            silent = [each.name for each in self.declared if not each.models]
            if off := [name for name in silent if name in self.off]:
                raise NoModel(dict.fromkeys(off, OFF))
            raise Misconfigured(NOT_THERE.format(", ".join(silent)) if silent else NOBODY)

    def resolved(self, named: str) -> str:
        """`provider/model` for the name of a provider that has a default; else `named`."""
        provider = self.by_name.get(named)
        return f"{named}/{provider.default}" if provider and provider.default else named

    def find(self, name: str) -> Declared:
        """
        Raises:
            NoModel: there is no such provider.
        """
        if name not in self.by_name:
            raise NoModel({name[:200]: f"there is no such provider; there is {', '.join(self.by_name)}"}, "no_such_model")
        return self.by_name[name]

    def get(self, name: str) -> Provider:
        """
        Raises:
            Misconfigured: it cannot be used as it was declared.
        """
        provider = self._opened.get(name)
        if provider is None:
            provider = self._opened[name] = self.open(self.by_name[name])
        return provider

    def _stale(self, provider: Declared) -> bool:
        return not provider.models and provider.name not in self.off and self._local.get(provider.name, (0.0, ()))[0] <= self.clock()

    async def _ask(self, provider: Declared) -> None:
        known = self._local.get(provider.name, (0.0, ()))[1]
        try:
            models = await self.list(provider)
        except ModelFailed as error:
            log.warning("the models of %s are not known: %s", provider.name, error)
            self._local[provider.name] = (self.clock() + HOLDS / 2, known)
        else:
            self._local[provider.name] = (self.clock() + HOLDS, models)
            self._all = None
