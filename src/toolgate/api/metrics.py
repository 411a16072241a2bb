"""Counts for those who watch, in Prometheus' text format."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from toolgate.api.answers import problem_answer
from toolgate.policy.bounds import ADMIN, is_admin
from toolgate.server.identify import principal_of
from toolgate.telemetry import CONTENT_TYPE, Metrics

Readers = Literal["admin", "loopback"]


class Watched:
    def __init__(self, metrics: Metrics, readers: Readers) -> None:
        self._metrics = metrics
        self._readers = readers

    async def read(self, request: Request) -> Response:
        """Everything that is counted; see `settings.Server.metrics` for whom."""
        principal = principal_of(request.scope)
        if is_admin(principal) or (self._readers == "loopback" and principal.via == "loopback"):
            return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)
        return problem_answer("not_permitted", f"{principal.id} may not read the metrics; the role {ADMIN} may")
