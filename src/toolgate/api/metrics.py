"""Counts for those who watch, in Prometheus' text format."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request
from starlette.responses import Response

from toolgate.api.operator import admin_of
from toolgate.server.identify import principal_of
from toolgate.telemetry import CONTENT_TYPE, Metrics

Readers = Literal["admin", "loopback"]


class Watched:
    def __init__(self, metrics: Metrics, readers: Readers) -> None:
        self._metrics = metrics
        self._readers = readers

    async def read(self, request: Request) -> Response:
        """Everything that is counted; see `settings.Server.metrics` for whom."""
        if self._readers != "loopback" or principal_of(request.scope).via != "loopback":
            admin_of(request, "read the metrics")
        return Response(self._metrics.exposition(), media_type=CONTENT_TYPE)
