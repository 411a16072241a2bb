"""One `tool-specs/NAME/integration.yaml`, read and checked: what the operator says of one source of tools."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from decimal import Decimal
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, field_validator

from toolgate import documents
from toolgate.errors import Misconfigured
from toolgate.settings import Strict, checked, expand

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> Any:
    """`30s`, `500ms`, `2m` or a number, in seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)):
        return float(match[1]) * SECONDS[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0)]


class NoAuth(Strict):
    type: Literal["none"] = "none"


class ApiKey(Strict):
    type: Literal["api_key"]
    location: Literal["header", "query", "cookie"] = Field(default="header", alias="in")
    name: str
    value: SecretStr | None = None
    """Absent (an unset variable): the call goes out without it."""


class Bearer(Strict):
    type: Literal["bearer"]
    token: SecretStr | None = None


class Basic(Strict):
    type: Literal["basic"]
    username: str | None = None
    password: SecretStr | None = None


class ClientCredentials(Strict):
    type: Literal["oauth2_client_credentials"]
    token_url: str
    client_id: str | None = None
    client_secret: SecretStr | None = None
    scopes: tuple[str, ...] = ()
    send: Literal["basic", "body"] = "basic"
    """How the client shows its credentials to the token endpoint."""


Auth = Annotated[NoAuth | ApiKey | Bearer | Basic | ClientCredentials, Field(discriminator="type")]


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


class Rate(Strict):
    """What the other side allows us, in total."""

    calls: int = Field(gt=0)
    per: Seconds
    key: str | None = None
    """Holds only while the credential is this public one, such as `DEMO_KEY`; absent: always."""


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
    """Where calls go; absent: the description's own servers, whose origins are then the only ones reached."""
    servers: tuple[str, ...] = ()
    """Further origins that operations with servers of their own may use, e.g. `https://uploads.github.com`."""
    asgi: str | None = None
    """Only for bundled integrations: the in-process application that answers instead of a network."""
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
    prices: Mapping[str, Decimal] = {}
    """US dollars a call, by operation name, `default` for the rest."""

    @field_validator("expose", "include", mode="before")
    @classmethod
    def _a_list_names_operations(cls, value: Any) -> Any:
        return {"operations": value} if isinstance(value, list) else value

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


def read_integration(folder: Path, environ: Mapping[str, str] = os.environ) -> Integration:
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
