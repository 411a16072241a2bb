"""Set aside what a call may cost before it is made, and book what it has cost after.

What may have cost something counts as spent: a call that nobody heard the end of, or that a bug or a cancellation ended,
is booked at what was reserved. Calls that are free by their price are only counted.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from toolgate.calls import Binary, Call, Outcome, Principal, Tool, changed
from toolgate.chain import Handler
from toolgate.errors import AuditUnavailable, EgressBlocked, Misconfigured, OverBudget, Refused, ToolgateError, Unreachable, UpstreamFailed
from toolgate.money import Micros, Price, dollars, micros
from toolgate.policy.live import Live
from toolgate.policy.rules import Policy
from toolgate.policy.tiers import Budgets
from toolgate.stores import Account, Hold, Ledger, Limit, Shortage, Use

GRACE = 30.0
"""Seconds after its deadline in which a call's end may still be written down before its hold expires."""
SOON = 2.0  # seconds; a guess: calls under way end within a few, and give back what they did not cost
KEPT = 4096  # combinations of caller and tool whose accounts are kept
Reserve = Callable[[Call, Hold], Awaitable[Shortage | None]]
STOPPED = (Refused, EgressBlocked, AuditUnavailable, Misconfigured)
"""The tool was not reached."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a call of one caller and one tool counts as, and what it counts against."""

    price: Price
    tool: Tool
    """With that price: whoever reads the answer has to know in which header it tells its cost."""
    use: Use
    limits: tuple[Limit, ...]


class Spend:
    def __init__(self, ledger: Ledger, live: Live, clock: Callable[[], float] = time.time, reserve: Reserve | None = None) -> None:
        """
        Args:
            clock: seconds since 1970, only to say how long until a budget renews.
            reserve: instead of the ledger's own, which it has to call.
        """
        self._ledger = ledger
        self._reserved = reserve or (lambda _, hold: ledger.reserve(hold))
        self._live = live
        self._clock = clock
        self._policy: Policy | None = None
        self._kept: dict[tuple[Principal, Tool, str | None], Terms] = {}

    async def __call__(self, call: Call, call_next: Handler) -> Outcome:
        terms = self._terms(call)
        if terms.price.free:
            self._ledger.count(terms.use)
            return await call_next(call)
        hold = Hold(call.id, terms.price.reserve, call.seconds_left() + GRACE, terms.limits, terms.use)
        try:
            short = await self._reserved(call, hold)
        except BaseException:
            self._ledger.release(call.id)  # a caller who no longer waits: it may be written all the same
            raise
        if short is not None:
            self._ledger.count(terms.use, refused=True)
            raise over_budget(short, call.tool.name, self._clock())
        try:
            outcome = await call_next(call if terms.tool is call.tool else changed(call, tool=terms.tool))
        except STOPPED as error:
            self._ledger.release(call.id)
            error.notes = {**error.notes, "spend": _note(terms.price, 0)}
            raise
        except ToolgateError as error:
            cost = 0 if _cost_nothing(error, call) else None
            self._ledger.settle(call.id, cost)
            error.cost = terms.price.reserve if cost is None else cost
            error.notes = {**error.notes, "spend": _note(terms.price, cost)}
            raise
        except BaseException:  # a bug or a cancellation
            self._ledger.settle(call.id, None)
            raise
        return self._settled(call, outcome, terms.price)

    def _settled(self, call: Call, outcome: Outcome, price: Price) -> Outcome:
        cost, estimated = _cost(outcome, price)
        self._ledger.settle(call.id, cost, estimated=estimated)
        notes = {**outcome.notes, "spend": _note(price, cost, estimated)}
        return changed(outcome, cost=price.reserve if cost is None else cost, notes=notes)

    def _terms(self, call: Call) -> Terms:
        policy = self._live.current
        if policy is not self._policy or len(self._kept) >= KEPT:
            self._policy = policy
            self._kept.clear()
        key = (call.principal, call.tool, call.session)
        terms = self._kept.get(key)
        if terms is None:
            terms = self._kept[key] = terms_of(call, policy)
        return terms


