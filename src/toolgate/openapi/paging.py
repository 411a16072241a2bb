"""Where the next page is, as the arguments of the call that gets it.

A link the other side gives is believed first, and only to its own origin. Its query is read back into arguments by the
plan's names on the wire, so that whatever else it holds, our credentials included, stays out of them. A link that
names something the plan does not know leads nowhere: following it half would get the same page for ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard
from urllib.parse import parse_qsl, urljoin, urlsplit

from toolgate.egress.origin import origin_of
from toolgate.egress.wire import Response
from toolgate.errors import EgressBlocked
from toolgate.openapi.operation import Paging, ParameterPlan, Plan
from toolgate.openapi.style import DELIMITERS, spell
from toolgate.pointer import at

LINK = re.compile(r'<([^<>]*+)>((?:[^",<]|"(?:[^"\\]|\\.)*+")*+)')
"""One link and its parameters (RFC 8288, section 3), whatever stands between quotes. No `<` is in an address (RFC 3986, 2)."""
PARAMETER = re.compile(r';\s*([^\s=;,"]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*+)"|([^\s;,"]*)))?')
ESCAPE = re.compile(r"\\(.)")
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,15}")
TOTALS = (
    "total_count",
    "totalCount",
    "total",
    "totalRecords",
    "total_records",
    "totalElements",
    "totalItems",
    "total_items",
    "totalResults",
)


class Unreadable(ValueError):
    """A link's query does not say what the plan's parameters can hold."""


def following(plan: Plan, response: Response, value: Any, *, url: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """All arguments of the next page's call; None: this is the last page, or nobody can tell.

    Args:
        value: the answer as JSON, or UNSET.
        url: where the answer came from.
        arguments: the call's.
    """
    linked = next_link(response)
    found: dict[str, Any] | None = None
    if linked is not None:
        found = read_back(plan, linked, url=url, arguments=arguments)
    elif plan.paging is not None and plan.paging.kind == "cursor":
        found = _by_cursor(plan, plan.paging, value, url, arguments)
    elif plan.paging is not None and plan.paging.kind in {"offset", "page"}:
        found = _by_count(plan, plan.paging, value, arguments)
    return None if found == arguments else found


def next_link(response: Response) -> str | None:
    """The target of the first `Link` whose relation is `next` (RFC 8288)."""
    for name, value in response.headers:
        if name.lower() != "link":
            continue
        for link in LINK.finditer(value):
            parameters = dict(reversed([_parameter(found) for found in PARAMETER.finditer(link[2])]))  # of two, the first counts
            if "next" in parameters.get("rel", "").lower().split() and "anchor" not in parameters:
                return link[1].strip()
    return None


def read_back(plan: Plan, link: str, *, url: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The arguments that make `link` of the plan; None: it leads elsewhere, or cannot be made."""
    try:
        target = urljoin(url, link)
        if origin_of(target) != origin_of(url):
            return None
        given = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        ours = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
        return dict(_merged(plan, given, ours, arguments))
    except (EgressBlocked, ValueError):
        return None


def _parameter(found: re.Match[str]) -> tuple[str, str]:
    return found[1].lower(), ESCAPE.sub(r"\1", found[2]) if found[2] is not None else found[3] or ""


