"""`GET /v1/models`: the models that the caller may name, in OpenAI's form."""

from __future__ import annotations

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.api.openai import OURS
from toolgate.calls import Principal
from toolgate.llm.model import Model
from toolgate.llm.models import Models
from toolgate.policy.models import forbidden
from toolgate.server.identify import principal_of

TASK = "other"


class Offered:
    def __init__(self, models: Models) -> None:
        self._models = models

    async def many(self, request: Request) -> Json:
        await self._models.roster.ready("")
        found = [model for model in self._models.roster.models() if self._may(principal_of(request.scope), model)]
        listed = [{"id": model.id, "owned_by": model.provider, "window": model.window} for model in found]
        ours = {"id": OURS, "owned_by": OURS, "window": max((model.window for model in found), default=0)}
        return Json({"object": "list", "data": [{"object": "model", "created": 0, **each} for each in (ours, *listed)]})

    def _may(self, user: Principal, model: Model) -> bool:
        rules = self._models.policy.applying(user, TASK)
        return not model.off and forbidden(rules, model.id, model.region, model.tags) is None
