"""An answer that is no success, told so that a model can act on it: what was said, what it means, when to come back."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

import orjson

from toolgate.calls import Outcome, Problem
from toolgate.egress.wire import Response
from toolgate.errors import UpstreamFailed
from toolgate.openapi import media
from toolgate.openapi.hints import SAFE
from toolgate.openapi.operation import Plan
from toolgate.times import http_date, retry_after

UNTOUCHED = frozenset({304, 307, 308})
"""Redirections that say nothing was done (RFC 9110, 15.4); after others a write may have been."""
LIMIT = 1500
"""Characters of the other side's own words; a guess: a screenful."""
DEPTH = 8
ITEMS = 10
"""Errors quoted of a list of them."""
EPOCH = 1_000_000_000
"""A reset time from here on is seconds since 1970 (as GitHub's), below it seconds from now (as the IETF draft's)."""

WORDS = (
    *("message", "title", "detail", "error_description", "error_message", "errorMessage", "msg", "reason", "description"),
    *("errorMessages", "error", "errors", "details", "invalid-params", "invalidParams", "violations", "fault", "faultstring"),
)
"""Members that hold what went wrong: RFC 9457, GitHub, JSON:API, OAuth, Google, api.data.gov, FastAPI, Jira, SOAP-minded ones."""
PLACES = ("field", "loc", "pointer", "parameter", "property", "name", "source", "path")
CODES = ("code", "errorCode")

TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})<", re.IGNORECASE)
BLANK = re.compile(r"[\s\x00-\x1f\x7f]+")


def read(response: Response, plan: Plan, *, url: str, now: float | None = None) -> Outcome:
    """The outcome of an answer outside 2xx.

    Args:
        url: where it came from.
        now: seconds since 1970, for answers that do not tell the time themselves.
    """
    retry_after = wait(response, now)
    sentences = [f"{plan.method} {plan.path} was answered with {status_line(response.status)}", *_meaning(response, plan, url, retry_after)]
    said = complaint(response)
    if said:
        sentences[0] += f": {said.removesuffix('.')}"
    problem = Problem(UpstreamFailed.code, ". ".join([*sentences, ""]).strip(), retry_after, {"status": response.status})
    return Outcome(problem=problem, effect=_effect(response.status, plan.method), meta={"status": response.status})


def status_line(status: int) -> str:
    """`404 Not Found`; the number alone when it has no name."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def complaint(response: Response) -> str:
    """What the answer's body says went wrong, on one line; empty when it says nothing readable."""
    media_type = response.header("content-type") or ""
    kind = media.kind(media_type)
    if kind == "binary" or not response.body:
        return ""
    text = media.decode(response.body, media_type)
    try:
        said = "; ".join(dict.fromkeys(_said(orjson.loads(text)))) or text
    except orjson.JSONDecodeError:
        if kind == "other" and "\x00" in text:
            return ""
        title = TITLE.search(text)
        page = text.lstrip()[:1] == "<"
        said = html.unescape(title[1]) if title else "" if page and "html" in text[:500].lower() else text
    said = BLANK.sub(" ", said[: 4 * LIMIT]).strip()
    return said if len(said) <= LIMIT else f"{said[:LIMIT].rstrip()}…"


def wait(response: Response, now: float | None = None) -> float | None:
    """Seconds until it makes sense to try again, as far as the answer tells."""
    clock = http_date(response.header("date")) or now
    if (seconds := retry_after(response.header("retry-after"), clock)) is not None:
        return seconds
    for prefix in ("x-ratelimit", "ratelimit", "x-rate-limit"):
        reset = (response.header(f"{prefix}-reset") or "").strip()
        if (response.header(f"{prefix}-remaining") or "").strip() != "0" or not re.fullmatch(r"\d{1,12}(\.\d+)?", reset):
            continue
        seconds = float(reset)
        if seconds < EPOCH:
            return seconds
        return None if clock is None else max(0.0, seconds - clock)
    return None


def _meaning(response: Response, plan: Plan, url: str, retry_after: float | None) -> Iterator[str]:
    """What follows from the status for whoever called."""
    status = response.status
    if status == 401:
        yield "The integration's credential is missing or was not accepted; the caller cannot mend that"
    if 300 <= status < 400 and (location := response.header("location")):
        yield f"It points to {_host(url, location)}, and redirections are not followed"
    if retry_after is not None:
        yield f"Try again in {math.ceil(retry_after)} s"
    if _effect(status, plan.method) == "unknown":
        yield "Whether anything was changed is not known: look before repeating the call"


def _effect(status: int, method: str) -> Literal["none", "unknown"]:
    if method in SAFE or 400 <= status < 500 or status in UNTOUCHED:
        return "none"
    return "unknown"


def _host(url: str, location: str) -> str:
    """A redirection's host and nothing else: paths and queries of redirections hold signatures."""
    try:
        return urlsplit(urljoin(url, location)).hostname or "somewhere else"
    except ValueError:
        return "somewhere else"


def _said(value: Any, depth: int = 0) -> Iterator[str]:
    """The sentences in an error of any of the usual shapes, each with its place and code where they are given."""
    if depth > DEPTH:
        return
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, list):
        for item in value[:ITEMS]:
            yield from _said(item, depth + 1)
        if len(value) > ITEMS:
            yield f"and {len(value) - ITEMS} more"
    elif isinstance(value, dict):
        words = [word for name in WORDS if value.get(name) for word in _said(value[name], depth + 1)]
        if not words:
            yield from _as_json(value)
            return
        place = next((text for name in PLACES if (text := _place(value.get(name)))), "")
        codes = [value[name] for name in CODES if isinstance(value.get(name), str) and value[name] not in words[0]]
        yield f"{place}: {words[0]}" if place and place not in words[0] else words[0]
        yield from words[1:]
        yield from codes
    elif value is not None and not isinstance(value, bool):
        yield from _as_json(value)


def _as_json(value: Any) -> Iterator[str]:
    try:
        yield media.dumps(value).decode()
    except media.Unfit:
        return


def _place(value: Any) -> str:
    if isinstance(value, dict):
        return next((text for name in PLACES if isinstance(text := value.get(name), str)), "")
    if isinstance(value, list):
        return ".".join(str(part) for part in value)
    return value if isinstance(value, str) else ""
