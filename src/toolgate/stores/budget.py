"""What a ledger decides, without its store: which periods an amount falls into, and which budget does not suffice.

A period is a UTC day or calendar month, named `2026-11-20` or `2026-11`, so that later ones sort later. An account has a
balance in each. Text keys name both, as JSON arrays: with mere separators, tenant `a` with user `b:c` would share a
balance with tenant `a:b` and user `c`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import orjson

from toolgate.money import Micros
from toolgate.stores import EVERY, Account, Every, Limit, Shortage

KEPT = timedelta(days=62)
"""Balances are forgotten this long after their period; usage is kept."""


@dataclass(frozen=True, slots=True)
class Line:
    """One limit in one period."""

    key: str
    """Of the balance."""
    budget: str
    """Key of what the operator may have set instead of `limit`."""
    account: Account
    every: Every
    limit: Micros | None


def day_of(now: float) -> str:
    return _day(int(now // 86400))


@lru_cache(maxsize=8)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * 86400, UTC).date().isoformat()


def days(since: str, until: str, today: str) -> tuple[str, str]:
    """The first and the last day that `since` and `until` name: as `2026-11-20`, `today`, or `7d`, the last seven days.

    Raises:
        ValueError: one names no day; says what would.
    """
    return _named(since, today), _named(until, today)


def _named(text: str, today: str) -> str:
    if text == "today":
        return today
    try:
        if text.endswith("d"):
            return (date.fromisoformat(today) - timedelta(days=int(text[:-1]) - 1)).isoformat()
        return date.fromisoformat(text).isoformat()
    except (ValueError, OverflowError):
        raise ValueError("a day is written as 2026-11-20, today, or 7d for the last seven days") from None


def period(every: Every, day: str) -> str:
    return day if every == "day" else day[:7]


def renewal(every: Every, day: str) -> float:
    """When the period of `day` ends, seconds since 1970."""
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    if every == "day":
        return (begin + timedelta(days=1)).timestamp()
    return (begin.replace(day=1) + timedelta(days=32)).replace(day=1).timestamp()


def forgotten(day: str) -> str:
    """Periods that sort before this one are no longer needed on `day`."""
    return (datetime.fromisoformat(day) - KEPT).date().isoformat()


@lru_cache(maxsize=8192)
def lines(limits: Sequence[Limit], day: str) -> tuple[Line, ...]:
    """What an amount that is reserved on `day` counts against."""
    return tuple(_lines(limits, day))


def _lines(limits: Sequence[Limit], day: str) -> Iterator[Line]:
    for limit in limits:
        for every in EVERY:
            key, budget = account_key(limit.account, period(every, day)), account_key(limit.account, every)
            yield Line(key, budget, limit.account, every, limit.of(every))


def account_key(account: Account, period: str) -> str:
    """Of what was spent in a period, or of the budget for each `day` or `month`."""
    return orjson.dumps([account.scope, account.tenant, account.user, account.name, period]).decode()


def account_of(key: str) -> tuple[Account, str]:
    """The account and the period, or `day` or `month`, that a key names."""
    scope, tenant, user, name, rest = orjson.loads(key)
    return Account(scope, tenant, user, name), rest


def shortage(
    lines: Sequence[Line],
    amount: Micros,
    balances: Mapping[str, tuple[Micros, Micros]],
    budgets: Mapping[str, Micros | None],
    day: str,
) -> Shortage | None:
    """The budget that has no room for `amount`, of several the one that renews last; None: all have room.

    Args:
        balances: what is spent and what is held, by key; absent: nothing.
        budgets: what the operator has set, by key; None: no limit.
    """
    short: Shortage | None = None
    for line in lines:
        limit = budgets.get(line.budget, line.limit)
        spent, held = balances.get(line.key, (0, 0))
        if limit is None or spent + held + amount <= limit:
            continue
        found = Shortage(line.account, line.every, limit, spent, held, amount, renewal(line.every, day))
        if short is None or found.renews > short.renews:
            short = found
    return short


def roomy(
    asked: Sequence[tuple[Sequence[Line], Micros]], balances: Mapping[str, tuple[Micros, Micros]], budgets: Mapping[str, Micros | None]
) -> bool:
    """Whether there is room for all amounts together, and so for each, in whatever order. Other arguments as of `shortage`."""
    sums: dict[str, Micros] = {}
    for lines, amount in asked:
        for line in lines:
            sums[line.key] = sums.get(line.key, sum(balances.get(line.key, (0, 0)))) + amount
    limits = [(line.key, budgets.get(line.budget, line.limit)) for lines, _ in asked for line in lines]
    return all(limit is None or sums[key] <= limit for key, limit in limits)


def left(lines: Sequence[Line], balances: Mapping[str, tuple[Micros, Micros]], budgets: Mapping[str, Micros | None]) -> Micros | None:
    """What the tightest of the budgets has left, at least 0; None: none has a limit. Arguments as of `shortage`."""
    limited = [(limit, line.key) for line in lines if (limit := budgets.get(line.budget, line.limit)) is not None]
    return min((max(0, limit - sum(balances.get(key, (0, 0)))) for limit, key in limited), default=None)
