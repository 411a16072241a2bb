"""What is compared, how each is installed and started, and with which of its settings.

Each peer gets what its documentation recommends for speed, and nothing that it does by default is turned off for it but its
access log. Rates are set so high that nobody is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import rest

PLACE = Path(os.environ.get("COMPARE_FOLDER", rest.HERE / ".demo" / "compare"))
"""Where the peers are: one virtual environment each."""
PYTHON = os.environ.get("COMPARE_PYTHON", "/usr/bin/python3.11")
"""Of the peers; Debian's has been optimised with profiles, which is worth a quarter."""
SLOW = 4.0
JWT, PASSWORD = "compare-only-Zk3Qv81LmPw7Rt2Xy6Bn9Hc4Jd5Gf0", "Compare-only-Passw0rd!x"
ADMIN = "admin@example.com"
LITELLM_KEY = "sk-compare-only-1234"


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[bytes]
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)


Start = Callable[[Path, str], AbstractContextManager[Served]]
"""In an empty folder, for the service at a URL, until the block ends."""


@dataclass(frozen=True)
class Peer:
    name: str
    label: str
    start: Start
    tool: str = "get_item"
    path: str = "/mcp"
    service: str = "upstream"
    """The module of `tests.bench` that is behind it."""
    era: str = rest.NEW
    packages: Sequence[str] = ()
    overrides: Sequence[str] = ()
    """What is installed instead of what the packages pin, where no registry has that."""
    longer: float = 1.0
    """How many times as long a window it needs for as many calls."""

    @property
    def folder(self) -> Path:
        return PLACE / self.name.partition("-")[0]


@contextmanager
def started(command: Sequence[str], port: int, headers: Mapping[str, str], path: str = "/", **options: object) -> Iterator[Served]:
    """A process on the server's core, once it answers at `path`."""
    process = subprocess.Popen(command, preexec_fn=lambda: rest.pin(rest.SERVER_CORE), **options)  # type: ignore[call-overload]
    with rest.ended(process):
        rest.answering(process, f"http://127.0.0.1:{port}{path}")
        yield Served(process, port, headers)


def ours(*, full: bool = False, kind: rest.Kind = "openapi") -> Start:
    @contextmanager
    def start(folder: Path, service: str) -> Iterator[Served]:
        with rest.toolgate(folder, service, full=full, kind=kind) as (process, port, key):
            yield Served(process, port, {"authorization": f"Bearer {key}"})

    return start


@contextmanager
def floor(folder: Path, service: str) -> Iterator[Served]:
    port = rest.free_port()
    with started([sys.executable, "-m", "tests.compare.floor", str(port), service], port, {}, cwd=rest.HERE) as served:
        yield served


@contextmanager
def fastmcp(folder: Path, service: str) -> Iterator[Served]:
    port = rest.free_port()
    command = [str(PLACE / "fastmcp" / "bin" / "python"), "-c", rest.FASTMCP, str(port), service, json.dumps(rest.ITEMS)]
    with started(command, port, {}, env={**os.environ, "FASTMCP_CHECK_FOR_UPDATES": "off"}) as served:
        yield served


@contextmanager
def mcpproxy(folder: Path, service: str) -> Iterator[Served]:
    """Before the same server as a child: it takes no other."""
    port = rest.free_port()
    command = [str(PLACE / "mcpproxy" / "bin" / "mcp-proxy"), "--port", str(port), "--log-level", "ERROR", "--pass-environment", "--"]
    with started([*command, *rest.CHILD], port, {}, cwd=rest.HERE, env={**os.environ, "PYTHONPATH": str(rest.HERE)}) as served:
        yield served


def litellm(versions: Sequence[str]) -> Start:
    @contextmanager
    def start(folder: Path, service: str) -> Iterator[Served]:
        port = rest.free_port()
        (folder / "items.json").write_text(json.dumps(rest.ITEMS))
        general = {"master_key": LITELLM_KEY} | ({"mcp_advertised_versions": versions} if versions else {})
        server = {"url": service, "spec_path": str(folder / "items.json"), "auth_type": "none", "allow_all_keys": True}
        (folder / "config.yaml").write_text(json.dumps({"model_list": [], "general_settings": general, "mcp_servers": {"up": server}}))
        quiet = {"LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False"}
        command = [str(PLACE / "litellm" / "bin" / "litellm"), "--config", str(folder / "config.yaml"), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1", "--telemetry", "False"]
        with (
            (folder / "log").open("wb") as log,
            started(
                command,
                port,
                {"authorization": f"Bearer {LITELLM_KEY}"},
                "/health/liveliness",
                cwd=folder,
                env={**os.environ, **quiet},
                stdout=log,
                stderr=log,
            ) as served,
        ):
            yield served

    return start


@contextmanager
def contextforge(folder: Path, service: str) -> Iterator[Served]:
    """Its database is a copy of one that has been through its migrations; the tool is registered in it."""
    for file in (PLACE / "contextforge" / "database").glob("mcp.db*"):
        shutil.copy2(file, folder)
    with contextforge_in(folder) as served:
        schema = {"type": "object", "properties": {"item_id": {"type": "integer"}}, "required": ["item_id"]}
        tool = {"name": "get_item", "url": f"{service}/items/{{item_id}}", "description": "Get an item", "input_schema": schema}
        body = json.dumps({"tool": {**tool, "integration_type": "REST", "request_type": "GET"}}).encode()
        headers = {**served.headers, "content-type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{served.port}/tools", body, headers), timeout=60):
            yield served


