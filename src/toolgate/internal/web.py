"""web_search: ask the configured engines at once, and make one list of what they found."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from toolgate.backends import WebSearch
from toolgate.egress.wire import Sender
from toolgate.internal.desk import Desk
from toolgate.internal.outside import json_of, send
from toolgate.internal.searching import Odd, Query, Result, one_list, reason, request, results
from toolgate.internal.trouble import Trouble
from toolgate.times import retry_after

SECONDS = 10.0
"""That one engine is waited for; a guess between slow engines and impatient models."""


@dataclass(frozen=True)
class Web:
    sender: Sender
    engines: Sequence[WebSearch]


async def web_search(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: no engine answered well.
    """
    web = desk.backends.web
    assert web is not None
    query = Query(asked["query"], asked.get("limit", 8), asked.get("site"), asked.get("freshness"), asked.get("language"))
    seconds = min(SECONDS, desk.seconds_left() - 1)
    answers = await asyncio.gather(*(_ask(web.sender, engine, query, seconds) for engine in web.engines))
    troubles = [answer for answer in answers if isinstance(answer, Trouble)]
    if len(troubles) == len(answers):
        raise troubles[0]
    found = one_list([answer for answer in answers if not isinstance(answer, Trouble)], query.limit)
    return {"results": [asdict(one) for one in found], "problems": [trouble.message for trouble in troubles]}


async def _ask(sender: Sender, engine: WebSearch, query: Query, seconds: float) -> list[Result] | Trouble:
    who = {"searxng": "SearXNG", "google": "Google"}[engine.kind]
    try:
        response = await send(sender, request(engine, query), who, networks=engine.allow_networks, seconds=seconds)
    except Trouble as trouble:
        return trouble
    answer = json_of(response)
    if response.status != HTTPStatus.OK:
        after = retry_after(response.header("retry-after"))
        if after is None and response.status == HTTPStatus.TOO_MANY_REQUESTS:
            after = 60.0
        message = f"{who} did not search: {reason(engine, response.status, answer)}"
        return Trouble("upstream_failed", message, status=HTTPStatus.BAD_GATEWAY, retry_after=after, upstream=response.status)
    try:
        return results(engine, answer)
    except Odd:
        return Trouble("upstream_failed", f"{who} did not answer with results", status=HTTPStatus.BAD_GATEWAY)
