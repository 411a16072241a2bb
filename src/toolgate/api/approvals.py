"""Calls that wait for a person's yes: operators answer, callers see what waits of their own."""

from __future__ import annotations

from starlette.requests import Request

from toolgate.api.answers import Json, problem_answer
from toolgate.api.operator import admin_of
from toolgate.api.query import BadQuery, body_of, choice
from toolgate.approvals import Approvals, told_of
from toolgate.policy.bounds import ADMIN, is_admin
from toolgate.server.identify import principal_of

DECISIONS = {"approve": True, "deny": False}
REASON = 500  # characters
WANTED = f'the body is an object with "decision", approve or deny, and perhaps "reason", {REASON} characters at most'


class Answering:
    def __init__(self, approvals: Approvals) -> None:
        self._approvals = approvals

    async def many(self, request: Request) -> Json:
        """What waits; the role admin sees everybody's, others their own."""
        principal = principal_of(request.scope)
        state = choice(request.query_params, "state", "pending", ("pending", "approved", "denied"))
        found = await self._approvals.list(None if is_admin(principal) else principal)
        return Json({"approvals": [told_of(each) for each in found if each.state == state]})

    async def answer(self, request: Request) -> Json:
        """Say yes or no. Not to one's own call: whoever calls over HTTP may be a program, and a person is asked for."""
        principal = admin_of(request, "answer for others", changes=True)
        body = await body_of(request, WANTED, {"decision": str}, {"reason": str | None})
        yes, reason = DECISIONS.get(body["decision"]), body.get("reason")
        if yes is None or len(reason or "") > REASON:
            raise BadQuery(WANTED)
        waiting = await self._approvals.find(request.path_params["id"])
        if self._approvals.owns(principal, waiting):
            return problem_answer("not_permitted", f"{principal.id} may not answer for its own call; another {ADMIN} may")
        return Json(told_of(await self._approvals.decide(waiting.id, yes, principal, "operator", reason)))
