"""Money for requests of language models: set aside what an attempt may cost before it is made, book what it has cost after.

The budgets are those of tools, so that a run's prompts and calls draw on the same ones.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from toolgate.calls import new_id
from toolgate.gateway.spend import GRACE, limits_of, over_budget
from toolgate.llm.messages import Errand
from toolgate.llm.model import Model
from toolgate.llm.prices import PriceList
from toolgate.money import Micros
from toolgate.policy.live import Live
from toolgate.stores import Hold, Ledger, Limit, Shortage, Use

RECENT = 2.0
"""Seconds for which what is left of a budget is taken to be so."""
KEPT = 4096  # askers of whom that is known
Begin = Callable[[Hold | None], Awaitable[Shortage | None]]


@dataclass(frozen=True, slots=True)
class Held:
    """Money set aside for one attempt; `settle` or `release` it."""

    ledger: Ledger
    use: Use
    id: str
    amount: Micros
    """0: it costs nothing, and is only counted."""

    def settle(self, cost: Micros, *, estimated: bool) -> None:
        if self.amount:
            self.ledger.settle(self.id, cost, estimated=estimated)
        else:
            self.ledger.count(self.use)

    def release(self) -> None:
        """Nothing was answered, and nothing is paid."""
        if self.amount:
            self.ledger.release(self.id)


@dataclass
class Purse:
    ledger: Ledger
    live: Live
    prices: PriceList
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    _known: dict[tuple[Limit, ...], tuple[float, Micros | None]] = field(default_factory=dict, init=False, repr=False)
    """When it was asked, and what was left."""

    async def left(self, errand: Errand) -> Micros | None:
        """What `errand` may still spend on models, as of at most `RECENT` seconds ago: to choose by, never to permit by. None: anything."""
        limits = limits_of(errand.principal, "", errand.run or None, self.live.current)
        limits = tuple(limit for limit in limits if limit.account.scope != "tool")  # each model has its own
        now = self.clock()
        known = self._known.get(limits)
        if known is None or not 0 <= now - known[0] < RECENT:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[limits] = now, await self.ledger.left(limits)
        return known[1]

    async def reserve(
        self, model: Model, errand: Errand, tokens_in: int, tokens_out: int, seconds: float, begin: Begin | None = None
    ) -> Held:
        """Set aside what an attempt at `model` may cost.

        Args:
            tokens_in: of the input, counted.
            tokens_out: at most.
            seconds: until the attempt has ended.
            begin: instead of the ledger's own, which it has to call; with None where there is nothing to set aside.

        Raises:
            OverBudget: a budget has no room for it.
        """
        principal = errand.principal
        use = Use(principal.tenant, principal.user, model.id, "models", model.provider, errand.phase)
        held = Held(self.ledger, use, new_id(), self.prices.most(model, tokens_in, tokens_out))
        if held.amount == 0:
            if begin is not None:
                await begin(None)
            return held
        limits = limits_of(principal, model.id, errand.run or None, self.live.current)
        try:
            hold = Hold(held.id, held.amount, seconds + GRACE, limits, use)
            short = await (self.ledger.reserve(hold) if begin is None else begin(hold))
        except BaseException:
            held.release()  # an asker who no longer waits: it may be written all the same
            raise
        if short is not None:
            self.ledger.count(use, refused=True)
            raise over_budget(short, f"a request of {model.id}", self.clock())
        return held
