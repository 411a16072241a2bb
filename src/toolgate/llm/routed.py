"""The provider that stands before all others: it asks the router, walks its chain, and answers for every attempt.

    deadline ─▶ budget ─▶ breaker ─▶ time-outs ─▶ ask ─▶ what failed? ─▶ again (three attempts a provider) or next of the chain ─▶ settle

Every attempt is streamed, so that a model that hangs is known by its silence. What was not yet seen by anybody can be asked again freely;
once a piece was seen, an answer that breaks off fails, or begins anew with a `Reset` where the operator wants that. Nothing leaves before
it is written down, and no answer is whole before what came of it is.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

import anyio

from toolgate.errors import ModelFailed, NoModel, ToolgateError
from toolgate.llm.breaker import Breakers
from toolgate.llm.count import Counter, family
from toolgate.llm.decision import Decision
from toolgate.llm.evidence import Evidence, Request
from toolgate.llm.learning import results
from toolgate.llm.memory import Memory
from toolgate.llm.messages import Delta, Done, Errand, Prompt, Reply
from toolgate.llm.metrics import Performance
from toolgate.llm.prices import PriceList
from toolgate.llm.provider import whole
from toolgate.llm.purse import Purse
from toolgate.llm.roster import Roster
from toolgate.llm.router import Router
from toolgate.llm.walk import Walk, most
from toolgate.tasks import both
from toolgate.thinking import Models as Settings

WRITE_SECONDS = 2.0  # a guess, as in gateway.audit


@dataclass
class Routed:
    """A `Provider` of providers."""

    providers: Roster
    router: Router
    counter: Counter
    prices: PriceList
    purse: Purse
    breakers: Breakers
    performance: Performance
    evidence: Evidence
    memory: Memory
    """What router and metrics remember beyond this process."""
    settings: Settings = field(default_factory=Settings)
    policy: Callable[[], str] = str
    """The digest of the policy in force, for the audit."""
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    """Seconds since 1970, for the metrics."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    chance: Callable[[], float] = random.random

    async def reply(self, prompt: Prompt, errand: Errand) -> Reply:
        """The whole answer, of which nobody sees a piece before; raises as `stream` does."""
        return await whole(self._answer(prompt, errand, seen=False))

    def stream(self, prompt: Prompt, errand: Errand) -> AsyncGenerator[Delta, None]:
        return self._answer(prompt, errand, seen=errand.seen)

    async def _answer(self, prompt: Prompt, errand: Errand, *, seen: bool) -> AsyncGenerator[Delta, None]:
        """
        Args:
            seen: somebody sees the pieces as they come, so that what was said stands.
        """
        await self.providers.ready(prompt.model)
        await self.memory.ready()
        prompt = replace(prompt, model=self.providers.resolved(prompt.model))
        began = self.clock()
        request = Request(prompt, errand, began + prompt.seconds, policy=self.policy())
        try:
            self.providers.check(prompt.model)
            self.router.results(errand.run, results(prompt.messages))
            decision = await self._decide(request)
        except ToolgateError as error:
            await self.evidence.denied(request, error, self.clock() - began)
            raise
        ended = False

        async def end(ending: Reply | BaseException) -> None:
            nonlocal ended
            ended = True
            if request.begun:
                await self.evidence.end(request, ending, self.clock() - began)
            elif isinstance(ending, ToolgateError):  # nothing has left
                await self.evidence.denied(request, ending, self.clock() - began)

        try:
            async with aclosing(Walk(self, request, decision, seen=seen).deltas()) as deltas:
                async for delta in deltas:
                    if isinstance(delta, Done):
                        await both(end(delta.reply), errand.noted(delta.reply) if errand.noted else None)
                    yield delta
        except BaseException as ending:  # an error, a bug, a cancellation, or an asker who left
            if not ended:
                with anyio.move_on_after(WRITE_SECONDS, shield=True):
                    await end(ending)
            raise

    async def _decide(self, request: Request) -> Decision:
        """Which models to ask. Where all that may be asked are left alone for a bearable while, that is waited."""
        prompt, waited = request.prompt, 0.0
        request.tokens = self.count(prompt)
        left = await self.purse.left(request.errand)
        while True:
            try:
                return self.router.route(prompt, request.errand, request.tokens, left=left)
            except NoModel as none:
                paused = [model.id for model in self.providers.models() if none.dropped.get(model.id) == self.breakers.available(model)]
                wait = self.breakers.soonest(paused)
                if wait is None and left is not None:
                    left = None  # the ledger itself says then which budget has no room, and when it will
                    continue
                if wait is None:
                    raise
                if waited + wait > self.settings.patience or wait >= request.deadline - self.clock():
                    none.retry_after = wait
                    raise
                wait += self.chance() * min(1.0, wait)  # those who wait for the same do not all come at once
                waited += wait
            await self.sleep(wait)

    def count(self, prompt: Prompt) -> int:
        """Tokens of the input, to the family of models that counts most.

        Raises:
            ModelFailed: no model that is set up, or that the prompt names, could take it together with a reply.
        """
        models = [each for each in self.providers.able(prompt.model) if each.vision or not prompt.pictures]
        counted = {family(model): self.counter.count(prompt, model) for model in models}
        if not models:
            return 0
        if not any(counted[family(model)] + most(prompt, model) <= model.window for model in models):
            largest = max(models, key=lambda model: model.window)
            raise ModelFailed(
                f"the prompt has about {counted[family(largest)]} tokens and asks for a reply of up to {most(prompt, largest)}; "
                f"the largest window, of {largest.id}, holds {largest.window}. Shorten the conversation, or offer fewer tools",
                "request",
                reason="context_exceeded",
            )
        return max(counted.values())
