"""Every setting, with its default, its unit and a sentence. `toolgate config schema` prints this file's model.

Read from `toolgate.yaml` (or `--config FILE`), each key overridden by `TOOLGATE_<SECTION>__<KEY>` in the environment.
Paths in the file are relative to it. `${VAR}` is expanded only in values, after parsing, so that a variable's
content can never change the structure.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from toolgate import documents
from toolgate.backends import Code, Library, WebSearch, Workflow
from toolgate.environment import ENVIRONMENT, Variables
from toolgate.errors import Misconfigured
from toolgate.section import Seconds as Seconds
from toolgate.section import Strict as Strict
from toolgate.thinking import Agent, ModelProvider, Models

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Server(Strict):
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8765, ge=0, le=65535)
    """0: any free port."""
    allowed_hosts: tuple[str, ...] = ()
    """`Host` values let in besides loopback names and the bound address, exact, `name` or `name:port`."""
    allowed_origins: tuple[str, ...] = ()
    """Pages let in besides our own on loopback, as `https://tools.example.com`; those of other origins may read the answers, too (CORS)."""
    max_body: int = Field(default=4 * 1024 * 1024, gt=0)
    """Bytes of a request body."""
    header_timeout: float = Field(default=10.0, gt=0)
    """Seconds until the headers of a request must have arrived."""
    body_timeout: float = Field(default=30.0, gt=0)
    """Seconds until the body of a request must have arrived."""
    write_timeout: float = Field(default=60.0, gt=0)
    """Seconds that a client may leave an answer unread."""
    page_size: int = Field(default=250, gt=0)
    """Tools a page of `tools/list`."""
    task_after: float = Field(default=2.0, gt=0)
    """Seconds of a call after which an MCP client of 2026-07-28 that knows tasks is given one instead of being kept waiting."""
    instructions: str | None = Field(default=None, max_length=20_000)
    """What MCP clients tell their models of this server, instead of a sentence of ours."""
    keep_alive: float = Field(default=15.0, gt=0)
    """Seconds that an idle connection is kept open for the next request."""
    sessions: bool = True
    """Keep a session here for each MCP client older than 2026-07-28; false: any process answers any of its requests and asks nothing."""
    max_connections: int = Field(default=2048, gt=0)
    """Open connections, streams included; further ones are answered 503."""
    metrics: Literal["admin", "loopback"] = "admin"
    """Who may read `/metrics`: the role admin, or also whoever is let in on loopback without a credential."""
    grace: float = Field(default=10.0, gt=0)
    """Seconds in which calls under way may finish once the server has been told to stop."""

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not re.fullmatch(r"[^\s/*@,]+", host):
                raise ValueError(f"{host!r} is no `Host`; name each, as tools.example.com or tools.example.com:8443")
        return hosts

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/*@,]+/?", origin, re.IGNORECASE):
                raise ValueError(f"{origin!r} is no origin; name each, as https://tools.example.com, without a path")
        return tuple(origin.rstrip("/") for origin in origins)

    @property
    def url(self) -> str:
        """Where it is reached on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Caller(Strict):
    """Who a caller is taken for where no credential says so."""

    roles: tuple[str, ...] = ("readonly",)
    """What they may call: names of the policies' roles folder."""
    tier: str = "free"
    """How much they may call: a name of the policies' tiers.yaml."""
    tenant: str = "default"
    """Whose calls these are, where several share one Toolgate."""


class Claims(Strict):
    """Which claims of a token say what. A name with dots that is no claim itself leads into objects: `realm_access.roles`."""

    id: str = "sub"
    """Who it is."""
    roles: str | None = None
    """Values that `roles` of the issuer turns into roles: a text, or a list of texts."""
    tier: str | None = None
    """The tier's name; a token without it has the tier of `everyone`."""
    tenant: str | None = None
    """The tenant's name; a token without it is refused. Absent: everybody is of the tenant of `everyone`."""


