"""What a caller has used; the role admin sees everybody's use."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from starlette.requests import Request

from toolgate.api.answers import Json, problem_answer
from toolgate.policy.bounds import ADMIN, is_admin
from toolgate.server.identify import principal_of
from toolgate.stores import DIMENSIONS, Dimension, Ledger
from toolgate.stores.budget import day_of, days


class Used:
    def __init__(self, ledger: Ledger, clock: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._clock = clock

    async def usage(self, request: Request) -> Json:
        """What was used by day, told apart by `by`."""
        principal, query = principal_of(request.scope), request.query_params
        by = tuple(dict.fromkeys(query.get("by", "tool").split(",")))
        if not set(by) <= set(DIMENSIONS):
            return problem_answer("bad_request", f"by is one or several of {', '.join(DIMENSIONS)}, separated by commas")
        try:
            first, last = days(query.get("since", "30d"), query.get("until", "today"), day_of(self._clock()))
        except ValueError as error:
            return problem_answer("bad_request", f"since and until are days. {error}")
        whose = {"tenant": principal.tenant, "user": principal.id}
        if is_admin(principal):
            whose = {"tenant": query.get("tenant", ""), "user": query.get("user", "")}
        elif any(query.get(name, own) != own for name, own in whose.items()):
            return problem_answer("not_permitted", f"{principal.id} may only see its own use; the role {ADMIN} sees everybody's")
        used = await self._ledger.usage(cast("tuple[Dimension, ...]", by), since=first, until=last, **whose)
        return Json({"since": first, "until": last, "usage": [one.to_json() for one in used]})
