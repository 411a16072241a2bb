"""One MCP call that makes one HTTP call, through a whole server: `python -m tests.bench.rest WHAT CONNECTIONS`.

WHAT is `toolgate`, `mcp` (the same call of an MCP server's tool), `full` (the first beside GitHub's 1,223 tools), `list` (a
complete list of those), `old` (the first in a session of 2025-11-25) or `fastmcp`, for which BENCH_FASTMCP names a Python that
has it. The server has one core, everything else the other. The whole gate is on: an API key, a rule that looks at the
argument, limits, a budget, an intent and an outcome in SQLite with `synchronous=full`, a price. FastMCP has none of that.

BENCH_LOAD names another program with the arguments and output of `load.py`.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.bench.common import cpu_of, github_folder, resident_mb, tell
from tests.bench.upstream import MARK

HERE = Path(__file__).resolve().parents[2]
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
SERVER_CORE, LOAD_CORE = 0, 1
NEW, OLD = "2026-07-28", "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": NEW,
    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
Kind = Literal["openapi", "mcp", "child"]
"""What is behind the gateway: a service, an MCP server over HTTP, or one as a child over its standard streams."""
CHILD = [sys.executable, "-m", "tests.bench.mcp", "stdio"]
IT = {"200": {"description": "It"}}
NUMBER = {"name": "item_id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1}}
ITEMS = {
    "openapi": "3.1.0",
    "info": {"title": "Inventory", "version": "1"},
    "paths": {
        "/items/{item_id}": {"get": {"operationId": "get_item", "summary": "Get an item", "parameters": [NUMBER], "responses": IT}},
        "/items": {"get": {"operationId": "list_items", "summary": "List items", "responses": IT}},
    },
}
ROLE = """
role: bench
permissions:
  - id: bench.items
    tools: "items_*"
    operations: [list, call]
    conditions: [{field: args.item_id, operator: less_than, value: 2000000000}]
  - {id: bench.sees, tools: "*", operations: [list]}
"""
TIERS = "tiers: {bench: {limits: {per_minute: 10000000, per_hour: 100000000, concurrency: 1024}, budgets: {day: 100000, month: 1000000}}}\n"
FASTMCP = """
import json, sys, uvloop, httpx2
from fastmcp import FastMCP
client = httpx2.AsyncClient(base_url=sys.argv[2], limits=httpx2.Limits(max_connections=200, max_keepalive_connections=200))
server = FastMCP.from_openapi(openapi_spec=json.loads(sys.argv[3]), client=client, name="bench")
tuned = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "warning"}
uvloop.run(server.run_async(transport="http", host="127.0.0.1", port=int(sys.argv[1]), json_response=True, stateless_http=True,
                            show_banner=False, log_level="WARNING", uvicorn_config=tuned))
"""


def main(what: str, connections: int) -> None:
    with tempfile.TemporaryDirectory() as folder, upstream("mcp" if what == "mcp" else "upstream") as service:
        base = Path(folder)
        with (
            fastmcp(service)
            if what == "fastmcp"
            else toolgate(base, service, full=what in ("full", "list"), kind="mcp" if what == "mcp" else "openapi") as (
                process,
                port,
                key,
            )
        ):
            headers = {"authorization": f"Bearer {key}"} if key else {}
            if what == "old":
                headers["mcp-session-id"] = opened(port, headers)
            body, more = asked(what)
            idle, mark = resident_mb(process.pid), '"tools"' if what == "list" else MARK
            tell({**load(process, port, whole(port, body, {**headers, **more}), connections, mark), "idle MB": idle})


def asked(what: str) -> tuple[bytes, Mapping[str, str]]:
    """The body and the headers of the one request that is made over and over."""
    name = "get_item" if what == "fastmcp" else "items_get_item"
    params: dict[str, Any] = {} if what == "list" else {"name": name, "arguments": {"item_id": "@ID@"}}
    method, version = "tools/list" if what == "list" else "tools/call", OLD if what == "old" else NEW
    headers = {"mcp-protocol-version": version}
    if what != "old":
        params["_meta"] = META
        headers |= {"mcp-method": method} | ({"mcp-name": name} if method == "tools/call" else {})
    message = {"jsonrpc": "2.0", "id": "@ID@", "method": method, "params": params}
    return json.dumps(message, separators=(",", ":")).replace('"@ID@"', "@ID@").encode(), headers


def load(process: subprocess.Popen[bytes], port: int, request: bytes, connections: int, mark: str = MARK) -> dict[str, float | str]:
    """What callers see, and what the server's process uses meanwhile for a call."""
    program = shlex.split(os.environ.get("BENCH_LOAD", f"{sys.executable} -m tests.bench.load"))
    command = [*program, str(port), str(connections), str(SECONDS), mark]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=HERE, preexec_fn=lambda: pin(LOAD_CORE)) as loader:
        assert loader.stdin is not None
        assert loader.stdout is not None
        loader.stdin.write(request)
        loader.stdin.close()
        loader.stdout.readline()  # it is warm
        before = cpu_of(process.pid)
        row = json.loads(loader.stdout.readline() or '{"calls": 0}')
        used = cpu_of(process.pid) - before
    if loader.returncode:
        sys.exit("an answer was bad; see above")
    calls = row.pop("calls")
    return {"CPU µs": used / calls * 1e6, **row, "MB": resident_mb(process.pid)}


