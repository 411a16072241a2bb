"""Language models, for those who ask over HTTP: which there are, how they do, which would be asked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.requests import Request

from toolgate.api.answers import Json, problem_answer
from toolgate.api.operator import admin_of
from toolgate.api.query import BadQuery, body_of
from toolgate.policy.bounds import is_admin
from toolgate.server.identify import principal_of

if TYPE_CHECKING:
    from toolgate.llm.report import Report

SINCE = "24h"
EXPLAINED = 'the body is an object with "prompt", and perhaps "task", "model" and "high_risk"'
JUDGED = 'the body is an object with "run" and "good", a number from 0 (wrong) to 1 (right)'


class Providers:
    def __init__(self, report: Callable[[], Report]) -> None:
        """
        Args:
            report: made when first asked for.
        """
        self._make = report

    @cached_property
    def _report(self) -> Report:
        return self._make()

    async def many(self, request: Request) -> Json:
        """Those that the caller may ask; the role admin sees all, and how to add others."""
        principal = principal_of(request.scope)
        return await _told(lambda: self._report.providers(None if is_admin(principal) else principal))

    async def stats(self, request: Request) -> Json:
        query = request.query_params
        return await self._for_admins(request, lambda: self._report.stats(query.get("since", SINCE), query.get("by", "")))

    async def wins(self, request: Request) -> Json:
        query = request.query_params
        return await self._for_admins(request, lambda: self._report.wins(query.get("since", SINCE), query.get("task", "")))

    async def costs(self, request: Request) -> Json:
        query = request.query_params
        return await self._for_admins(request, lambda: self._report.costs(query.get("since", SINCE), query.get("by", "")))

    async def test(self, request: Request) -> Json:
        """Whether a provider answers and takes our key; no model is asked anything."""
        return await self._for_admins(request, lambda: self._report.tried(request.path_params["name"]), changes=True)

    async def switch(self, request: Request, *, on: bool) -> Json:
        name, who = request.path_params["name"], principal_of(request.scope)
        return await self._for_admins(request, lambda: self._report.switch(name, on, who), changes=True)

    async def explain(self, request: Request) -> Json:
        """What would be decided for a prompt of the caller's. Nothing is asked."""
        principal = principal_of(request.scope)
        body = await body_of(request, EXPLAINED, {"prompt": str}, {"task": str, "model": str, "high_risk": bool})
        prompt, task = body["prompt"], body.get("task", "other")
        return await _told(
            lambda: self._report.explain(prompt, principal, task, body.get("model", ""), high_risk=body.get("high_risk", False))
        )

    async def feedback(self, request: Request) -> Json:
        """How good the answer to a run of the caller's own was."""
        principal = principal_of(request.scope)
        body = await body_of(request, JUDGED, {"run": str, "good": float})
        if not 0 <= body["good"] <= 1:
            raise BadQuery(JUDGED)
        model = await self._report.feedback(body["run"], body["good"], principal)
        if model is None:
            return problem_answer("not_found", "no such run of yours is known here, or it was judged already")
        return Json({"model": model})

    async def _for_admins(self, request: Request, work: Callable[[], Awaitable[Any]], *, changes: bool = False) -> Json:
        admin_of(request, "test or switch providers" if changes else "see how models do", changes=changes)
        return await _told(work)


async def _told(work: Callable[[], Awaitable[Any]]) -> Json:
    try:
        return Json(await work())
    except ValueError as error:
        raise BadQuery(str(error)) from None
