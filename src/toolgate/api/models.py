"""`GET /v1/models` and `/v1/models/ID`: the models that the caller may name, in OpenAI's form."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.api.failures import problem_answer
from toolgate.api.openai import OURS
from toolgate.calls import Principal, Problem
from toolgate.llm.model import Model
from toolgate.llm.models import Models
from toolgate.policy.models import forbidden
from toolgate.server.identify import principal_of

TASK = "other"


class Offered:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def many(self, request: Request) -> Json:
        return Json({"object": "list", "data": await self._listed(principal_of(request.scope))})

    async def one(self, request: Request) -> Json:
        name = request.path_params["id"]
        found = [model for model in await self._listed(principal_of(request.scope)) if model["id"] == name]
        unknown = Problem("no_such_model", f"{name}: there is no such model; GET /v1/models tells of those there are")
        return Json(found[0]) if found else problem_answer(unknown)

    async def _listed(self, user: Principal) -> list[dict[str, Any]]:
        await self._models.roster.ready("")
        found = [model for model in self._models.roster.models() if self._may(user, model)]
        listed = [{"id": model.id, "owned_by": model.provider, "window": model.window} for model in found]
        ours = {"id": OURS, "owned_by": OURS, "window": max((model.window for model in found), default=0)}
        return [{"object": "model", "created": 0, **each} for each in (ours, *listed)]

    def _may(self, user: Principal, model: Model) -> bool:
        rules = self._models.policy.applying(user, TASK)
        return not model.off and forbidden(rules, model.id, model.region, model.tags) is None