def _merged(plan: Plan, given: Sequence[tuple[str, str]], ours: set[str], arguments: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every argument with its value on the next page: the query's from the link, the others as they were."""
    read: dict[str, Any] = {}
    dropped: set[str] = set()
    known = ours | {key.name for key in plan.keys}
    for parameter in plan.parameters:
        if parameter.location != "query" or parameter.argument is None:
            continue
        names, value = _value(parameter, given, arguments.get(parameter.argument))
        known |= names
        if value is not None:
            read[parameter.argument] = value
        elif parameter.name in ours and not parameter.required:
            dropped.add(parameter.argument)
    if not {name for name, _ in given} <= known:
        raise Unreadable
    yield from ((key, read.pop(key, value)) for key, value in arguments.items() if key not in dropped)
    yield from read.items()


def _value(parameter: ParameterPlan, given: Sequence[tuple[str, str]], before: Any) -> tuple[set[str], Any]:
    """The names that belong to the parameter and what they say; None: nothing."""
    if parameter.style == "deepObject":
        members = [(name, text) for name, text in given if name.startswith(f"{parameter.name}[") and name.endswith("]")]
        earlier = before if isinstance(before, dict) else {}
        keys = [(name[len(parameter.name) + 1 : -1], text) for name, text in members]
        if any("[" in key for key, _ in keys):
            return {name for name, _ in members}, None
        return {name for name, _ in members}, {key: restored(text, None, earlier.get(key)) for key, text in keys} or None
    texts = [text for name, text in given if name == parameter.name]
    if not texts:
        return {parameter.name}, None
    if parameter.type == "array" or isinstance(before, list) or len(texts) > 1:
        if not parameter.explode:
            between = DELIMITERS.get(parameter.style, ",")
            if isinstance(before, list) and texts == [between.join(map(spell, before))]:
                return {parameter.name}, before  # an item may hold the delimiter itself
            texts = [part for text in texts for part in text.split(between)]
        sample = before[0] if isinstance(before, list) and before else ""
        return {parameter.name}, [restored(text, None, sample) for text in texts]
    return {parameter.name}, restored(texts[0], parameter.type, before)


def restored(text: str, kind: str | None, before: Any) -> Any:
    """A query's text as the type that the schema names, that the argument had, or that it looks like."""
    if kind == "string" or (kind is None and isinstance(before, str)):
        return text
    if kind == "boolean" or (kind is None and isinstance(before, bool)):
        if text not in {"true", "false"}:
            raise Unreadable
        return text == "true"
    if WHOLE.fullmatch(text):
        return int(text)
    if kind == "number" or (kind is None and isinstance(before, float)):
        return float(text)
    if kind == "integer" or (kind is None and isinstance(before, int)):
        raise Unreadable
    return text


def _by_cursor(plan: Plan, paging: Paging, value: Any, url: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    cursor = at(value, paging.field or "")
    if not isinstance(cursor, (str, int)) or isinstance(cursor, bool) or cursor == "":
        return None
    # A link without a query would say nothing of the next page, and a cursor in base64 may begin with a slash.
    if isinstance(cursor, str) and (cursor.startswith(("https://", "http://")) or (cursor[0] in "/?" and "?" in cursor)):
        return read_back(plan, cursor, url=url, arguments=arguments)
    if paging.argument is None:
        return None
    return {**arguments, paging.argument: str(cursor) if _takes_text(plan, paging.argument) else cursor}


def _takes_text(plan: Plan, argument: str | None) -> bool:
    return any(parameter.argument == argument and parameter.type == "string" for parameter in plan.parameters)


def _by_count(plan: Plan, paging: Paging, value: Any, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The next page or offset, as long as this page was full and did not reach a total that the answer tells."""
    first = paging.first if paging.first is not None else 1 if paging.kind == "page" else 0
    at = _number(plan, arguments, paging.argument, first)
    size = _number(plan, arguments, paging.size_argument, paging.size)
    count = _count(value)
    if paging.argument is None or not _whole(at) or not count:
        return None
    if _whole(size) and count < size:
        return None
    passed = (at - first + 1) * (size if _whole(size) else count) if paging.kind == "page" else at - first + count
    total = _total(value)
    if total is not None and passed >= total:
        return None
    following = at + (1 if paging.kind == "page" else count)
    return {**arguments, paging.argument: str(following) if _takes_text(plan, paging.argument) else following}


def _number(plan: Plan, arguments: Mapping[str, Any], argument: str | None, otherwise: int | None) -> Any:
    """What the argument says, as a number where it is a text that holds one."""
    value = arguments.get(argument or "", otherwise)
    return int(value) if isinstance(value, str) and WHOLE.fullmatch(value) and _takes_text(plan, argument) else value


def _whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _count(value: Any) -> int:
    """The items of the longest list in `value`, itself or one or two objects down."""
    if isinstance(value, list):
        return len(value)
    if not isinstance(value, dict):
        return 0
    members = [item for outer in value.values() for item in (outer, *(outer.values() if isinstance(outer, dict) else ()))]
    return max((len(item) for item in members if isinstance(item, list)), default=0)


def _total(value: Any) -> int | None:
    """How many items there are on all pages, where the answer tells under a usual name."""
    if not isinstance(value, dict):
        return None
    for place in (value, *(item for item in value.values() if isinstance(item, dict))):
        for name in TOTALS:
            if _whole(total := place.get(name)):
                return total
    return None
