"""An operation as its description tells it, versions and references already out of the way.

`Operation` is what reading yields and converting takes: schemas are still the description's own (with `$ref`s that
the resolver knows). `Plan` is what converting yields for execution: no schema is left, only how each argument goes
onto the wire. Both are frozen values; a Plan is JSON-serialisable so that it can be cached.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from toolgate.calls import UNSET

Location = Literal["path", "query", "header", "cookie", "querystring"]
Style = Literal["simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "tabDelimited", "deepObject", "cookie"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter as described, defaults of style and explode filled in."""

    name: str
    location: Location
    schema: Any
    """A schema of the description (mapping or bool)."""
    pointer: str
    """Where it stands in the description; `schema`'s own pointer when references led elsewhere is the resolver's business."""
    required: bool = False
    style: Style = "simple"
    explode: bool = False
    allow_reserved: bool = False
    content_type: str | None = None
    """Set when the value is serialised as this media type instead of by style."""
    multi_segment: bool = False
    """A path parameter whose slashes stay (GitHub's `x-multi-segment`)."""
    description: str | None = None
    deprecated: bool = False
    example: Any = UNSET


@dataclass(frozen=True, slots=True)
class MediaType:
    """One way to send the body."""

    media_type: str
    schema: Any
    pointer: str
    encoding: Mapping[str, Any] = field(default_factory=dict)
    """The Encoding Objects by property, as described."""


@dataclass(frozen=True, slots=True)
class RequestBody:
    content: tuple[MediaType, ...]
    """In the description's order."""
    required: bool = False
    description: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One described response."""

    status: str
    """`200`, `2XX`, `default`."""
    content: tuple[MediaType, ...] = ()
    headers: tuple[str, ...] = ()
    """Names of described headers, lower case."""


@dataclass(frozen=True, slots=True)
class Key:
    """A parameter that an operation's security puts a credential into."""

    name: str
    location: Literal["header", "query", "cookie"]


@dataclass(frozen=True, slots=True)
class ServerTemplate:
    """A server's URL with its variables."""

    url: str
    variables: Mapping[str, str] = field(default_factory=dict)
    """Defaults by name."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation, complete in itself but for the schemas that its schemas refer to."""

    method: str
    """Upper case."""
    path: str
    """The template, such as `/repos/{owner}/{repo}`."""
    pointer: str
    operation_id: str | None = None
    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    body: RequestBody | None = None
    answers: tuple[Answer, ...] = ()
    keys: tuple[Key, ...] = ()
    servers: tuple[ServerTemplate, ...] = ()
    """The nearest ones: the operation's, else the path's, else the document's."""
    servers_own: bool = False
    """`servers` stand at the operation or its path, so they win over the integration's `base_url`."""
    deprecated: bool = False
    extensions: Mapping[str, Any] = field(default_factory=dict)
    """`x-mcp` of root, path and operation merged, as one mapping, and `x-speakeasy-mcp` read into the same words."""
    query: str = ""
    """A query string that stood in the template. It is among the parameters; here it only tells operations apart."""

    @property
    def key(self) -> str:
        """Names the operation within its description: `GET /repos/{owner}/{repo}`."""
        return f"{self.method} {self.path}?{self.query}" if self.query else f"{self.method} {self.path}"


# What execution needs, and nothing else.


@dataclass(frozen=True, slots=True)
class ParameterPlan:
    """How one argument, or a bound constant, becomes a piece of path, query, header or cookie."""

    name: str
    """On the wire."""
    location: Location
    argument: str | None
    """The argument's key; None: bound, `constant` is sent."""
    style: Style = "simple"
    explode: bool = False
    allow_reserved: bool = False
    content_type: str | None = None
    multi_segment: bool = False
    required: bool = False
    constant: Any = field(default=UNSET, repr=False)
    """May be a secret of the operator's."""
    type: str | None = None
    """The JSON type of its values where the schema names one; reads a link to the next page back into arguments."""


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one property of a form or multipart body goes onto the wire."""

    name: str
    argument: str | None
    """The flattened argument's key; None: the property of that name of the whole body."""
    style: Style | None = None
    """Serialised by style (form bodies) when set, else by content type."""
    explode: bool = True
    allow_reserved: bool = False
    content_type: str | None = None
    """None: OpenAPI's default for the value's type."""
    binary: bool = False
    """The value is a file: base64 text, or `{"path": …}` for callers on this machine."""
    headers: tuple[tuple[str, str], ...] = ()
    """Multipart: further headers of the part, from an Encoding Object whose header schemas leave one value."""


@dataclass(frozen=True, slots=True)
class BodyPlan:
    """How the arguments become a body."""

    media_type: str
    mode: Literal["flat", "whole"]
    """flat: `fields` gathered from arguments of their own; whole: the one argument `argument`."""
    argument: str | None = None
    required: bool = False
    fields: tuple[FieldPlan, ...] = ()
    """Flat bodies: every property. Form and multipart bodies: those with an encoding to keep."""
    constants: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Bound properties, sent always."""
    binary: bool = False
    """Whole bodies of bytes: the argument is a file."""
    encoded: str = ""
    """Whole bodies of bytes that are sent as text: `base64` or `base64url`."""


@dataclass(frozen=True, slots=True)
class Paging:
    """How the next page is asked for."""

    kind: Literal["link", "cursor", "offset", "page"]
    argument: str | None = None
    """The argument that moves on; for `link`, arguments are read back out of the URL."""
    size_argument: str | None = None
    field: str | None = None
    """cursor: JSON pointer into the answer where the next cursor, or the URL of the next page, stands."""
    first: int | None = None
    """page, offset: where counting starts when the argument is absent; None: 1 for pages, 0 for offsets."""
    size: int | None = None
    """page, offset: items a page when the size argument is absent, where the description tells."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An operation, ready to be executed."""

    method: str
    path: str
    servers: tuple[ServerTemplate, ...] = ()
    servers_own: bool = False
    parameters: tuple[ParameterPlan, ...] = ()
    bodies: tuple[BodyPlan, ...] = ()
    """More than one: the argument `content_type` chooses, the first is the default."""
    content_type_argument: str | None = None
    accept: str | None = None
    """The Accept header; None: `*/*` is implied."""
    keys: tuple[Key, ...] = ()
    paging: Paging | None = None
    idempotency_header: str | None = None
    """The described header by which the other side knows a repeated request; filled with what names the call."""
