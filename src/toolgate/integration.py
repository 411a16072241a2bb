"""One `tool-specs/NAME/integration.yaml`, read and checked: what the operator says of one source of tools."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from toolgate import documents
from toolgate.environment import ENVIRONMENT
from toolgate.errors import Misconfigured
from toolgate.money import Price, micros
from toolgate.settings import Seconds, Strict, checked, expand


class NoAuth(Strict):
    type: Literal["none"] = "none"


class ApiKey(Strict):
    type: Literal["api_key"]
    location: Literal["header", "query", "cookie"] = Field(default="header", alias="in")
    name: str
    value: SecretStr | None = None
    """Absent (an unset variable): the call goes out without it."""
    per_user: bool = False
    """Instead of one `value` for all, each caller's own, linked with `toolgate credentials set`."""


class Bearer(Strict):
    type: Literal["bearer"]
    token: SecretStr | None = None
    per_user: bool = False
    """As for `api_key`."""


class Basic(Strict):
    type: Literal["basic"]
    username: str | None = None
    password: SecretStr | None = None
    per_user: bool = False
    """As for `api_key`; what is linked is `username:password`."""


class TokenEndpoint(Strict):
    """Where access tokens are asked for, and by whom."""

    token_url: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ()
    send: Literal["basic", "body"] = "basic"
    """How the client shows its credentials to the token endpoint."""


Algorithm = Literal["ES256", "ES384", "RS256", "PS256", "EdDSA"]


class ClientCredentials(TokenEndpoint):
    type: Literal["oauth2_client_credentials"]
    issuer: str | None = None
    """Instead of `token_url`: the authorization server, which says itself where tokens are given."""
    private_key: SecretStr | None = None
    """Instead of `client_secret`: a key in PEM, with which the client signs who it is (`private_key_jwt`)."""
    algorithm: Algorithm = "ES256"
    """How it signs."""
    resource: str | None = None
    """What the token is for (RFC 8707); absent: of kind mcp the server's URL, else it is not said."""

    @model_validator(mode="after")
    def _one_place(self) -> ClientCredentials:
        if bool(self.token_url) == bool(self.issuer):
            raise ValueError("give either token_url or issuer: where tokens are given, or who says where")
        if self.private_key and not self.issuer:
            raise ValueError("private_key needs issuer: who the signature is for")
        return self


class AuthorizationCode(Strict):
    """Somebody's consent, given once in a browser: `toolgate credentials link NAME`."""

    type: Literal["oauth2_authorization_code"]
    issuer: str | None = None
    """The only authorization server that is taken; absent, of kind mcp: the one that the server names."""
    client_id: str | None = None
    """As registered there; absent: our own document (`identity.client`), else we register ourselves."""
    client_secret: SecretStr | None = None
    private_key: SecretStr | None = None
    """As for client credentials."""
    algorithm: Algorithm = "ES256"
    scopes: tuple[str, ...] = ()
    """What to ask for; absent: what the server says it wants."""
    resource: str | None = None
    """As for client credentials."""
    per_user: bool = False
    """Each caller's own consent, instead of the operator's for all."""

    @model_validator(mode="after")
    def _what_is_secret_belongs_to_an_issuer(self) -> AuthorizationCode:
        if (self.client_secret or self.private_key) and not (self.issuer and self.client_id):
            raise ValueError("client_secret and private_key need client_id and issuer: they are shown to that one and to no other")
        return self


class TokenExchange(TokenEndpoint):
    """RFC 8693: for the token that the caller showed us, one that the other side takes. The caller's goes to the token endpoint only."""

    type: Literal["oauth2_token_exchange"]
    token_url: str
    audience: str | None = None
    """The other side, as the token endpoint calls it."""
    resource: str | None = None
    """The other side, by its URL."""


Auth = Annotated[NoAuth | ApiKey | Bearer | Basic | ClientCredentials | AuthorizationCode | TokenExchange, Field(discriminator="type")]


class Selection(Strict):
    """Which operations; an operation is in when any entry names it. Absent: all."""

    tags: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    """operationIds or `METHOD /path` patterns, `*` and `?` as wildcards."""


