"""A path whose arguments can never change its structure.

An argument fills a place inside one segment and must stay there, whoever decodes the path and however often: a proxy
that decodes `%2e%2e` before routing, a WSGI server that decodes `%2F`, a framework behind it that decodes again.
Percent-encoding alone is therefore not enough. Each segment that holds an argument is looked at as built and after
every decoding, and is refused when

- it is `.`, `..` or nothing, also before a `;` (Tomcat drops what follows) or between spaces,
- it holds a backslash or a control character,
- it holds a slash, which would make two segments of one,
- it can still be decoded after ROUNDS decodings, which no honest text can.

Two kinds of parameter may hold slashes: a multi-segment one (`x-multi-segment`), whose slashes stay and whose every
piece obeys the rules above, and one declared `allowReserved`, whose slashes are sent as `%2F`: that is for APIs such as
GitLab's that want `group%2Fproject` as one segment.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote

from toolgate.openapi import style
from toolgate.openapi.media import Unfit
from toolgate.openapi.operation import ParameterPlan

ROUNDS = 4
"""Our own encoding and three more."""

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
LITERAL_SAFE = "/!$&'()*+,:;=@-._~%"

_plain = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._~-]+").fullmatch
_control = re.compile(r"[\x00-\x1f\x7f-\x9f]").search

Fill = Callable[[Any], str]


def fill(parameter: ParameterPlan) -> Fill:
    """How an argument becomes text of the path."""
    if parameter.multi_segment:
        return lambda value: "/".join(map(style.percent, style.spell(value).split("/")))
    if parameter.content_type is not None:
        media_type = parameter.content_type
        return lambda value: style.percent(style.content(media_type, value))
    encode = style.IN_PATH if parameter.allow_reserved else style.percent
    kind, explode = parameter.style, parameter.explode

    def text(value: Any) -> str:
        if kind == "simple" and not isinstance(value, (list, dict)):
            return encode(style.spell(value))
        return style.in_path(parameter.name, value, kind, explode=explode, encode=encode)

    return text


def literal(text: str) -> str:
    """Text of the description's own, made ASCII; percent-encoded triples stay."""
    return quote(text, safe=LITERAL_SAFE)


def check(text: str, *, slashes: bool) -> None:
    """
    Args:
        slashes: decoding may show some.

    Raises:
        Unfit: `text` would not stay one segment of a path.
    """
    if _plain(text):
        return
    for piece in text.split("/"):
        _stays(piece, slashes)


def _stays(segment: str, slashes: bool) -> None:
    for _ in range(ROUNDS + 1):
        if _control(segment) or "\\" in segment:
            raise Unfit("a path may not hold backslashes or control characters, encoded or not")
        pieces = segment.split("/")
        if len(pieces) > 1 and not slashes:
            raise Unfit("it must stay one segment of the path, so it may not hold a slash, encoded or not")
        if any(not piece.strip() or piece.partition(";")[0].strip() in {".", ".."} for piece in pieces):
            raise Unfit("a segment of the path may not be empty, '.' or '..', encoded or not")
        decoded = unquote(segment)
        if decoded == segment:
            return
        segment = decoded
    raise Unfit("it is percent-encoded too many times over")
