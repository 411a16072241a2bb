"""Arguments to one HTTP request, byte by byte.

A `Plan` is compiled once into a `Builder`; each call then only spells its own values. Nothing here knows credentials:
they are added last, by origin, with `with_query`, `with_cookie` or a header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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

FORBIDDEN = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "content-type", "expect", "host", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "authorization", "cookie", "forwarded", "origin", "x-real-ip", "x-original-url"),
        *("x-rewrite-url", "x-http-method", "x-http-method-override", "x-method-override"),
    }
)
FORBIDDEN_PREFIXES = ("proxy-", "sec-", "x-forwarded-", "mcp-")
"""Headers that frame the message, say who we are, or reroute it: no parameter sets them."""


def build(
    plan: Plan, arguments: Mapping[str, Any], *, server: str, files: ReadFile | None = None, headers: Iterable[tuple[str, str]] = ()
) -> Request:
    """`compile(plan, server, headers).build(arguments, files=files)`, for whoever builds just once."""
    return compile(plan, server, headers).build(arguments, files=files)


def compile(plan: Plan, server: str, headers: Iterable[tuple[str, str]] = ()) -> Builder:  # noqa: A001
    """Everything about the plan's requests that no argument changes.

    Args:
        server: the absolute http(s) URL that the path is appended to; a query of its own is kept.
        headers: the operator's, sent with every request. They win over parameters of the same name.

    Raises:
        Misconfigured: `server` is not such a URL.
    """
    base, fixed = _base(server)
    template, _, query = plan.path.partition("#")[0].partition("?")
    named = {parameter.name: parameter for parameter in plan.parameters if parameter.location == "path"}
    segments = path.split("/" + template.removeprefix("/"), named)
    sent = tuple(headers)
    taken = {name.lower() for name, _ in sent} | ({"accept"} if plan.accept else set())
    return Builder(
        plan=plan,
        base=base,
        pieces=tuple(_merged(segments)),
        fixed_query="&".join(part for part in (fixed, "" if "{" in query else path.literal(query)) if part),
        query=(*_query_template(query, named), *_slots(plan, "query", _in_query), *_slots(plan, "querystring", _in_querystring)),
        headers=(*((("Accept", plan.accept),) if plan.accept and "accept" not in {name.lower() for name, _ in sent} else ()), *sent),
        slots=tuple(slot for slot in _slots(plan, "header", _in_header) if slot.parameter.name.lower() not in taken),
        cookies=_slots(plan, "cookie", _in_cookie),
    )


def base_url(template: ServerTemplate, variables: Mapping[str, str] | None = None) -> str:
    """A server's URL with its variables filled in, by the operator's values or the description's defaults.

    Arguments of a call never get here.
    """
    values = {**template.variables, **(variables or {})}
    return path.PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), template.url)


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
class PathSlot:
    """A segment of the path to fill."""

    segment: path.Segment
    parts: tuple[str | Slot, ...]
    arguments: str
    """Whom to blame when the segment as a whole will not do."""


@dataclass(frozen=True, slots=True)
class Builder:
    """A plan at a server, ready for arguments."""

    plan: Plan
    base: str
    """Origin and base path, without a slash at the end."""
    pieces: tuple[str | PathSlot, ...]
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

    def _segment(self, piece: PathSlot, arguments: Mapping[str, Any]) -> str:
        text = "".join([part if isinstance(part, str) else self._given(part, arguments) for part in piece.parts])
        try:
            piece.segment.check(text)
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
        if value is UNSET:
            return None
        try:
            return slot.fill(value)
        except Unfit as unfit:
            raise self._refusal(parameter.argument or parameter.name, str(unfit)) from None
        except UnicodeEncodeError:
            raise self._refusal(parameter.argument or parameter.name, "it holds half of a surrogate pair") from None

    def _body(self, arguments: Mapping[str, Any], files: ReadFile | None) -> body.Body | None:
        wanted = self.plan.content_type_argument
        try:
            chosen = body.choose(self.plan.bodies, arguments.get(wanted, UNSET) if wanted else UNSET)
        except Unfit as unfit:
            raise self._refusal(wanted or "content_type", str(unfit)) from None
        if chosen is None:
            return None
        try:
            return body.build(chosen, arguments, files)
        except Unfit as unfit:
            raise self._refusal(chosen.argument or "body", str(unfit)) from None
        except UnicodeError:
            raise self._refusal(chosen.argument or "body", "a text in it does not fit the charset it is sent in") from None

    def _refusal(self, argument: str, why: str) -> InvalidArguments:
        return InvalidArguments(
            f"{self.plan.method} {self.plan.path} cannot take '{argument}': {why}",
            ({"path": f"/{argument}", "message": why, "schema": {}},),
        )


def _merged(segments: list[str | path.Segment]) -> list[str | PathSlot]:
    """`segments` joined by slashes, neighbouring texts in one piece."""
    pieces: list[str | PathSlot] = []
    text = ""
    for index, segment in enumerate(segments):
        text += "/" if index else ""
        if isinstance(segment, str):
            text += segment
            continue
        pieces += [text, _path_slot(segment)] if text else [_path_slot(segment)]
        text = ""
    return [*pieces, text] if text else pieces


def _path_slot(segment: path.Segment) -> PathSlot:
    parts = tuple(part if isinstance(part, str) else Slot(part, path.fill(part)) for part in segment.parts)
    blamed = " and ".join(part.parameter.argument or part.parameter.name for part in parts if isinstance(part, Slot))
    return PathSlot(segment, parts, blamed)


def _base(server: str) -> tuple[str, str]:
    """`server` as ASCII without query and slash at the end, and its query."""
    parts = urlsplit(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.netloc.isascii() or "@" in parts.netloc:
        raise Misconfigured("a server must be an absolute http or https URL with an ASCII host and no user in it")
    return f"{parts.scheme}://{parts.netloc}{path.literal(parts.path).rstrip('/')}", path.literal(parts.query)


def _slots(plan: Plan, location: str, fill: Callable[[ParameterPlan], Fill]) -> tuple[Slot, ...]:
    return tuple(Slot(parameter, fill(parameter)) for parameter in plan.parameters if parameter.location == location)


def _query_template(query: str, named: Mapping[str, ParameterPlan]) -> tuple[Slot, ...]:
    """The query that some descriptions write into a path: `/search?q={term}`. Its parameters are said to be `in: path`."""
    found = []
    for piece in query.split("&") if "{" in query else ():
        name, _, value = piece.partition("=")
        inner = path.PLACEHOLDER.fullmatch(value)
        if inner and inner[1] in named:
            found.append(Slot(named[inner[1]], _in_query(replace(named[inner[1]], name=name, style="form"))))
        else:
            found.append(Slot(ParameterPlan(name, "query", None, constant=value), _always(path.literal(piece))))
    return tuple(found)


def _always(text: str) -> Fill:
    return lambda _: text


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