class Issuer(Strict):
    """Somebody whose tokens are taken: an OpenID provider, or an authorization server of OAuth 2.1."""

    issuer: str
    """Its URL, exactly as its tokens say it in `iss`."""
    audience: tuple[str, ...] = Field(min_length=1)
    """What `aud` must name: this server's URL as clients know it, and nobody else's."""
    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """Stands before the ids of its users, as in `name:ada`; absent: the host of `issuer`."""
    jwks_uri: str | None = None
    """Where its keys are; absent: where its own metadata says."""
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"], ...] = (
        "RS256",
        "ES256",
        "EdDSA",
    )
    """How its tokens may be signed."""
    types: tuple[str, ...] = ("at+jwt",)
    """What `typ` of a token's header may be. Add `JWT` for an issuer that does not follow RFC 9068."""
    scoped: bool = True
    """Its scopes bound what roles grant, and a token without any may do nothing; false: it has no scopes of ours, roles alone decide."""
    claims: Claims = Claims()
    roles: Mapping[str, tuple[str, ...]] = {}
    """Our roles for each value of the claim. Other values give none."""
    everyone: Caller = Caller()
    """Roles of who has none by the claim, and tier and tenant where no claim says them."""
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """CIDRs where its keys may be fetched besides public addresses."""
    client_id: str | None = None
    """What the console is called there, with `…/console/signed-in` to come back to; absent: nobody signs in to the console by it."""
    client_secret: SecretStr | None = None
    """The console's there; absent: it is a public client, and PKCE alone protects the code."""
    client_scopes: tuple[str, ...] | None = None
    """What the console asks for in the name of whoever signs in; absent: `tools:read tools:call`, or `openid` where it is not `scoped`."""

    @field_validator("audience", "types", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("roles", mode="before")
    @classmethod
    def _one_role_or_several(cls, value: Any) -> Any:
        return {key: (item,) if isinstance(item, str) else item for key, item in value.items()} if isinstance(value, dict) else value


class Identity(Strict):
    """Who callers over HTTP are. API keys need no settings: `toolgate keys create`."""

    issuers: tuple[Issuer, ...] = ()
    """Whose access tokens are taken, and what their claims mean here."""
    resource: str | None = None
    """The URL by which clients know the MCP endpoint, as `https://tools.example.com/mcp`; absent: made of the request's `Host`."""
    client: str | None = Field(default=None, pattern=r"^https://[^/?#]+/[^?#]+$")
    """The URL by which authorization servers read who we are (CIMD): this server's own `/oauth/client.json`, as they reach it."""
    scopes: tuple[str, ...] | None = None
    """What a client without a token is told to ask its issuer for; more as calls need it. Absent: `tools:read`, where one is `scoped`."""
    failures: int = Field(default=10, gt=0)
    """Credentials refused in a minute, of one address and one key id, before the answer is 429."""
    secret_key_file: Path | None = None
    """File with the key that encrypts users' own credentials; absent: `credentials.key` in the state folder, made when needed."""

    @property
    def prefix(self) -> str:
        """What clients have before every path of ours, where a proxy serves us below one: `/tools` of `https://example.com/tools/mcp`."""
        path = urlsplit(self.resource or "").path.rstrip("/")
        return path.removesuffix("/mcp") if path.endswith("/mcp") else ""


class Files(Strict):
    upload_folder: Path | None = None
    """Folder below which a stdio or terminal caller may name files to send; absent: no files by path."""


class CallLimit(Strict):
    """A limit on the calls that it names, beside those of tiers and integrations."""

    calls: int = Field(gt=0)
    """Let through in any window of `per`."""
    per: Seconds
    """Seconds, or such as `1m`, `1h`."""
    tools: str = "*"
    """Glob over tool names: the calls it counts."""
    role: str | None = None
    """Only calls of who has this role; absent: everybody's."""
    tenant: str | None = None
    """Only calls of this tenant; absent: every tenant's."""
    by: tuple[Literal["user", "tenant", "tool"], ...] = ("user",)
    """Counted apart for each of these; empty: all calls together."""


class Repeats(Strict):
    """When the same call is not made again."""

    calls: int | None = Field(default=5, gt=1)
    """Equal calls in a row, with nothing new coming of them, after which it is refused; null: never."""
    seconds: float = Field(default=60.0, gt=0)
    """Seconds after the last of them until it is let through again."""


class Limits(Strict):
    in_flight: int = Field(default=1024, gt=0)
    """Calls of everybody under way at the same time in one process; further ones are answered 503."""
    workers: int = Field(default=1, gt=0)
    """Processes that share the limits; without the shared store each lets its share through."""
    calls: tuple[CallLimit, ...] = ()
    """Limits beside those of tiers and integrations."""
    repeats: Repeats = Repeats()


class Upstreams(Strict):
    """How other machines are treated that do not answer well."""

    attempts: int = Field(default=3, gt=0)
    """Of one call in all, where trying again is safe."""
    failures: int = Field(default=5, gt=0)
    """In a row, after which an integration is left alone for a while."""
    within: float = Field(default=60.0, gt=0)
    """Seconds in which they must have happened."""
    rest: float = Field(default=30.0, gt=0)
    """Seconds that it is left alone, before one call may see whether it answers again."""


class Audit(Strict):
    """What is written down of calls, and where proof of it is kept."""

    intent: Literal["all", "writes"] = "all"
    """Calls that are written down before they run, not only after: all, or those that are not marked as only reading."""
    arguments: Literal["values", "names"] = "values"
    """Keep arguments as redacted values, or only their names. A keyed digest of the whole is kept in either case."""
    redact: tuple[str, ...] = ()
    """Arguments hidden besides those that their schema marks or that look like secrets, as `TOOL:PATH`, both with `*`."""
    refusals: int = Field(default=300, gt=0)
    """Refused calls of one caller in a minute that are written down one by one; further ones are counted in a line every 10 s."""
    checkpoints: Path | None = None
    """File that signed checkpoints are added to, best on another machine's disk; absent: they are kept with the audit only."""
    checkpoint_rows: int = Field(default=1000, gt=0)
    """Records after which a checkpoint is signed."""
    checkpoint_seconds: float = Field(default=10.0, gt=0)
    """Seconds after which a checkpoint is signed, if there is anything new."""


class Approvals(Strict):
    """How a person says yes to a call whose permission asks for one."""

    by: Literal["caller", "operator"] = "caller"
    """Whose yes counts: that of the person at the caller's client as well as an operator's, or only an operator's."""
    ttl: Annotated[Seconds, Field(gt=0)] = 900.0
    """Seconds, or such as `15m`: for so long a question waits for its answer, and a yes for its call."""
    wait: Annotated[Seconds, Field(gt=0)] = 120.0
    """Seconds that a call of an older MCP client waits for its person; afterwards the question waits without it."""
    waiting: int = Field(default=100, gt=0)
    """Questions of one caller that may wait at the same time; more calls that need a yes are refused."""


class Replay(Strict):
    """What is remembered of calls that came with an idempotency key."""

    keep: Seconds = 86_400.0
    """Seconds, or such as `24h`, in which the same key means the same call."""
    max_bytes: int = Field(default=64 * 1024, gt=0)
    """Bytes of an outcome that are kept; of a larger one only how it ended."""


class Cache(Strict):
    """Answers that are given again, where an integration's `defaults.cache` lets them."""

    max_bytes: int = Field(default=64 * 1024 * 1024, ge=0)
    """Bytes of answers kept in this process; those not asked for longest go first. 0: none are kept."""


class Log(Strict):
    """What a server writes to standard error, where nobody has configured logging."""

    format: Literal["text", "json"] = "text"
    """A record is its message, or an object with `time`, `level`, `logger`, `message` and a bug's `exception`, on one line."""
    level: Literal["debug", "info", "warning", "error"] = "warning"
    """From which level on Toolgate's own records are written; others' are from `warning` on."""


class Settings(BaseSettings):
    """All of Toolgate's settings."""

    model_config = SettingsConfigDict(
        env_prefix="TOOLGATE_",
        env_nested_delimiter="__",
        env_ignore_empty=True,  # `${VAR:-}` of a compose file is nothing
        env_parse_none_str="null",
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    tool_specs: tuple[Path, ...] = ()
    """Folders whose sub-folders are integrations; empty: the bundled ones."""
    integrations: tuple[str, ...] | None = None
    """Names to serve; absent: every integration found."""
    policies: Path | None = None
    """Folder of roles, tiers and prices; absent: the bundled ones."""
    prompts: Path | None = None
    """Folder of prompts for MCP clients, Markdown files; absent: none of our own."""
    skills: Path | None = None
    """Folder of skills, Markdown files; absent: the bundled ones, where the bundled integrations are served."""
    policy_shadow: Path | None = None
    """Folder of a candidate policy that decides beside the one in force and is only heard of in the audit; absent: none."""
    data_dir: Path | None = None
    """Where state is kept; absent: the user's state folder."""
    server: Server = Server()
    stdio: Caller = Caller(roles=("developer",), tier="pro")
    """Who a caller over stdio or from the terminal is; the name is the operating system's."""
    anonymous: Caller | None = Caller()
    """Who a caller over HTTP without a credential is, on loopback only; null: nobody is let in."""
    store: Literal["sqlite", "memory"] = "sqlite"
    """Journal of record: `sqlite`, or `memory` for tests and demonstrations."""
    identity: Identity = Identity()
    files: Files = Files()
    audit: Audit = Audit()
    approvals: Approvals = Approvals()
    limits: Limits = Limits()
    ledger: SecretStr | None = None
    """PostgreSQL in which several machines keep one ledger of money, such as `postgresql://toolgate@db/toolgate`; absent: in `store`."""
    shared: SecretStr | None = None
    """Redis that several processes count calls in, such as `redis://127.0.0.1:6379/0`; absent: each counts its own."""
    upstreams: Upstreams = Upstreams()
    replay: Replay = Replay()
    cache: Cache = Cache()
    log: Log = Log()
    models: Models = Models()
    providers: Mapping[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")], ModelProvider] | None = None
    """Who answers prompts, by a name of your choice; absent: every service whose usual variable, such as `OPENAI_API_KEY`, is set."""
    agent: Agent = Agent()
    code: Code = Code()
    library: Library = Library()
    web_search: tuple[WebSearch, ...] = ()
    """Who searches the web; none: there is no such tool."""
    workflows: Mapping[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")], Workflow] = {}
    """Workflows that may be started, by a name of your choice; none: there is no such tool."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The environment stands over the file, whose values arrive as keyword arguments.
        return Variables(settings_cls), init_settings


def read_settings(path: Path | None = None, environ: Mapping[str, str] = ENVIRONMENT) -> Settings:
    """The settings of `path`, of `toolgate.yaml` here, or the defaults.

    Raises:
        Misconfigured: the file is missing, unreadable or says something unknown; the message names file and key.
    """
    file = path or Path("toolgate.yaml")
    if not file.exists():
        if path is not None:
            raise Misconfigured(f"there is no settings file {path}")
        return checked(Settings, {}, name="the environment")
    values = expand(documents.parse(read_bytes(file), name=str(file)) or {}, environ, name=str(file))
    if not isinstance(values, dict):
        raise Misconfigured(f"{file} must hold a mapping of settings")
    if isinstance(values.get("tool_specs"), list):
        values["tool_specs"] = [file.parent / str(folder) for folder in values["tool_specs"]]
    for place in PATHS:
        values = _beside(file.parent, values, place.split("."))
    return checked(Settings, values, name=str(file))


PATHS = (
    "policies", "policy_shadow", "data_dir", "prompts", "skills", "identity.secret_key_file", "files.upload_folder", "audit.checkpoints",
    "code.python", "code.packages", "code.deno", "code.node", "providers.*.script",
)  # fmt: skip
"""Where a text is a path that is relative to the file; `*` stands for any name."""


def _beside(folder: Path, value: Any, place: Sequence[str]) -> Any:
    """`value` with the text at `place` in it as a path from `folder`."""
    if not place:
        return folder / value if isinstance(value, str) else value
    if not isinstance(value, dict):
        return value
    return {key: _beside(folder, item, place[1:]) if place[0] in ("*", key) else item for key, item in value.items()}


def read_bytes(file: Path) -> bytes:
    """
    Raises:
        Misconfigured: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise Misconfigured(f"{file} cannot be read: {error.strerror}") from error


def problems_of(error: ValidationError, most: int | None = None) -> str:
    """What does not fit where, never a value; the first `most` of it."""
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors(include_input=False)[:most])


M = TypeVar("M", bound=BaseModel)


def checked(model: type[M], values: Mapping[str, Any], *, name: str) -> M:
    """`model(**values)`, or a Misconfigured that names the file, the keys and what was wrong, never a value."""
    try:
        return model(**values)
    except ValidationError as error:
        raise Misconfigured(f"{name} does not fit. {problems_of(error)}") from None
    except TypeError as error:
        raise Misconfigured(f"{name} does not fit. {error}") from None
    except SettingsError as error:
        raise Misconfigured(f"the environment does not fit. {error}: {error.__cause__}") from None


def expand(value: Any, environ: Mapping[str, str], *, name: str) -> Any:
    """`value` with `${VAR}` and `${VAR:-default}` replaced in its strings.

    A string that is nothing but one absent variable becomes None, so that an optional credential may be missing.

    Raises:
        Misconfigured: an absent variable stands inside a longer string.
    """
    if isinstance(value, str):
        return _expand_text(value, environ, name)
    if isinstance(value, dict):
        return {key: expand(item, environ, name=name) for key, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ, name=name) for item in value]
    return value


def _expand_text(text: str, environ: Mapping[str, str], name: str) -> str | None:
    def substitute(match: re.Match[str]) -> str:
        found = environ.get(match[1]) or match[2]
        if found is None:
            raise Misconfigured(f"{name} asks for the environment variable {match[1]}, which is not set")
        return found

    whole = VARIABLE.fullmatch(text)
    if whole and not environ.get(whole[1]) and whole[2] is None:
        return None
    return VARIABLE.sub(substitute, text)


def bundled(folder: str) -> Path:
    """The folder `tool-specs`, `policies`, `skills` or `examples` that came with Toolgate, from the wheel or from a checkout."""
    package = Path(__file__).parent
    installed = package / "bundled" / folder
    return installed if installed.exists() else package.parents[1] / folder


def policies_folder(settings: Settings) -> Path:
    """The operator's, else the one that came with Toolgate."""
    return settings.policies or bundled("policies")


def state_folder(settings: Settings) -> Path:
    """Where state is kept: `data_dir`, else `$XDG_STATE_HOME/toolgate`, else `~/.local/state/toolgate`."""
    if settings.data_dir is not None:
        return settings.data_dir
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "toolgate"
