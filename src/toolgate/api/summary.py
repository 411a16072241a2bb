"""Calls added up over time: how many, how they ended, how long they took, what they cost. One's own, or everybody's for the role admin."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.api.query import choice
from toolgate.money import shown
from toolgate.policy.bounds import is_admin
from toolgate.server.identify import principal_of
from toolgate.stores import Balance, Ledger
from toolgate.stores.trail import COLUMNS, Sum, Trail
from toolgate.times import stamp

RANGES: Mapping[str, tuple[int, int]] = {"1h": (60, 2), "24h": (24 * 60, 30), "7d": (7 * 24 * 60, 4 * 60), "30d": (30 * 24 * 60, 24 * 60)}
"""Minutes that a range goes back, and minutes that are added up to one point of a chart."""
MOST = 50  # rows of a table
NOTHING = Sum()


class Summaries:
    def __init__(self, trail: Trail, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._trail = trail
        self._ledger = ledger
        self._clock = clock

    async def calls(self, request: Request) -> Json:
        """Points over time, and the sums by tool, user or integration."""
        principal, query = principal_of(request.scope), request.query_params
        minutes, step = RANGES[choice(query, "range", "24h", RANGES)]
        by = choice(query, "by", "tool", COLUMNS)
        whose = {} if is_admin(principal) else {"tenant": principal.tenant, "who": principal.id}
        # The last point is the one that now belongs to.
        first = (int(self._clock() // 60) // step + 1) * step - minutes
        behind = await self._trail.follow()
        points = await self._trail.sums(since=first, minutes=step, **whose)
        told = await self._trail.sums_by(by, since=first, **whose)  # type: ignore[arg-type]
        [total] = (await self._trail.sums(since=first, minutes=10**9, **whose)).values() or (NOTHING,)
        return Json(
            {
                "since": stamp(first * 60),
                "step": step * 60,
                "behind": behind,
                "total": _said(total),
                "points": [{"at": stamp(at * 60), **_said(points.get(at, NOTHING))} for at in range(first, first + minutes, step)],
                "by": [{"name": name, **_said(each)} for name, each in list(told.items())[:MOST]],
            }
        )

    async def budgets(self, request: Request) -> Json:
        """What is left of each budget of the present day and month; the role admin sees everybody's."""
        principal = principal_of(request.scope)
        found = await self._ledger.balances()
        if not is_admin(principal):
            found = [each for each in found if each.account.user == principal.user and each.account.tenant == principal.tenant]
        return Json({"budgets": [_budget(each) for each in found]})


def _said(sums: Sum) -> dict[str, Any]:
    return {**asdict(sums), "cost": shown(sums.cost), "p50": _ms(sums.p50), "p95": _ms(sums.p95), "p99": _ms(sums.p99)}


def _ms(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _budget(balance: Balance) -> dict[str, Any]:
    return {
        **asdict(balance.account),
        "every": balance.every,
        "period": balance.period,
        "limit": None if balance.limit is None else shown(balance.limit),
        "spent": shown(balance.spent),
        "held": shown(balance.held),
        "set_by_operator": balance.set_by_operator,
    }
