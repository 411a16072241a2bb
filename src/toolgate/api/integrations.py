"""Integrations over HTTP: what is served and how it does; for the role admin, what changes that."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request

from toolgate.api.answers import Json
from toolgate.api.operator import admin_of
from toolgate.api.query import BadQuery, body_of
from toolgate.audit.export import when
from toolgate.calls import Principal
from toolgate.errors import Misconfigured
from toolgate.openapi.adding import Source
from toolgate.openapi.load import Loaded
from toolgate.openapi.pin import is_url
from toolgate.policy.bounds import is_admin
from toolgate.roster import Roster
from toolgate.server.identify import principal_of
from toolgate.stores.trail import Asked, Sum, Trail

DAY = 24 * 60  # minutes
SHOWN = 200
"""Diagnostics and names that are shown."""
SEEN = 'the body is an object with one key, "digest": that of what you have seen, as refresh tells it'
SAID = frozenset({"name", "url", "document", "base_url", "expose"})


@dataclass
class Integrations:
    roster: Roster
    trail: Trail
    clock: Callable[[], float] = time.time

    async def many(self, request: Request) -> Json:
        """What is served. Whoever is no admin hears of integrations as of tools: of those that they see tools of, and only of these."""
        principal = principal_of(request.scope)
        every = self.roster.status(principal)
        return Json({"integrations": list(every) if is_admin(principal) else [_outline(each) for each in every if each["visible"]]})

    async def one(self, request: Request) -> Json:
        """How an integration does: calls of the last day, the last error, what is used of the other side's own limits."""
        with by_admin(request) as principal:
            loaded = self.roster.find(request.path_params["name"])
        [status] = [each for each in self.roster.status(principal) if each["name"] == loaded.name]
        behind, now = await self.trail.follow(), int(self.clock() // 60)
        day = (await self.trail.sums_by("integration", since=now - DAY)).get(loaded.name, Sum())
        return Json(
            {
                **status,
                "behind": behind,
                "day": {"calls": day.calls, "failed": day.failed, "p50": day.p50, "p95": day.p95},
                "last_error": await self._last_error(loaded),
                "limits": [await self._limit(loaded, rate, now) for rate in (loaded.declaration.rates if loaded.declaration else ())],
                "diagnostics": [asdict(each) for each in loaded.diagnostics[:SHOWN]],
                "kept_back": [each.name for each in loaded.quarantined[:SHOWN]],
            }
        )

    async def test(self, request: Request) -> Json:
        with by_admin(request):
            return Json(asdict(await self.roster.test(request.path_params["name"])))

    async def refresh(self, request: Request) -> Json:
        """What is defined now other than it is served; nothing changes by looking."""
        with by_admin(request):
            found, digest = await self.roster.refresh(request.path_params["name"])
        return Json({"differences": [asdict(each) for each in found[:SHOWN]], "total": len(found), "digest": digest})

    async def accept(self, request: Request) -> Json:
        with by_admin(request) as who:
            seen = await body_of(request, SEEN, {"digest": str})
            return Json(asdict(await self.roster.accept(request.path_params["name"], seen["digest"], who)))

    async def look(self, request: Request) -> Json:
        """What adding a description would make, and what had to be repaired or left out."""
        with by_admin(request), source_in(json.loads(await request.body())) as source:
            return Json(_made(await self.roster.look(source)))

    async def add(self, request: Request) -> Json:
        with by_admin(request) as who, source_in(json.loads(await request.body())) as source:
            return Json(_made(await self.roster.add(source, who)))

    async def switch(self, request: Request, *, on: bool) -> Json:
        with by_admin(request) as who:
            await self.roster.switch(request.path_params["name"], on, who)
        return Json({"enabled": on})

    async def _last_error(self, loaded: Loaded) -> Mapping[str, Any] | None:
        prefix = loaded.declaration.tool_prefix if loaded.declaration else ""
        last = await self.trail.newest(Asked(tool=f"{prefix}*", ending="failed"))
        if last is None or last.body.get("tool", {}).get("integration") != loaded.name:
            return None
        body = last.body
        return {"at": when(last.at), "tool": body["tool"]["name"], "code": body.get("result", {}).get("code"), "call": body["call"]}

    async def _limit(self, loaded: Loaded, rate: Any, now: int) -> Mapping[str, Any]:
        minutes = max(1, int(rate.per // 60))
        used = (await self.trail.sums_by("integration", since=now - minutes + 1)).get(loaded.name, Sum())
        return {"calls": rate.calls, "seconds": rate.per, "used": used.calls - used.refused}


@contextmanager
def by_admin(request: Request) -> Iterator[Principal]:
    """Who asks, of the role admin; what the roster says cannot be meant is a bad request.

    Raises:
        NotPermitted: it is somebody else.
    """
    principal = admin_of(request, "do that with integrations", changes=request.method == "POST")
    try:
        yield principal
    except Misconfigured as error:
        raise BadQuery(str(error)) from None


def _made(loaded: Loaded) -> Mapping[str, Any]:
    return {
        "name": loaded.name,
        "tools": [{"name": each.name, "description": each.description, "request": each.key} for each in loaded.definitions],
        "diagnostics": [asdict(each) for each in loaded.diagnostics[:SHOWN]],
    }


def _outline(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """What callers may know: no number of tools that they do not see, and nothing of the operator's files and machines."""
    unserved = None if status["problem"] is None else "it is not served as it should be; the operator of this server can see why"
    return {**status, "tools": status["visible"], "absent": {}, "quarantined": 0, "problem": unserved}


@contextmanager
def source_in(body: Any) -> Iterator[Source]:
    """The description that a body names or holds.

    Neither credentials nor addresses that are not public: whoever may use this page need not be the operator of the machine,
    and `${VARIABLE}` in a file of the operator's stands for a secret of that machine.

    Raises:
        BadQuery: it says something else.
    """
    values = body if isinstance(body, dict) else {}
    texts = all(isinstance(value, str) for value in values.values())
    if not texts or not values.keys() <= SAID or "name" not in values or ("url" in values) == ("document" in values):
        raise BadQuery(f"the body is an object of texts: name, url or document, and perhaps base_url and expose; not {sorted(values)[:8]}")
    if any("${" in value for name, value in values.items() if name != "document"):
        raise BadQuery("${…} stands for the operator's own variables and is only for files on the server")
    expose = values.get("expose", "list")
    if expose not in ("list", "search"):
        raise BadQuery("expose is list or search")
    if (url := values.get("url")) is not None:
        if not is_url(url):
            raise BadQuery("url is where the description is, by https")
        yield Source(values["name"], url, values.get("base_url") or None, expose=expose)
        return
    document = values["document"]
    with tempfile.TemporaryDirectory(prefix="toolgate-") as folder:
        file = Path(folder) / ("openapi.json" if document.lstrip().startswith("{") else "openapi.yaml")
        file.write_text(document, encoding="utf-8")
        yield Source(values["name"], str(file), values.get("base_url") or None, expose=expose)
