"""usage_report: what the caller has used, by day and whatever else is asked."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

from toolgate.internal.desk import Desk
from toolgate.internal.trouble import Trouble
from toolgate.stores import Dimension
from toolgate.stores.budget import day_of, days


async def usage_report(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: since or until is no day.
    """
    who = desk.call.principal
    try:
        first, last = days(asked.get("since", "30d"), asked.get("until", "today"), day_of(time.time()))
    except ValueError as error:
        raise Trouble("bad_period", f"since and until are days. {error}") from None
    by = cast("tuple[Dimension, ...]", tuple(asked.get("by", ("tool",))))
    used = await desk.backends.stores.ledger.usage(by, since=first, until=last, tenant=who.tenant, user=who.user)
    return {"since": first, "until": last, "usage": [one.to_json() for one in used]}
