"""Arguments to one HTTP request, byte by byte.

A `Plan` is compiled once into a `Builder`; each call then only spells its own values. Nothing here knows credentials:
they are added last, by origin, with `with_query`, `with_cookie` or a header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from toolgate.calls import UNSET
from toolgate.egress.wire import Headers, Request
from toolgate.errors import InvalidArguments, Misconfigured
from toolgate.openapi import body, media, path, style
from toolgate.openapi.body import ReadFile
from toolgate.openapi.media import Unfit
from toolgate.openapi.operation import ParameterPlan, Plan, ServerTemplate

Fill = Callable[[Any], str | None]
"""A value's text in its place; None or empty: it is undefined and leaves nothing."""

PIECES = re.compile(r"(\{[^{}]*\})")
"""Between them stands text."""
FORBIDDEN = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "authorization", "cookie", "forwarded", "origin", "x-real-ip", "x-original-url"),
        *("x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"),
    }
)
FORBIDDEN_PREFIXES = ("proxy-", "sec-", "x-forwarded-", "mcp-")
"""Headers that frame the message, say who we are, or reroute it: no parameter sets them."""


def compile(plan: Plan, server: str, headers: Iterable[tuple[str, str]] = ()) -> Builder:  # noqa: A001
    """Everything about the plan's requests that no argument changes.

    Args:
        server: the absolute http(s) URL that the path is appended to; a query of its own is kept.
        headers: the operator's, sent with every request. They win over parameters of the same name.

    Raises:
        Misconfigured: `server` is not such a URL.
    """
    base, query = _base(server)
    named = {parameter.name: parameter for parameter in plan.parameters if parameter.location == "path"}
    sent = tuple(headers)
    taken = {name.lower() for name, _ in sent} | ({"accept"} if plan.accept else set())
    return Builder(
        plan=plan,
        base=base,
        pieces=tuple(_pieces(plan.path, named)),
        fixed_query=query,
        query=(*_slots(plan, "query", _in_query), *_slots(plan, "querystring", _in_querystring)),
        headers=(*((("Accept", plan.accept),) if plan.accept and "accept" not in {name.lower() for name, _ in sent} else ()), *sent),
        slots=tuple(slot for slot in _slots(plan, "header", _in_header) if slot.parameter.name.lower() not in taken),
        cookies=_slots(plan, "cookie", _in_cookie),
    )


def base_url(template: ServerTemplate) -> str:
    """A server's URL with its variables at their defaults; arguments of a call never get here."""
    return path.PLACEHOLDER.sub(lambda found: template.variables.get(found[1], found[0]), template.url)


def with_query(request: Request, name: str, value: str) -> Request:
    """`request` with one more query parameter."""
    between = "&" if "?" in request.url else "?"
    return replace(request, url=f"{request.url}{between}{style.percent(name)}={style.percent(value)}")


def with_cookie(request: Request, name: str, value: str) -> Request:
    """`request` with one more cookie, value as it is, in the one Cookie header there may be (RFC 6265, 5.4)."""
    cookie = f"{name}={value}"
    others = tuple((key, text) for key, text in request.headers if key.lower() != "cookie")
    sent = "; ".join([*(text for key, text in request.headers if key.lower() == "cookie"), cookie])
    return replace(request, headers=(*others, ("Cookie", sent)))


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter's place in query, headers or cookies."""

    parameter: ParameterPlan
    fill: Fill


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment of the path to fill; with a multi-segment parameter, some segments."""

    parts: tuple[str | Slot, ...]
    slashes: bool
    """Decoding may show slashes."""
    arguments: str
    """Whom to blame when the segment as a whole will not do."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A plan at a server, ready for arguments."""

    plan: Plan
    base: str
    """Origin and base path, without a slash at the end."""
    pieces: tuple[str | Segment, ...]
    """The path: text, and segments to fill."""
    fixed_query: str
    query: tuple[Slot, ...]
    headers: Headers
    slots: tuple[Slot, ...]
    cookies: tuple[Slot, ...]

    def build(self, arguments: Mapping[str, Any], *, files: ReadFile | None = None) -> Request:
        """The request of one call.

        Args:
            arguments: valid by the tool's schema.
            files: reads the file that `{"path": …}` names; None: this caller may not name files.

        Raises:
            InvalidArguments: a value would change the request's structure or has no spelling in its place. The
                message names the argument and never holds the value.
        """
        url, headers = self._url(arguments), self.headers
        for slot in self.slots:
            value = self._value(slot, arguments)
            if value is not None:
                headers = (*headers, (slot.parameter.name, value))
        cookies = [value for slot in self.cookies if (value := self._value(slot, arguments))] if self.cookies else None
        if cookies:
            headers = (*headers, ("Cookie", "; ".join(cookies)))
        made = self._body(arguments, files) if self.plan.bodies else None
        if made is None:
            return Request(self.plan.method, url, headers)
        return Request(self.plan.method, url, (*headers, ("Content-Type", made.media_type)), made.data)

    def _url(self, arguments: Mapping[str, Any]) -> str:
        url = self.base + "".join([piece if isinstance(piece, str) else self._segment(piece, arguments) for piece in self.pieces])
        query = [text for slot in self.query if (text := self._value(slot, arguments))]
        if self.fixed_query:
            query.insert(0, self.fixed_query)
        return f"{url}?{'&'.join(query)}" if query else url

    def _segment(self, piece: Segment, arguments: Mapping[str, Any]) -> str:
        text = "".join([part if isinstance(part, str) else self._given(part, arguments) for part in piece.parts])
        try:
            path.check(text, slashes=piece.slashes)
        except Unfit as unfit:
            raise self._refusal(piece.arguments, str(unfit)) from None
        return text

    def _given(self, slot: Slot, arguments: Mapping[str, Any]) -> str:
        text = self._value(slot, arguments)
        if text is None and slot.parameter.argument is not None:
            raise self._refusal(slot.parameter.argument, "it is part of the path and has to be given")
        return text or ""

    def _value(self, slot: Slot, arguments: Mapping[str, Any]) -> str | None:
        parameter = slot.parameter
        value = parameter.constant if parameter.argument is None else arguments.get(parameter.argument, UNSET)
        # To leave out what need not be there is what callers mean by null, and servers read `name=` as a text or refuse it.
        if value is UNSET or (value is None and not parameter.required and parameter.content_type is None):
            return None
        try:
            return slot.fill(value)
        except Unfit as unfit:
            raise self._refusal(parameter.argument or parameter.name, str(unfit)) from None
        except UnicodeEncodeError:
            raise self._refusal(parameter.argument or parameter.name, "it holds half of a surrogate pair") from None

    def _body(self, arguments: Mapping[str, Any], files: ReadFile | None) -> body.Body | None:
        wanted = self.plan.content_type_argument
        blamed = wanted or "content_type"
        try:
            chosen = body.choose(self.plan.bodies, arguments.get(wanted, UNSET) if wanted else UNSET)
            blamed = chosen.argument or "body"
            return body.build(chosen, arguments, files)
        except Unfit as unfit:
            raise self._refusal(unfit.argument or blamed, str(unfit)) from None
        except UnicodeError:
            raise self._refusal(blamed, "a text in it does not fit the charset it is sent in") from None

    def _refusal(self, argument: str, why: str) -> InvalidArguments:
        return InvalidArguments(
            f"{self.plan.method} {self.plan.path} cannot take '{argument}': {why}",
            ({"path": f"/{argument}", "message": why, "schema": {}},),
        )


