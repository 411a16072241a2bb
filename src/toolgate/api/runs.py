"""`GET /v1/runs`: the runs of the agent that the caller may see, and each of them told once more."""

from __future__ import annotations

from starlette.requests import Request

from toolgate.agent.loop import Agent
from toolgate.agent.told import told, told_of
from toolgate.api.answers import Json, problem_answer
from toolgate.api.query import BadQuery, number
from toolgate.errors import UnknownRun
from toolgate.server.identify import principal_of

LIMIT, MOST = 50, 500
"""Runs: without being asked, and at most."""


class Told:
    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    async def many(self, request: Request) -> Json:
        """The newest runs first: the caller's own, or everybody's of its tenant for the role admin."""
        try:
            limit = number(request.query_params, "limit", MOST) or LIMIT
        except BadQuery as error:
            return problem_answer("bad_request", str(error))
        runs = self._agent.runs
        found = await runs.seen_by(principal_of(request.scope))
        return Json({"runs": [told_of(run, await runs.under_way(run)) for run in found[:limit]], "total": len(found)})

    async def one(self, request: Request) -> Json:
        """A run with its events, as far as they were written down."""
        name, who = request.path_params["id"], principal_of(request.scope)
        runs = self._agent.runs
        try:
            run = await runs.get(name, who)
            events = await self._agent.replay(name, who)
        except UnknownRun as error:
            return problem_answer(error.code, str(error))
        return Json(told_of(run, await runs.under_way(run)) | {"events": [told(event) for event in events]})
