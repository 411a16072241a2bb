"""Two ways to search the web, as requests and answers, and their results as one list. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from toolgate.backends import WebSearch
from toolgate.egress.wire import Request

GOOGLE = "https://customsearch.googleapis.com"
GOOGLE_MOST = 10
"""Results a request (Custom Search JSON API, `num`)."""
RESTRICTED = {"day": "d1", "week": "w1", "month": "m1", "year": "y1"}
"""Google's `dateRestrict`; SearXNG's `time_range` has our words."""
SNIPPET, TITLE = 400, 200
"""Characters that a model gets of each result."""
TRACKING = re.compile(r"^(utm_\w+|gclid|fbclid|msclkid|mc_[ce]id|ref|ref_src)$")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
EVEN = 60
"""The k of reciprocal rank fusion, its usual value (Cormack, Clarke, Büttcher, SIGIR 2009)."""


@dataclass(frozen=True, slots=True)
class Query:
    text: str
    limit: int
    site: str | None = None
    freshness: str | None = None
    """`day`, `week`, `month` or `year`."""
    language: str | None = None
    """Two letters."""


@dataclass(frozen=True, slots=True)
class Result:
    url: str
    title: str
    snippet: str
    published: str | None = None
    """As the engine says it."""
    engines: tuple[str, ...] = ()
    """Who found it."""


class Odd(Exception):
    """The answer is not what such an engine says."""


def request(backend: WebSearch, query: Query) -> Request:
    text = f"site:{query.site} {query.text}" if query.site else query.text
    if backend.kind == "searxng":
        asked = {"q": text, "format": "json", "time_range": query.freshness, "language": query.language}
        assert backend.url is not None
        return Request("GET", f"{backend.url.rstrip('/')}/search?{_encoded(asked)}", (("Accept", "application/json"),))
    asked = {
        "cx": backend.engine,
        "q": text,
        "num": str(min(query.limit, GOOGLE_MOST)),
        "dateRestrict": RESTRICTED.get(query.freshness or ""),
        "lr": f"lang_{query.language}" if query.language else None,
    }
    key = backend.key.get_secret_value() if backend.key else ""
    url = f"{(backend.url or GOOGLE).rstrip('/')}/customsearch/v1?{_encoded(asked)}"
    return Request("GET", url, (("Accept", "application/json"), ("X-Goog-Api-Key", key)))


def results(backend: WebSearch, answer: Any) -> list[Result]:
    """
    Raises:
        Odd: it has another shape.
    """
    if not isinstance(answer, Mapping):
        raise Odd
    found = answer.get("results" if backend.kind == "searxng" else "items", () if backend.kind == "google" else None)
    if not isinstance(found, (list, tuple)):
        raise Odd
    read = _searxng if backend.kind == "searxng" else _google
    return [one for each in found if isinstance(each, Mapping) and (one := read(each)).url.startswith(("http://", "https://"))]


def reason(backend: WebSearch, status: int, answer: Any) -> str:
    """What a bad answer says of itself, in a sentence that holds no secret."""
    if backend.kind == "searxng" and status == 403:
        return "it does not answer in JSON; add `json` to `search.formats` in its settings.yml"
    error = answer.get("error") if isinstance(answer, Mapping) else None
    said = error.get("status") if isinstance(error, Mapping) else None
    return f"it answered {status}{f', {said}' if isinstance(said, str) and said.isascii() else ''}"


def one_list(lists: Iterable[Sequence[Result]], limit: int) -> list[Result]:
    """The best of several lists: what stands high, and in several, comes first; the same page only once."""
    scores: dict[str, float] = {}
    kept: dict[str, Result] = {}
    for ranked in lists:
        seen: set[str] = set()
        for rank, result in enumerate(ranked):
            page = same(result.url)
            if page in seen:
                continue
            seen.add(page)
            scores[page] = scores.get(page, 0.0) + 1 / (EVEN + rank)
            if (before := kept.get(page)) is None:
                kept[page] = result
            else:
                snippet = max(before.snippet, result.snippet, key=len)
                kept[page] = replace(before, snippet=snippet, engines=tuple(dict.fromkeys((*before.engines, *result.engines))))
    return [kept[page] for page in sorted(scores, key=lambda page: -scores[page])[:limit]]


def same(url: str) -> str:
    """Equal for URLs of one page: without scheme, `www.`, a trailing slash, fragment, and parameters that only track."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
    except ValueError:
        return url
    query = urlencode(sorted((key, value) for key, value in parse_qsl(parts.query, keep_blank_values=True) if not TRACKING.match(key)))
    return f"{host}{port}{parts.path.rstrip('/')}?{query}"


def _searxng(result: Mapping[str, Any]) -> Result:
    engines = result.get("engines")
    named = tuple(f"searxng:{_clean(one, 40)}" for one in engines if isinstance(one, str)) if isinstance(engines, list) else ("searxng",)
    published = result.get("publishedDate")
    return Result(
        _text(result.get("url")),
        _clean(_text(result.get("title")), TITLE),
        _clean(_text(result.get("content")), SNIPPET),
        _clean(published, 40) if isinstance(published, str) else None,
        named,
    )


def _google(item: Mapping[str, Any]) -> Result:
    return Result(
        _text(item.get("link")), _clean(_text(item.get("title")), TITLE), _clean(_text(item.get("snippet")), SNIPPET), None, ("google",)
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _clean(text: str, most: int) -> str:
    words = " ".join(CONTROL.sub(" ", text).split())
    return words if len(words) <= most else f"{words[: most - 1].rsplit(' ', 1)[0]}…"


def _encoded(values: Mapping[str, str | None]) -> str:
    return urlencode({key: value for key, value in values.items() if value is not None}, quote_via=quote)