def _pieces(template: str, named: Mapping[str, ParameterPlan]) -> Iterator[str | Segment]:
    """The path: segments to fill, and all that stands between two of them as one text."""
    text = ""
    for written in template.removeprefix("/").split("/"):
        text += "/"
        parts = tuple(_part(piece, named) for piece in PIECES.split(written) if piece)
        filled = [part.parameter for part in parts if isinstance(part, Slot)]
        if not filled:
            text += path.literal(written)
            continue
        yield text
        slashes = any(parameter.multi_segment or parameter.allow_reserved for parameter in filled)
        yield Segment(parts, slashes, " and ".join(parameter.argument or parameter.name for parameter in filled))
        text = ""
    if text:
        yield text


def _part(piece: str, named: Mapping[str, ParameterPlan]) -> str | Slot:
    found = path.PLACEHOLDER.fullmatch(piece)
    parameter = named.get(found[1]) if found else None
    return path.literal(piece) if parameter is None else Slot(parameter, path.fill(parameter))


def _base(server: str) -> tuple[str, str]:
    """`server` as ASCII without query and slash at the end, and its query."""
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.netloc.isascii() or "@" in parts.netloc:
        raise Misconfigured("a server must be an absolute http or https URL with an ASCII host and no user in it")
    return f"{parts.scheme}://{parts.netloc}{path.literal(parts.path).rstrip('/')}", path.literal(parts.query)


def _slots(plan: Plan, location: str, fill: Callable[[ParameterPlan], Fill]) -> tuple[Slot, ...]:
    return tuple(Slot(parameter, fill(parameter)) for parameter in plan.parameters if parameter.location == location)


def _in_query(parameter: ParameterPlan) -> Fill:
    name = style.percent(parameter.name)
    if parameter.content_type is not None:
        media_type = parameter.content_type
        return lambda value: f"{name}={style.percent(style.content(media_type, value))}"
    encode = style.IN_QUERY if parameter.allow_reserved else style.percent
    kind, explode = parameter.style, parameter.explode

    def fill(value: Any) -> str:
        if isinstance(value, str):
            return f"{name}={encode(value)}"
        return style.in_query(name, value, kind, explode=explode, encode=encode)

    return fill


def _in_querystring(parameter: ParameterPlan) -> Fill:
    media_type = parameter.content_type or "application/x-www-form-urlencoded"

    def fill(value: Any) -> str:
        if isinstance(value, dict) and media.kind(media_type) == "form":
            return style.form(value)
        return style.percent(style.content(media_type, value))

    return fill


def _in_header(parameter: ParameterPlan) -> Fill:
    if not settable(parameter.name) or not style.is_token(parameter.name):
        return _refuse_header
    if parameter.content_type is not None:
        media_type = parameter.content_type
        return lambda value: style.field_value(style.content(media_type, value, ascii_only=True))
    return lambda value: style.in_header(value, explode=parameter.explode)


def settable(header: str) -> bool:
    """Whether a parameter may set the header called so."""
    return header.lower() not in FORBIDDEN and not header.lower().startswith(FORBIDDEN_PREFIXES)


def _refuse_header(value: Any) -> str:
    raise Unfit("no argument may set this header")


def _in_cookie(parameter: ParameterPlan) -> Fill:
    if parameter.content_type is not None:
        media_type, name = parameter.content_type, parameter.name
        return lambda value: style.in_cookie(name, style.content(media_type, value), "form", explode=False, allow_reserved=False)
    return lambda value: style.in_cookie(
        parameter.name, value, parameter.style, explode=parameter.explode, allow_reserved=parameter.allow_reserved
    )