def whole(port: int, body: bytes, headers: Mapping[str, str]) -> bytes:
    """An HTTP message; `@ID@` in the body takes the room of nine digits."""
    length = len(body) + body.count(b"@ID@") * 5
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\ncontent-length: {length}\r\n{more}\r\n"
    )
    return head.encode() + body


@contextmanager
def upstream(module: str = "upstream") -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{module}"], stdout=subprocess.PIPE, cwd=HERE, preexec_fn=lambda: pin(LOAD_CORE)
    )
    with ended(process):
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextmanager
def toolgate(base: Path, service: str, *, full: bool, kind: Kind = "openapi") -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    port, config = free_port(), base / "toolgate.yaml"
    written(base, service, port, full=full, kind=kind)
    command = [sys.executable, "-m", "toolgate"]
    made = [*command, "keys", "create", "bench", "--role", "bench", "--tier", "bench", "--config", str(config)]
    key = subprocess.run(made, check=True, capture_output=True, text=True, cwd=HERE).stdout.split()[0]
    started = [*command, "serve", "--config", str(config)]
    process = subprocess.Popen(started, cwd=HERE, stderr=subprocess.DEVNULL, preexec_fn=lambda: pin(SERVER_CORE))
    with ended(process):
        answering(process, f"http://127.0.0.1:{port}/readyz")
        yield process, port, key


def written(base: Path, service: str, port: int, *, full: bool, kind: Kind = "openapi") -> None:
    """The settings, the policy and the integrations, in `base`."""
    for folder in ("specs/items", "policies/roles"):
        (base / folder).mkdir(parents=True)
    (base / "specs/items/openapi.json").write_text(json.dumps(ITEMS))
    where = {
        "openapi": f"spec: openapi.json\nbase_url: {service}",
        "mcp": f"kind: mcp\nurl: {service}/mcp",
        "child": f"kind: mcp\ncommand: {json.dumps(CHILD)}\nenv: {{PYTHONPATH: {HERE}}}",
    }[kind]
    (base / "specs/items/integration.yaml").write_text(
        f"name: items\n{where}\nallow_networks: [127.0.0.1/32]\nprices: {{default: 0.000001}}\n"
    )
    if full:
        github_folder(base / "specs")
    (base / "policies/roles/bench.yaml").write_text(ROLE)
    (base / "policies/tiers.yaml").write_text(TIERS)
    (base / "policies/prices.yaml").write_text("tools: {}\n")
    settings = {
        "tool_specs": ["specs"],
        "policies": "policies",
        "data_dir": "state",
        "anonymous": None,
        "server": {"port": port, "page_size": 2000},
        # The tier `free` of an anonymous caller is not in this policy.
        "stdio": {"roles": ["bench"], "tier": "bench"},
    }
    (base / "toolgate.yaml").write_text(json.dumps(settings))


@contextmanager
def fastmcp(service: str) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    python, port = os.environ.get("BENCH_FASTMCP") or sys.exit("BENCH_FASTMCP names a Python that has fastmcp"), free_port()
    process = subprocess.Popen([python, "-c", FASTMCP, str(port), service, json.dumps(ITEMS)], preexec_fn=lambda: pin(SERVER_CORE))
    with ended(process):
        answering(process, f"http://127.0.0.1:{port}/")
        yield process, port, ""


def opened(port: int, headers: Mapping[str, str]) -> str:
    """The id of a new session of 2025-11-25."""
    hello = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    sent = {**headers, "content-type": "application/json", "accept": "application/json, text/event-stream"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/mcp", json.dumps(message).encode(), sent)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(answer.headers["mcp-session-id"])


def answering(process: subprocess.Popen[bytes], url: str) -> None:
    """Return once `process` answers at `url`, whatever it says."""
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).read()
        except urllib.error.HTTPError:
            return
        except OSError:
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
            time.sleep(0.05)
        else:
            return


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def pin(core: int) -> None:
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {core})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
