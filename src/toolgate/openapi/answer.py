"""An HTTP answer to an outcome: JSON, text or bytes as a caller can use them, and where the next page is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import orjson

from toolgate.calls import UNSET, Binary, Content, Outcome, Text, changed
from toolgate.egress.wire import Response
from toolgate.openapi import excerpt, failure, media, paging
from toolgate.openapi.operation import Plan

GOOD = Outcome()  # to make one from this costs a third of making it from nothing
LIMIT = 64 * 1024
"""Bytes of text, about 16,000 tokens: what a model can read and still think."""
AROUND = 8
"""Levels that an answer may come to be within, in those of our faces."""
BINARY_LIMIT = 2 * 1024 * 1024
"""Bytes of a file; a guess: clients take base64 of a few MB at most."""


def read(
    response: Response, *, plan: Plan, url: str, arguments: Mapping[str, Any], limit: int = LIMIT, now: float | None = None
) -> Outcome:
    """The outcome that `response` is.

    A text over `limit` is cut; the outcome then has no structured value, and a second text says what is missing and
    how to get it. `meta` holds the `status` and, where there is one, the arguments of the `next` page.

    Args:
        url: where the answer came from.
        arguments: of the call, for the next page's.
        limit: bytes of text shown.
        now: seconds since 1970, for answers that do not tell the time themselves.
    """
    if not 200 <= response.status < 300:
        return failure.read(response, plan, url=url, now=now)
    meta: dict[str, Any] = {"status": response.status}
    media_type = response.header("content-type") or ""
    if not response.body:
        place = _made(response)
        where = f" The Location that it names is {place}" if place else ""
        return Outcome((Text(f"{failure.status_line(response.status)}: done, and there is nothing to show.{where}"),), meta=meta)
    value = _json(response.body, media_type)
    content, structured = _content(value, response.body, media_type, plan, limit)
    following = paging.following(plan, response, value, url=url, arguments=arguments)
    if following is not None:
        meta["next"] = following
        content = (*content, Text(f"Next page: {media.dumps(following).decode()}"))
    return changed(GOOD, content=content, structured=structured, meta=meta)


def _made(response: Response) -> str:
    """The path of what was made, or of what tells how far it is (RFC 9110, 15.3.2 and 15.3.3); queries may hold signatures."""
    try:
        return urlsplit(response.header("location") or "").path if response.status in (201, 202) else ""
    except ValueError:
        return ""


def _content(value: Any, body: bytes, media_type: str, plan: Plan, limit: int) -> tuple[tuple[Content, ...], Any]:
    """What to show, and the structured value."""
    text = _compact(value)
    if text is not None and not (b"e+" in text and _rounded(media.decode(body, media_type))):
        if len(text) <= limit:
            return (Text(text.decode()),), value
        return _cut(excerpt.of_json(value, text, limit), plan), UNSET
    if _is_binary(body, media_type):
        if len(body) <= BINARY_LIMIT:
            return (Binary(body, media.essence(media_type) or "application/octet-stream"),), UNSET
        size = f"{len(body) / 1024 / 1024:.1f} MiB of {media.essence(media_type) or 'bytes'}"
        return (Text(f"The answer is {size}, more than the {BINARY_LIMIT // 1024 // 1024} MiB that are passed on."),), UNSET
    shown = media.decode(body, media_type)
    if len(shown.encode(errors="replace")) <= limit:
        return (Text(shown),), UNSET
    return _cut(excerpt.of_text(shown, limit), plan), UNSET


def _cut(shown: excerpt.Excerpt, plan: Plan) -> tuple[Content, ...]:
    size = plan.paging.size_argument if plan.paging is not None else None
    less = f"a smaller '{size}'" if size else "narrower arguments"
    return (Text(shown.text), Text(f"[Cut: this is {shown.kept}. Call again with {less} to see what is missing.]"))


def _json(body: bytes, media_type: str) -> Any:
    """The body as JSON, when it says it is or plainly is though it says something general; else UNSET."""
    if not _may_be_json(body, media_type):
        return UNSET
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    try:  # a byte order mark, or another charset
        return orjson.loads(media.decode(body, media_type))
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return UNSET


def _may_be_json(body: bytes, media_type: str) -> bool:
    kind = _kind(media_type)
    return kind == "json" or (kind in {"text", "other"} and body.lstrip()[:1] in {b"{", b"["})


@lru_cache(maxsize=64)  # each has at most 16 kB, and hardly any more than 50
def _kind(media_type: str) -> media.Kind:
    """What the media type tells; `application/octet-stream` is what servers say when they do not know."""
    return "other" if media.essence(media_type) in {"", "application/octet-stream"} else media.kind(media_type)


def _compact(value: Any) -> bytes | None:
    """The value as it is shown; None: there is none, or it is nested deeper than what is put around it could be written."""
    try:
        return None if value is UNSET else media.dumps([[[[[[[[value]]]]]]]])[AROUND:-AROUND]
    except media.Unfit:
        return None


def _rounded(text: str) -> bool:
    """Whether the JSON holds an integer past 64 bits: read as a float it would be another number."""
    integers: list[str] = []
    json.loads(text, parse_int=integers.append)
    return any(not -(2**63) <= int(digits[:21]) < 2**64 for digits in integers)


def _is_binary(body: bytes, media_type: str) -> bool:
    """By name; without a telling one, bytes are what is not UTF-8 or holds a NUL."""
    kind = _kind(media_type)
    if kind != "other" or media.charset(media_type):
        return kind == "binary"
    try:
        return "\x00" in body.decode()
    except UnicodeDecodeError:
        return True
