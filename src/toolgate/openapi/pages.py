"""How the next page of a list is asked for, as far as the description tells; `paging.py` does the asking."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from toolgate.openapi.lift import Lifter
from toolgate.openapi.operation import Answer, Operation, Paging, ParameterPlan
from toolgate.pointer import join

CURSORS = frozenset(
    {"continuationtoken", "cursor", "marker", "nextcursor", "nextpagetoken", "nexttoken", "pagecursor", "pagetoken", "startingtoken"}
)
NEXT_CURSORS = frozenset({"continuationtoken", "cursornext", "nextcursor", "nextmarker", "nextpagecursor", "nextpagetoken", "nexttoken"})
NEXT_LINKS = frozenset({"next", "nextlink", "nextpage", "nextpagelink", "nextpageurl", "nexturl", "odatanextlink"})
OFFSETS = frozenset({"from", "offset", "pageoffset", "skip", "start", "startindex"})
PAGES = frozenset({"currentpage", "page", "pageindex", "pageno", "pagenum", "pagenumber"})
SIZES = frozenset({"count", "itemsperpage", "limit", "maxitems", "maxresults", "pagelimit", "pagesize", "perpage", "rows", "size", "top"})
"""Names of parameters and properties, in lower case, letters only."""
LEVELS = 3  # how deep in an answer a next cursor is looked for; real ones stand at the top, in `meta` or `links`
MAX_PROPERTIES = 200  # looked at in one answer


def pages(operation: Operation, plans: Sequence[ParameterPlan], schemas: Mapping[str, Any], lifter: Lifter) -> Paging | None:
    """How to go on, or None when the operation does not say that it has pages.

    Args:
        plans: the parameters that go onto the wire.
        schemas: the arguments' schemas.
    """
    if operation.method not in {"GET", "QUERY"}:
        return None
    asked = {_word(plan.name): plan.argument for plan in plans if plan.argument is not None and plan.location == "query"}
    cursor, page, offset, size = (_first(asked, words) for words in (CURSORS, PAGES, OFFSETS, SIZES))
    answers = [answer for answer in operation.answers if answer.status.startswith("2")]
    if any("link" in answer.headers for answer in answers):
        return Paging("link", argument=page or cursor, size_argument=size)
    if cursor is not None and (field := _field(answers, NEXT_CURSORS | NEXT_LINKS, lifter)):
        return Paging("cursor", argument=cursor, size_argument=size, field=field)
    if page is not None:
        return Paging("page", argument=page, size_argument=size, first=_default(schemas, page), size=_default(schemas, size))
    if offset is not None and size is not None:
        # SAM.gov calls the number of a page `offset`; `x-mcp: {paging: page}` says so.
        kind: Literal["page", "offset"] = "page" if operation.extensions.get("paging") == "page" else "offset"
        return Paging(kind, argument=offset, size_argument=size, first=_default(schemas, offset), size=_default(schemas, size))
    return None


def _word(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _first(asked: Mapping[str, str], words: frozenset[str]) -> str | None:
    return next((argument for word, argument in asked.items() if word in words), None)


def _default(schemas: Mapping[str, Any], argument: str | None) -> int | None:
    schema = schemas.get(argument or "")
    default = schema.get("default") if isinstance(schema, dict) else None
    if isinstance(default, str) and re.fullmatch("[0-9]{1,9}", default):  # of a parameter that is a text
        return int(default)
    return default if isinstance(default, int) and not isinstance(default, bool) else None


def _field(answers: Sequence[Answer], words: frozenset[str], lifter: Lifter) -> str | None:
    """Where in an answer a property of such a name stands, the nearest to the top."""
    found = [
        pointer
        for answer in answers
        for media in answer.content
        if "json" in media.media_type
        for name, pointer in _properties(media.schema, lifter)
        if _word(name) in words
    ]
    return min(found, key=lambda pointer: pointer.count("/"), default=None)


def _properties(schema: Any, lifter: Lifter) -> Iterator[tuple[str, str]]:
    """The properties of an answer, by name and JSON pointer, level by level."""
    level = [(schema, "")]
    seen = 0
    for _ in range(LEVELS):
        following = []
        for node, pointer in level:
            target = lifter.resolver.peek(node)
            properties = target.get("properties") if isinstance(target, dict) else None
            for name, item in properties.items() if isinstance(properties, dict) else ():
                seen += 1
                if seen > MAX_PROPERTIES:
                    return
                yield str(name), join(pointer, str(name))
                following.append((item, join(pointer, str(name))))
        level = following
