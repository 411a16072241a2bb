"""How values are spelled in paths, queries, headers and cookies.

OpenAPI's styles are RFC 6570's expansions with a few of its own. One operator is one row of the table in RFC 6570,
appendix A:

    style            first   between   name=   empty value
    simple                   ,
    label            .       .
    matrix           ;       ;         yes     name
    form                     &         yes     name=
    cookie                   "; "      yes     name=

spaceDelimited, pipeDelimited and tabDelimited are `form` with another delimiter inside a value, deepObject is `form` with a path of
brackets for a name. Where OpenAPI 3.2 ("Style Examples") leaves a combination undefined, what most servers read is
sent: exploded space and pipe like exploded `form`, scalars always like `form`; in an exploded object the name of an array
of scalars is repeated; in deepObject deeper objects get more brackets, arrays of scalars `[]` and arrays of containers `[0]`.

Null is RFC 6570's "undefined": `name=` in forms, nothing elsewhere, skipped inside arrays and objects. An empty array
or object is undefined too, and leaves nothing at all. Any other container inside a container has no spelling but JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from toolgate.openapi import media
from toolgate.openapi.media import Unfit
from toolgate.openapi.operation import Style

Encode = Callable[[str], str]
Pairs = list[tuple[str, str]]

DELIMITERS: Mapping[str, str] = {"spaceDelimited": " ", "pipeDelimited": "|", "tabDelimited": "\t"}
TRIPLE = re.compile(r"(%[0-9A-Fa-f]{2})")
RESERVED_IN_QUERY = "!$'()*,/:;?@"
"""RFC 3986's reserved characters but `#[]`, which a query may not hold, and `&=+`, which have a meaning in forms."""
RESERVED_IN_PATH = "!$&'()*+,:;=@"
"""RFC 3986's `pchar`: what may stand in a segment."""

_unreserved = re.compile(r"[A-Za-z0-9._~-]*").fullmatch
_spelled_alike = re.compile(r"[A-Za-z0-9._*-]*").fullmatch
_token = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_field_value = re.compile(r"[\t\x20-\x7e]*").fullmatch
_cookie_octets = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch
_form_cookie = re.compile(r"[\x21\x23-\x3a\x3c-\x5b\x5d-\x7e]*").fullmatch


def spell(value: Any) -> str:
    """A scalar as text, numbers as JSON spells them (whole ones without a fraction), containers as compact JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unfit("it must be a finite number")
        if value.is_integer() and abs(value) < 1e21:  # as ECMAScript's Number::toString: 5.0 is a page number, too
            return str(int(value))
    return media.dumps(value).decode()


def percent(text: str) -> str:
    """Everything but RFC 3986's unreserved characters encoded."""
    return text if _unreserved(text) else quote(text, safe="")


def urlencoded(text: str) -> str:
    """WHATWG's application/x-www-form-urlencoded: space is `+`, only `*-._` and alphanumerics stay."""
    return text if _spelled_alike(text) else quote(text, safe="* ").replace("~", "%7E").replace(" ", "+")


def verbatim(text: str) -> str:
    """Headers, cookies and multipart take text as it is."""
    return text


def reserved(safe: str) -> Encode:
    """RFC 6570's reserved expansion (3.2.3): `safe` and percent-encoded triples stay."""

    def encode(text: str) -> str:
        return "".join(piece if TRIPLE.fullmatch(piece) else quote(piece, safe=safe) for piece in TRIPLE.split(text))

    return encode


IN_QUERY = reserved(RESERVED_IN_QUERY)
IN_PATH = reserved(RESERVED_IN_PATH)


def pairs(name: str, value: Any, style: Style, *, explode: bool, encode: Encode) -> Pairs:
    """Names and values of the named styles (form, those with a delimiter, deepObject, matrix, cookie).

    Args:
        name: encoded already.
        encode: applied to keys, scalars and delimiters other than the comma.
    """
    if not isinstance(value, (list, dict)):
        return [(name, encode(spell(value)))]
    if style == "deepObject":
        return list(_deep(name, value, encode))
    if explode and isinstance(value, dict):
        return [pair for key, item in value.items() for pair in _repeated(encode(key), item, encode)]
    members = _members(value, encode)
    if explode:
        return [(name, item) for _, item in members]
    flat = [part for key, item in members for part in ((item,) if key is None else (key, item))]
    delimiter = encode(DELIMITERS[style]) if style in DELIMITERS else ","
    return [(name, delimiter.join(flat))] if flat else []


