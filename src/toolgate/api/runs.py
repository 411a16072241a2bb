"""`GET /v1/runs`: the runs of the agent that the caller may see, and each of them told once more."""

from __future__ import annotations

from starlette.requests import Request

from toolgate.agent.loop import Agent
from toolgate.agent.told import told, told_of
from toolgate.api.answers import Json
from toolgate.api.query import number
from toolgate.server.identify import principal_of

LIMIT, MOST = 50, 500
"""Runs: without being asked, and at most."""


class Told:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def many(self, request: Request) -> Json:
        """The newest runs first: the caller's own, or everybody's of its tenant for the role admin."""
        limit = number(request.query_params, "limit", MOST) or LIMIT
        runs = self._agent.runs
        found = await runs.seen_by(principal_of(request.scope))
        return Json({"runs": [told_of(run, await runs.under_way(run)) for run in found[:limit]], "total": len(found)})

    async def one(self, request: Request) -> Json:
        """A run with its events, as far as they were written down."""
        name, who = request.path_params["id"], principal_of(request.scope)
        runs = self._agent.runs
        run, events = await runs.get(name, who), await self._agent.replay(name, who)
        return Json(told_of(run, await runs.under_way(run)) | {"events": [told(event) for event in events]})
