"""What operators and their machines ask: is it alive, is it ready, what is served, what happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request

from toolgate import __version__, documents
from toolgate.api.answers import Json, problem_answer
from toolgate.api.query import BadQuery, number
from toolgate.errors import AuditUnavailable
from toolgate.gateway.audit import record
from toolgate.server.identify import principal_of
from toolgate.stores import Entry, Journal

LINES, MOST_LINES = 100, 1000
MAX_SEQ = 2**63 - 1
ADMIN = "admin"


class Operator:
    def __init__(
        self, journal: Journal, integrations: Callable[[], Sequence[Mapping[str, Any]]], unready: Callable[[], str | None]
    ) -> None:
        self._journal = journal
        self._integrations = integrations
        self._unready = unready

    async def integrations(self, _request: Request) -> Json:
        return Json({"integrations": list(self._integrations())})

    async def audit(self, request: Request) -> Json:
        """The newest lines, newest first; for the role admin only. That they were read is written down before they are shown."""
        principal = principal_of(request.scope)
        if ADMIN not in principal.roles:
            return problem_answer("not_permitted", f"{principal.id} may not read the audit; the role {ADMIN} may")
        try:
            limit, before = number(request.query_params, "limit", MOST_LINES) or LINES, number(request.query_params, "before", MAX_SEQ)
        except BadQuery as error:
            return problem_answer("bad_request", str(error))
        entries = await self._journal.read("audit", limit=limit, before=before)
        asked: dict[str, Any] = {"by": "GET /v1/audit", "limit": limit, "before": before, "lines": len(entries)}
        try:
            await record(self._journal, "audit.read", principal=principal, **asked)
        except AuditUnavailable as error:
            return problem_answer(error.code, str(error))
        return Json({"lines": [_line(entry) for entry in entries]})

    async def description(self, _request: Request) -> Json:
        return Json(description())

    async def health(self, _request: Request) -> Json:
        return Json({"alive": True})

    async def readiness(self, _request: Request) -> Json:
        reason = self._unready()
        return Json({"ready": reason is None, "reason": reason}, status_code=200 if reason is None else 503)


@cache
def description() -> Mapping[str, Any]:
    """The OpenAPI description of this face, with this program's version in it."""
    text = files("toolgate.api").joinpath("openapi.yaml").read_bytes()
    read: dict[str, Any] = documents.parse(text, name="openapi.yaml")
    return read | {"info": read["info"] | {"version": __version__}}


def _line(entry: Entry) -> dict[str, Any]:
    at = datetime.fromtimestamp(entry.at / 1e9, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"seq": entry.seq, "at": at, **entry.body}