def unnamed(value: Any, *, explode: bool, between: str, encode: Encode) -> str | None:
    """The unnamed styles (simple, label) without their first character; None: undefined."""
    if value is None:
        return None
    if not isinstance(value, (list, dict)):
        return encode(spell(value))
    members = _members(value, encode)
    if not members:
        return None
    if explode:
        return between.join(item if key is None else f"{key}={item}" for key, item in members)
    return ",".join(item if key is None else f"{key},{item}" for key, item in members)


def in_path(name: str, value: Any, style: Style, *, explode: bool, encode: Encode) -> str:
    """A path parameter's text, percent-encoded."""
    if style == "matrix":
        if value is None:
            return ""
        return "".join(
            f";{key}={item}" if item else f";{key}" for key, item in pairs(percent(name), value, style, explode=explode, encode=encode)
        )
    if style == "label":
        text = unnamed(value, explode=explode, between=".", encode=encode)
        return "" if text is None else f".{text}"
    return unnamed(value, explode=explode, between=",", encode=encode) or ""


def in_query(name: str, value: Any, style: Style, *, explode: bool, encode: Encode) -> str:
    """A query parameter's `name=value`, or several; empty when it is undefined.

    Args:
        name: encoded already.
    """
    if value is None and style != "form":
        return ""
    return "&".join(f"{key}={item}" for key, item in pairs(name, value, style, explode=explode, encode=encode))


def in_header(value: Any, *, explode: bool) -> str | None:
    """A header parameter's value, unquoted and unescaped as OpenAPI demands; None when it is undefined."""
    text = unnamed(value, explode=explode, between=",", encode=verbatim)
    return None if text is None else field_value(text)


def in_cookie(name: str, value: Any, style: Style, *, explode: bool, allow_reserved: bool) -> str:
    """A cookie parameter's `name=value`, several joined by `; `.

    Style `cookie` takes values as they are; `form` percent-encodes them. An array that is not exploded keeps its commas
    under `form`, as OpenAPI's table shows, though RFC 6265 has no place for them; under `cookie` it has no spelling.
    """
    if style == "cookie" and not explode and isinstance(value, (list, dict)):
        raise Unfit("a cookie can carry several values only one by one")
    encode: Encode = verbatim if style == "cookie" else IN_QUERY if allow_reserved else percent
    sane = _cookie_octets if style == "cookie" else _form_cookie
    found = pairs(name, value, style, explode=explode, encode=encode)
    for key, item in found:
        if not _token(key):
            raise Unfit("a cookie's name may hold only letters, digits and !#$%&'*+-.^_`|~")
        if not sane(item):
            raise Unfit("a cookie's value may hold only visible ASCII without quotes, commas, semicolons and backslashes")
    return "; ".join(f"{key}={item}" for key, item in found)


def field_value(text: str) -> str:
    """`text` if it can be a header's value (RFC 9110, section 5.5), without the space around it."""
    if not _field_value(text):
        raise Unfit("a header's value may hold only visible ASCII characters, spaces and tabs")
    return text.strip(" \t")


def is_token(text: str) -> bool:
    """Whether `text` can be a header's name or a method (RFC 9110, section 5.6.2)."""
    return _token(text) is not None


def content(media_type: str, value: Any, *, ascii_only: bool = False) -> str:
    """A value serialised as a media type instead of by style.

    Args:
        ascii_only: JSON escapes whatever is not ASCII, for headers.
    """
    kind = media.kind(media_type)
    if kind == "form" and isinstance(value, dict):
        return form(value)
    if kind == "json":
        return json.dumps(value, separators=(",", ":")) if ascii_only else media.dumps(value).decode()
    return spell(value)


def form(values: dict[str, Any]) -> str:
    """An object in WHATWG's application/x-www-form-urlencoded, arrays as repeated names."""
    found = [(urlencoded(name), item) for name, value in values.items() for item in (value if isinstance(value, list) else [value])]
    return "&".join(f"{name}={urlencoded(spell(item))}" for name, item in found)


def _members(value: list[Any] | dict[str, Any], encode: Encode) -> list[tuple[str | None, str]]:
    if isinstance(value, dict):
        return [(encode(key), encode(spell(item))) for key, item in value.items() if item is not None]
    return [(None, encode(spell(item))) for item in value if item is not None]


def _repeated(name: str, value: Any, encode: Encode) -> Pairs:
    """A member of an exploded object."""
    several = isinstance(value, list) and not any(isinstance(item, (list, dict)) for item in value)
    return [(name, encode(spell(item))) for item in (value if several else [value]) if item is not None]


def _deep(name: str, value: Any, encode: Encode) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _deep(f"{name}{encode('[')}{encode(key)}{encode(']')}", item, encode)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            place = str(index) if isinstance(item, (list, dict)) else ""
            yield from _deep(f"{name}{encode('[')}{place}{encode(']')}", item, encode)
    elif value is not None:
        yield name, encode(spell(value))