def terms_of(call: Call, policy: Policy) -> Terms:
    """What `call` counts as and against. An agent spends the money of whom it acts for."""
    principal, tool = call.principal, call.tool
    price = policy.prices.of(tool)
    priced = replace(tool, price=price) if price.header and price != tool.price else tool
    use = Use(principal.tenant, principal.user, tool.name, tool.integration)
    return Terms(price, priced, use, limits_of(principal, tool.name, call.session, policy))


def limits_of(principal: Principal, what: str, session: str | None, policy: Policy) -> tuple[Limit, ...]:
    """The budgets that what `principal` spends on `what`, a tool or a language model, counts against."""
    budgets: Budgets = policy.tier(principal.tier).budgets
    limits = [
        Limit(Account("user", principal.tenant, principal.user), _limit(budgets.day), _limit(budgets.month)),
        Limit(Account("tenant", principal.tenant)),
        Limit(Account("tool", name=what)),
    ]
    if session is not None:
        limits.append(Limit(Account("session", principal.tenant, principal.user, session), _limit(budgets.session)))
    return tuple(limits)


def _limit(budget: Any) -> Micros | None:
    return None if budget is None else micros(budget)


def _cost_nothing(error: ToolgateError, call: Call) -> bool:
    """Whether the failed call has certainly cost nothing: nobody was reached, or the other side refused to do it."""
    return isinstance(error, Unreachable) or (isinstance(error, UpstreamFailed) and call.tool.annotations.read_only)


def _cost(outcome: Outcome, price: Price) -> tuple[Micros | None, bool]:
    """What a call has cost, None when nobody knows, and whether that is only an estimate."""
    if outcome.metered is not None:
        return outcome.metered, False
    if outcome.effect == "unknown":
        return None, True
    if outcome.problem is not None and outcome.effect == "none":
        return 0, False
    return price.of(_size(outcome) if price.mebibyte else 0), price.estimated or price.header is not None


def _size(outcome: Outcome) -> int:
    """Bytes of the answer as it reaches the caller."""
    return sum(len(piece.data) if isinstance(piece, Binary) else len(piece.text.encode(errors="replace")) for piece in outcome.content)


def _note(price: Price, cost: Micros | None, estimated: bool = False) -> Mapping[str, Any]:
    return {"reserved": price.reserve, "charged": price.reserve if cost is None else cost, "estimated": estimated, "unknown": cost is None}


def over_budget(short: Shortage, what: str, now: float) -> OverBudget:
    """The refusal of something that may cost more than a budget has left: which, how much is left, and when it renews."""
    renews = datetime.fromtimestamp(short.renews, UTC)
    budget = f"the budget of {_whose(short.account)}, {dollars(short.limit)} a {short.every}"
    said = f"{budget}, has {dollars(short.left)} left, and {what} may cost {dollars(short.amount)}"
    if short.amount > short.limit:
        wait, then = None, "That is more than the whole budget, so waiting does not help"
    elif short.spent + short.amount <= short.limit:
        wait, then = SOON, f"Calls under way hold {dollars(short.held)} and may give some of it back; try again in a moment"
    else:
        wait, then = max(SOON, short.renews - now), f"It renews at {renews:%Y-%m-%d %H:%M} UTC"
    figures = {
        "scope": short.account.scope,
        "period": short.every,
        "limit": short.limit,
        "spent": short.spent,
        "held": short.held,
        "left": short.left,
        "needed": short.amount,
        "renews": renews.isoformat().replace("+00:00", "Z"),
    }
    return OverBudget(f"{said}. {then}. An operator changes it with `toolgate budget set`", wait, figures)


def _whose(account: Account) -> str:
    if account.scope == "user":
        return account.user
    return f"tenant {account.tenant}" if account.scope == "tenant" else f"{account.scope} {account.name}"
