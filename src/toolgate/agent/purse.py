"""What a run and the runs within it may spend together: counted here before each step, and held to in the ledger by every reservation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from toolgate.agent.runs import Run
from toolgate.agent.turns import NOTHING, RESERVE, Limits, Used, over
from toolgate.money import Micros, dollars, micros
from toolgate.policy.live import Live
from toolgate.stores import EVERY, Account, Ledger


class Purse:
    """Of the outermost run; the runs within it draw on it too."""

    def __init__(self, limits: Limits, used: Used = NOTHING) -> None:
        self.limits = limits
        self.used = used
        """In the present allotment, by all of them."""
        self._held: Micros = 0
        self._calls = 0

    def add(self, used: Used) -> None:
        self.used += used

    def over(self, seconds: float, *, steps: bool = True) -> str | None:
        """As `turns.over`.

        Args:
            steps: count them too.
        """
        return over(self.used if steps else replace(self.used, steps=0), seconds, self.limits)

    @property
    def left(self) -> Micros | None:
        return None if self.limits.cost is None else max(0, self.limits.cost - self.used.cost - self._held)

    def take(self, amount: Micros) -> tuple[str, str] | None:
        """Set aside one call that may cost `amount`, until `give_back`; else why not: a code and a sentence."""
        if self.used.calls + self._calls >= self.limits.calls:
            return "budget", f"not called: the {self.limits.calls} tool calls of this run are used up"
        cost = self.limits.cost
        if amount and cost is not None and self.used.cost + self._held + amount > cost * (1 - RESERVE):
            left = max(0, int(cost * (1 - RESERVE)) - self.used.cost - self._held)
            return "over_budget", f"not called: it may cost {dollars(amount)}, and this run has {dollars(left)} left for tools"
        self._held += amount
        self._calls += 1
        return None

    def give_back(self, amount: Micros) -> None:
        self._held -= amount
        self._calls -= 1


@asynccontextmanager
async def budgeted(run: Run, spent: Micros, ledger: Ledger, live: Live, tier: str, goes_on: Callable[[], bool]) -> AsyncIterator[None]:
    """Have the ledger refuse what would take `run`, and all within it, beyond its cost, as long as the block runs.

    Args:
        spent: what the run had used before its present allotment.
        goes_on: whether something within it outlives it, as jobs do: then the bound does, until `unbound`.
    """
    cost = run.task.limits.cost
    if cost is None or run.session != run.id:  # a run within another draws on that one's
        yield
        return
    limit = spent + cost
    if (most := live.tier(tier).budgets.session) is not None:
        limit = min(limit, micros(most))
    for every in EVERY:
        await ledger.budget(_account(run), every, limit)
    yield
    # Not where the block is left by an error or a cancellation: the run is not over, and its calls may still be settling.
    if not goes_on():
        await unbound(run, ledger)


async def unbound(run: Run, ledger: Ledger) -> None:
    """Take back what `budgeted` has set."""
    for every in EVERY:
        await ledger.unset(_account(run), every)


def _account(run: Run) -> Account:
    return Account("session", run.tenant, run.owner, run.id)
