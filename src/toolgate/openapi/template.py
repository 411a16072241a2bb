"""Path templates as people write them, brought to the one form that execution knows: `/a/{name}`.

Besides OpenAPI's `{name}` there are RFC 6570's `{+name}` and `{?a,b}`, the routers' `{name?}`, `{name+}`, `{name*}`, `{name:.*}`
and `{name:[0-9]+}`, google.api.http's `{name=projects/*}`, and query strings inside the template: `/{group}?search={word}`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote_plus

PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
# After the colon of a router's placeholder: any number of segments.
ANY_SEGMENTS = frozenset({".*", ".+", "path", "**", "*"})


@dataclass(frozen=True, slots=True)
class QueryPiece:
    """A piece of a query string that stands in a template."""

    name: str
    """On the wire."""
    placeholder: str | None = None
    """The parameter that fills it; None: `value` is always sent."""
    value: str = ""
    required: bool = True


@dataclass(frozen=True, slots=True)
class Template:
    """A path template in its plain form."""

    path: str
    """`/a/{name}`, without a query string."""
    names: tuple[str, ...] = ()
    """Of its placeholders, in order, each once."""
    multi_segment: frozenset[str] = frozenset()
    """Those whose slashes stay."""
    query: tuple[QueryPiece, ...] = ()
    written_query: str = ""
    """As it stood after the question mark."""


def template(written: str, declared: frozenset[str] = frozenset()) -> Template:
    """The template that `written` means.

    Args:
        declared: names of declared parameters: a placeholder that is exactly one of them is taken literally.
    """
    written = written.strip().partition("#")[0]
    path, query = _split(written)
    names: dict[str, None] = {}
    multi: set[str] = set()
    pieces: list[QueryPiece] = []

    def plain(match: re.Match[str]) -> str:
        inner = match[1]
        if inner not in declared and inner[:1] in ("?", "&"):
            pieces.extend(QueryPiece(name.rstrip("*"), name.rstrip("*"), required=False) for name in inner[1:].split(",") if name)
            return ""
        name, many = (inner, False) if inner in declared else _placeholder(inner)
        if not name:
            return match[0]
        names[name] = None
        if many:
            multi.add(name)
        return "{" + name + "}"

    path = PLACEHOLDER.sub(plain, path)
    pieces += _query(query)
    return Template(path if path.startswith("/") else f"/{path}", tuple(names), frozenset(multi), tuple(pieces), query)


def _split(written: str) -> tuple[str, str]:
    """At the first question mark outside braces."""
    depth = 0
    for index, character in enumerate(written):
        depth += (character == "{") - (character == "}")
        if character == "?" and depth <= 0:
            return written[:index], written[index + 1 :]
    return written, ""


def _placeholder(inner: str) -> tuple[str, bool]:
    name, colon, pattern = inner.partition(":")
    if colon and name:
        return name.strip(), pattern in ANY_SEGMENTS
    name, equals, pattern = inner.partition("=")
    if equals and name:
        return name.strip(), "/" in pattern or pattern == "**"
    many = inner[:1] == "+" or inner[-1:] in ("+", "*")
    return inner.removeprefix("+").rstrip("+*?").strip(), many


def _query(query: str) -> list[QueryPiece]:
    pieces = []
    for piece in filter(None, query.split("&")):
        name, _, value = piece.partition("=")
        match = PLACEHOLDER.fullmatch(value or name)
        if match and value:
            pieces.append(QueryPiece(unquote_plus(name), match[1]))
        elif match:
            pieces.append(QueryPiece(match[1], match[1]))
        else:
            pieces.append(QueryPiece(unquote_plus(name), None, unquote_plus(value)))
    return pieces