class Exclusion(Selection):
    deprecated: bool = False
    """Leave out deprecated operations."""


class Hidden(Strict):
    """A parameter that no caller is asked for."""

    name: str
    location: Literal["path", "query", "header", "cookie"] = Field(default="query", alias="in")
    value: Any = Field(default=None, repr=False)
    """Sent with every call that has the parameter; null: never sent."""


class Defaults(Strict):
    timeout: Seconds = 30.0
    cache: Seconds = 0.0
    """Seconds that a read may be answered from the cache."""
    cache_scope: Literal["user", "public"] = "user"
    """Whose answers are given again: to each user their own, or to everybody, where all are answered alike."""


class Rate(Strict):
    """What the other side allows us, in total."""

    calls: int = Field(gt=0)
    per: Seconds
    key: str | None = None
    """Holds only while the credential is this public one, such as `DEMO_KEY`; absent: always."""
    pool: str | None = None
    """A name for what several integrations share, such as one key for many services; absent: the integration's own."""


class Charge(Strict):
    """A price that depends on the answer; in US dollars."""

    call: Decimal = Field(default=Decimal(0), ge=0)
    """A finished call."""
    kilobyte: Decimal = Field(default=Decimal(0), ge=0)
    """Besides, 1,024 bytes of answer as it reaches the caller."""
    header: str | None = None
    """The header of the answer that says what the call has cost, in US dollars; then only that counts."""
    most: Decimal | None = Field(default=None, ge=0)
    """What a call can cost: reserved before it is made. Needed with `kilobyte` and `header`."""

    @model_validator(mode="after")
    def _what_is_open_has_a_bound(self) -> Charge:
        if (self.kilobyte or self.header) and not self.most:
            raise ValueError("most is needed beside kilobyte and header: it is reserved before the call")
        if self.most is not None and self.most < self.call:
            raise ValueError("most is less than call")
        return self


Dollars = Annotated[Decimal, Field(ge=0)]


def price_of(charge: Decimal | Charge) -> Price:
    if isinstance(charge, Decimal):
        return Price(call=micros(charge))
    most = None if charge.most is None else micros(charge.most)
    return Price(micros(charge.call), micros(charge.kilobyte * 1024), charge.header, most)


class Effects(Strict):
    """What a call does to the world, as the operator knows it; what is absent is as the server says."""

    read_only: bool | None = None
    destructive: bool | None = None
    idempotent: bool | None = None
    open_world: bool | None = None


