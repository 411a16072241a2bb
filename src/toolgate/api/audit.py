"""The audit over HTTP, for the role admin: what happened, whether that is still what was written, and all of it to keep.

Whoever reads it is written down before anything is shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import fields
from typing import Any, cast

from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from toolgate.api.answers import Json
from toolgate.api.operator import admin_of
from toolgate.api.query import BadQuery, choice, number
from toolgate.audit.export import Format, exported, nanoseconds, plain
from toolgate.audit.line import line
from toolgate.errors import Misconfigured
from toolgate.gateway.audit import record
from toolgate.stores import Journal
from toolgate.stores.book import Book
from toolgate.stores.trail import Asked, Trail

LINES, MOST_LINES = 100, 1000
MAX_SEQ = 2**63 - 1
FORMATS = ("jsonl", "ocsf", "cloudevents")


Found = tuple[Response, Mapping[str, Any]]
"""An answer, and what is to be written down of it."""


class Audited:
    def __init__(self, journal: Journal, trail: Trail, book: Book) -> None:
        self._journal = journal
        self._trail = trail
        self._book = book

    async def many(self, request: Request) -> Response:
        """The newest lines that were asked for, newest first."""
        query = request.query_params
        limit, before = number(query, "limit", MOST_LINES) or LINES, number(query, "before", MAX_SEQ)
        said = {each.name: query[each.name] for each in fields(Asked) if each.name in query}
        asked = Asked(**{name: moment(text, name) if name in ("since", "until") else text for name, text in said.items()})  # type: ignore[arg-type]

        async def found() -> Found:
            if not said:
                entries, behind = await self._journal.read("audit", limit=limit, before=before), 0
            else:
                behind = await self._trail.follow()
                numbers = await self._trail.find(asked, limit=limit, before=before)
                entries = sorted(await self._journal.lines(numbers), key=lambda entry: -entry.seq)
            lines = [plain(each.seq, each.at, each.body) for each in entries]
            return Json({"lines": lines, "behind": behind}), {"lines": len(lines)}

        return await self._told(request, found, limit=limit, before=before, **({"asked": said} if said else {}))

    async def verify(self, request: Request) -> Response:
        """Hold every record against the chain and the checkpoints: seconds for a million."""

        async def found() -> Found:
            report = await self._book.verify()
            flaw = None if report.flaw is None else {"seq": report.flaw.seq, "sentence": report.flaw.sentence}
            return Json({"intact": report.records, "signed": report.signed, "elsewhere": report.elsewhere, "flaw": flaw}), {
                "intact": report.records
            }

        return await self._told(request, found)

    async def export(self, request: Request) -> Response:
        """All lines, oldest first, one JSON object each."""
        form = cast("Format", choice(request.query_params, "format", "jsonl", FORMATS))
        since = moment(request.query_params["since"], "since") if "since" in request.query_params else 0

        async def found() -> Found:
            entries = self._book.records(since)
            lines = (f"{line(exported(each.seq, each.at, each.body, form, self._book.name))}\n" for each in entries)
            name = f"audit.{'jsonl' if form == 'jsonl' else f'{form}.jsonl'}"
            headers = {"content-disposition": f'attachment; filename="{name}"'}
            return StreamingResponse(iterate_in_threadpool(lines), media_type="application/x-ndjson", headers=headers), {}

        return await self._told(request, found, format=form)

    async def _told(self, request: Request, found: Callable[[], Awaitable[Found]], **asked: Any) -> Response:
        """What `found` answers, for the role admin, once it is written down who asked for what."""
        principal = admin_of(request, "read the audit")
        try:
            answer, told = await found()
            await record(self._journal, "audit.read", principal=principal, by=f"{request.method} {request.url.path}", **asked, **told)
        except Misconfigured as error:  # nothing is kept that could be checked
            raise BadQuery(str(error)) from None
        return answer


def moment(text: str, name: str) -> int:
    """A day or a moment of ISO 8601, UTC where it says nothing else, in nanoseconds since 1970.

    Raises:
        BadQuery: it is none.
    """
    try:
        return nanoseconds(text)
    except ValueError as error:
        raise BadQuery(f"{name} is {error}") from None