@contextmanager
def contextforge_in(folder: Path) -> Iterator[Served]:
    """One worker on gunicorn, caches in memory and a pool of sessions, as its tuning guide says."""
    port = rest.free_port()
    settings = {
        "JWT_SECRET_KEY": JWT,
        "AUTH_ENCRYPTION_SECRET": JWT,
        "PLATFORM_ADMIN_EMAIL": ADMIN,
        "PLATFORM_ADMIN_PASSWORD": PASSWORD,
        "MCPGATEWAY_ADMIN_API_ENABLED": "true",
        "MCPGATEWAY_UI_ENABLED": "false",
        "SSRF_ALLOW_LOCALHOST": "true",
        "SSRF_ALLOW_PRIVATE_NETWORKS": "true",
        "RATE_LIMIT_MEDIUM_RPM": "1000000000",
        "RATE_LIMIT_HIGH_RPM": "1000000000",
        "DATABASE_URL": "sqlite:///./mcp.db",
        "CACHE_TYPE": "memory",
        "LOG_LEVEL": "ERROR",
        "MCP_SESSION_POOL_ENABLED": "true",
        "MCP_SESSION_POOL_MAX_PER_KEY": "200",
        "MCP_SESSION_POOL_ACQUIRE_TIMEOUT": "60",
    }
    command = [str(PLACE / "contextforge" / "bin" / "gunicorn"), "--bind", f"127.0.0.1:{port}", "--workers", "1", "--timeout", "600"]
    command += ["--worker-class", "uvicorn.workers.UvicornWorker", "--log-level", "error", "mcpgateway.main:app"]
    with (
        (folder / "log").open("wb") as log,
        started(
            command,
            port,
            {"authorization": f"Bearer {token()}"},
            "/health",
            cwd=folder,
            env={**os.environ, **settings},
            stdout=log,
            stderr=log,
        ) as served,
    ):
        yield served


def prepare_contextforge() -> None:
    """Let it make its database once."""
    folder = PLACE / "contextforge" / "database"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextforge_in(folder):
        pass


def token() -> str:
    """What its administrator logs in with: an HS256 token (RFC 7519)."""
    now = int(time.time())
    user = {"email": ADMIN, "full_name": "Compare", "is_admin": True, "auth_provider": "cli"}
    claims = {"sub": ADMIN, "username": ADMIN, "iat": now, "exp": now + 86_400, "iss": "mcpgateway", "aud": "mcpgateway-api"}
    claims |= {"jti": f"compare-{now}", "is_admin": True, "user": user, "teams": None, "token_use": "session"}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(parts)
    return b".".join((signed, base64.urlsafe_b64encode(hmac.digest(JWT.encode(), signed, hashlib.sha256)).rstrip(b"="))).decode()


FASTMCP = ("fastmcp==4.1.2", "uvloop", "httptools")
MCPPROXY = ("mcp-proxy==0.13.0", "httptools")
LITELLM, LITELLM_INSTEAD = ("litellm[proxy]==1.109.1",), ("litellm-proxy-extras>=0.4.100", "certifi>=2026.1")
CONTEXTFORGE = ("mcp-contextforge-gateway==1.0.7.post20260921",)
CHECKED = "key, permission with a condition, schema, limits, budget, durable intent and outcome, price"
PEERS = (
    Peer("floor", "bare ASGI and aiohttp: nothing is checked", floor),
    Peer("toolgate", f"Toolgate: {CHECKED}", ours(), tool="items_get_item"),
    Peer("toolgate-full", "the same beside GitHub's 1,223 tools", ours(full=True), tool="items_get_item"),
    Peer("toolgate-2025", "the same in a session of 2025-11-25", ours(), tool="items_get_item", era=rest.OLD),
    Peer("fastmcp", "FastMCP 4.1.2 tuned: nothing is checked", fastmcp, packages=FASTMCP),
    Peer("fastmcp-2025", "the same for a client of 2025-11-25", fastmcp, era=rest.OLD, packages=FASTMCP),
    Peer("toolgate-mcp", "Toolgate, everything on, before an MCP server over HTTP", ours(kind="mcp"), tool="items_get_item", service="mcp"),
    Peer("toolgate-child", "the same before one as a child", ours(kind="child"), tool="items_get_item"),
    Peer("toolgate-child-2025", "the same in a session of 2025-11-25", ours(kind="child"), tool="items_get_item", era=rest.OLD),
    Peer(
        "mcpproxy", "mcp-proxy 0.13.0 (PyPI) before the same child: nothing is checked", mcpproxy,
        path="/mcp/", era=rest.OLD, packages=MCPPROXY,
    ),
    Peer(
        "litellm", "LiteLLM 1.109.1: key; no database, so no spend and no record", litellm(()),
        tool="up-get_item", path="/mcp/", era=rest.OLD, packages=LITELLM, overrides=LITELLM_INSTEAD, longer=SLOW,
    ),
    Peer(
        "litellm-2026", "the same for a client of 2026-07-28", litellm((rest.NEW, rest.OLD)),
        tool="up-get_item", path="/mcp/", packages=LITELLM, overrides=LITELLM_INSTEAD, longer=2 * SLOW,
    ),
    Peer(
        "contextforge", "ContextForge 1.0.7: JWT, RBAC, limiter, buffered metrics", contextforge,
        tool="get-item", path="/mcp/", era=rest.OLD, packages=CONTEXTFORGE, longer=SLOW,
    ),
)  # fmt: skip