class Integration(Strict):
    """The file's content. Keys are documented in docs/integrations.md."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$")
    kind: Literal["openapi", "mcp"] = "openapi"
    title: str | None = None
    description: str | None = None
    spec: str | None = None
    """A file in the folder, or an https URL pinned in `integration.lock`."""
    fragment: bool = False
    """The spec is bare path items without `openapi` and `info`: wrap it."""
    overlay: str | tuple[str, ...] = ()
    """OpenAPI Overlay files of the folder, applied in order."""
    base_url: str | None = None
    """Where calls go; absent: the description's own servers, whose origins are then the only ones reached.
    Credentials are shown to the origin of the document's server only, and to those of `servers`."""
    servers: tuple[str, ...] = ()
    """Further origins that operations with servers of their own may use, e.g. `https://uploads.github.com`."""
    asgi: str | None = None
    """Only for bundled integrations: the in-process application that answers instead of a network."""
    command: tuple[str, ...] = ()
    """Of kind mcp: the program that is the server, and its arguments. It runs in this folder, as a child process."""
    env: Mapping[str, str | None] = Field(default={}, repr=False)
    """That program's environment, beside PATH, HOME and the like; a null one (an unset variable) is left out."""
    url: str | None = None
    """Of kind mcp: where the server is, instead of `command`."""
    transport: Literal["auto", "http", "sse"] = "auto"
    """How it is spoken to at `url`; auto finds out."""
    annotations: Mapping[str, Effects] = {}
    """Of kind mcp: what calls do, by tool name with `*` and `?`, over what the server says; the first that fits holds."""
    auth: Auth = NoAuth()
    headers: Mapping[str, str | None] = Field(default={}, repr=False)
    """Sent with every call; a null one (an unset variable) is left out."""
    hide: tuple[Hidden, ...] = ()
    prefix: str | None = None
    """Before every tool's name; absent: `name_`. An empty one is allowed."""
    expose: Literal["list", "search"] | Selection = "list"
    include: Selection | None = None
    exclude: Exclusion = Exclusion()
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """CIDRs the guarded way out may reach besides public addresses."""
    defaults: Defaults = Defaults()
    limits: tuple[Rate, ...] = ()
    """The other side's own limits, over all our callers."""
    concurrency: int | None = Field(default=None, gt=0)
    """Calls at the same time, over all our callers; absent: any number."""
    prices: Mapping[str, Dollars | Charge] = {}
    """US dollars a call, or what they depend on, by operation name, `default` for the rest; what is not named has no known price."""

    @field_validator("expose", "include", mode="before")
    @classmethod
    def _a_list_names_operations(cls, value: Any) -> Any:
        return {"operations": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _a_server_is_a_program_or_at_a_url(self) -> Integration:
        if self.kind == "mcp" and bool(self.command) == bool(self.url):
            raise ValueError("of kind mcp: give either command, the program that is the server, or url, where it is")
        if self.kind == "openapi" and (self.command or self.url):
            raise ValueError("command and url are for `kind: mcp`")
        return self

    @model_validator(mode="after")
    def _somebody_gives_tokens(self) -> Integration:
        if isinstance(self.auth, AuthorizationCode) and not self.auth.issuer and not self.url:
            raise ValueError("auth.issuer is needed: only an MCP server at a url says itself who gives tokens for it")
        return self

    @model_validator(mode="after")
    def _one_credential_or_everybodys_own(self) -> Integration:
        given = {ApiKey: "value", Bearer: "token", Basic: "password"}
        if self.per_user and (name := given.get(type(self.auth))) and getattr(self.auth, name) is not None:
            raise ValueError(f"auth.{name} is one for all, auth.per_user each caller's own; leave one of them out")
        return self

    @model_validator(mode="after")
    def _answers_to_each_callers_own_credential_are_their_own(self) -> Integration:
        if self.per_user and self.defaults.cache_scope == "public":
            raise ValueError("defaults.cache_scope is public, and each caller is answered by their own credential; leave it out")
        return self

    @property
    def sent(self) -> tuple[tuple[str, str], ...]:
        """The headers that go out with every call."""
        return tuple((name, value) for name, value in self.headers.items() if value is not None)

    @property
    def per_user(self) -> bool:
        """Whether it is called with what belongs to the caller, and not with what belongs to the operator."""
        return isinstance(self.auth, TokenExchange) or getattr(self.auth, "per_user", False)

    @property
    def resource(self) -> str | None:
        """What OAuth tokens are asked for, by its URL (RFC 8707)."""
        return getattr(self.auth, "resource", None) or self.url

    @property
    def overlays(self) -> tuple[str, ...]:
        return (self.overlay,) if isinstance(self.overlay, str) else self.overlay

    @property
    def rates(self) -> tuple[Rate, ...]:
        """The limits that hold with the credential at hand."""
        value = self.auth.value if isinstance(self.auth, ApiKey) else None
        credential = value.get_secret_value() if value else None
        return tuple(rate for rate in self.limits if rate.key is None or rate.key == credential)

    @property
    def tool_prefix(self) -> str:
        return f"{self.name}_" if self.prefix is None else self.prefix


def read_integration(folder: Path, environ: Mapping[str, str] = ENVIRONMENT) -> Integration:
    """The integration declared in `folder`.

    Raises:
        Misconfigured: there is no such file, or it says something unknown or impossible.
    """
    file = folder / "integration.yaml"
    if not file.is_file():
        raise Misconfigured(f"{folder} has no integration.yaml")
    values = expand(documents.parse(file.read_bytes(), name=str(file)), environ, name=str(file))
    if not isinstance(values, dict):
        raise Misconfigured(f"{file} must hold a mapping")
    return checked(Integration, values, name=str(file))
