"""Install the tools, serve the fixtures, run the scenarios, print one line each; ends with 1 unless all have run and passed."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.behind import as_program, over_http, serving_everything
from tests.conformance.install import environment, install
from tests.conformance.service import DESCRIPTION, service
from toolgate.standin import serving

SCENARIOS = {
    "2025-11-25": (
        "server-initialize",
        "ping",
        "tools-list",
        "tools-call-simple-text",
        "tools-call-image",
        "tools-call-audio",
        "tools-call-error",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
    "2026-07-28": (
        "tools-list",
        "tools-call-simple-text",
        "tools-call-image",
        "tools-call-audio",
        "tools-call-error",
        "server-sse-multiple-streams",
        "sep-2164-resource-not-found",
        "dns-rebinding-protection",
        "caching",
        "http-header-validation",
    ),
}
TASKS = ("tasks-capability-negotiation", "tasks-wire-fields", "tasks-request-state-removal", "tasks-request-headers")
"""Of the extension, those that an OpenAPI service can answer; no tool here asks something while it is a task, or has to be one."""
CLIENT_SCENARIOS = {
    "2025-11-25": ("initialize", "tools_call", "sse-retry", "elicitation-sep1034-client-defaults", "json-schema-2020-12-preservation"),
    "2026-07-28": (
        "tools_call",
        "request-metadata",
        "http-standard-headers",
        "http-custom-headers",
        "http-invalid-tool-headers",
        "sep-2322-client-request-state",
        "json-schema-ref-no-deref",
        "json-schema-2020-12-preservation",
    ),
}
"""Those in which the suite is the server behind the gate."""
CONSENTS = (
    *("metadata-default", "metadata-var1", "metadata-var2", "metadata-var3", "basic-cimd", "pre-registration"),
    *("scope-from-www-authenticate", "scope-from-scopes-supported", "scope-omitted-when-undefined", "scope-step-up", "scope-retry-limit"),
    *("token-endpoint-auth-basic", "token-endpoint-auth-post", "token-endpoint-auth-none", "resource-mismatch"),
    *("offline-access-scope", "offline-access-not-supported", "authorization-server-migration"),
    *("iss-supported", "iss-not-advertised", "iss-supported-missing", "iss-wrong-issuer", "iss-unexpected", "iss-normalized"),
    *("metadata-issuer-mismatch", "client-credentials-jwt", "client-credentials-basic"),
)
"""The same with an authorization server of the suite's, honest or not."""
STARTING = 90.0
"""Seconds that a gateway may take to begin, on a machine that many share."""
PATIENCE = ("--connect-timeout", "60000")
ROOM = 3
"""Checks at a time, on few cores."""
SECONDS = 600
"""That everything may take, once it is installed: a bound for what hangs. What had no turn by then has not passed."""
SCORED = {"2025-11-25": 30, "2026-07-28": 37}
"""Scenarios that count, of each revision."""
REFERENCE: Mapping[str, tuple[str, ...]] = {
    "lists get-sum": ("--method", "tools/list"),
    "lists trigger-elicitation-request": ("--method", "tools/list"),
    "calls Echo: hello": ("--method", "tools/call", "--tool-name", "echo", "--tool-args-json", '{"message": "hello"}'),
    "lists demo://resource": ("--method", "resources/list"),
    "lists simple-prompt": ("--method", "prompts/list"),
}
"""What the Inspector asks, by what it must be told."""
SETTINGS = """tool_specs: [tool-specs]
data_dir: state
server: {port: 0, task_after: 0.3}
anonymous: {roles: [admin], tier: enterprise}
limits: {repeats: {calls: null}}
"""
INTEGRATION = """name: fixtures
prefix: ""
spec: openapi.json
base_url: {url}
allow_networks: ["127.0.0.0/8"]
"""


@asynccontextmanager
async def gateway(declaration: str) -> AsyncIterator[tuple[str, Path]]:
    """The base URL of a toolgate of its own process over an integration, and its settings file."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "tool-specs" / "fixtures").mkdir(parents=True)
        (base / "tool-specs" / "fixtures" / "integration.yaml").write_text(declaration)
        (base / "tool-specs" / "fixtures" / "openapi.json").write_text(json.dumps(DESCRIPTION))
        settings = base / "toolgate.yaml"
        settings.write_text(SETTINGS)
        command = [sys.executable, "-m", "toolgate", "serve", "--config", str(settings), "--json"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        try:
            told = json.loads(await asyncio.wait_for(process.stdout.readline(), STARTING))
            yield told["url"].removesuffix("/mcp"), settings
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)


@dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]
    good: Callable[[int, str], bool] = lambda code, _said: code == 0
    """Whether its exit code and what it said mean that it passed."""


def required(url: str, folder: str) -> Iterator[Check]:
    """Everything that the suite requires of a server, of both eras, through the gate."""
    for revision, wanted in SCORED.items():
        command = ("conformance", "server", "--url", f"{url}/mcp", "--requirements", revision, "-o", f"{folder}/{revision}")
        yield Check(
            f"{revision} all {wanted} that are scored",
            command,
            lambda code, said, wanted=wanted: code == 0 and _scored(said) == wanted,  # type: ignore[misc]
        )


def _scored(said: str) -> int:
    """How many scenarios passed of those that count."""
    summary = said.partition("=== SUMMARY ===")[2].partition("Total:")[0]
    others = re.search(r"Not scored for [\d-]+: (\d+) scenario\(s\) run, (\d+) failing", said)
    return len(re.findall(r"^✓", summary, re.MULTILINE)) - (int(others[1]) - int(others[2]) if others else 0)


def clients(wanted: Mapping[str, Iterable[str]]) -> Iterator[Check]:
    """The suite's servers behind the gate."""
    client = f"{sys.executable} -m tests.conformance.client"
    for revision, scenarios in wanted.items():
        for scenario in scenarios:
            words = ("--command", client, "--scenario", scenario, "--spec-version", revision, "--timeout", "120000", "--force")
            # Extensions are on no revision's list and would be skipped; a skipped one ends with 0.
            yield Check(
                f"{revision} client {scenario}",
                ("conformance", "client", *words),
                lambda code, said: code == 0 and "OVERALL: PASSED" in said,
            )


def suite(url: str) -> Iterator[Check]:
    """What an OpenAPI service can answer."""
    for revision, scenarios in SCENARIOS.items():
        for scenario in scenarios:
            command = ("conformance", "server", "--url", f"{url}/mcp", "--scenario", scenario, "--spec-version", revision)
            yield Check(f"{revision} {scenario}", command)
    for scenario in TASKS:
        words = ("--scenario", scenario, "--spec-version", "2026-07-28", "--force")  # without it what is on no revision's list is skipped
        yield Check(f"2026-07-28 {scenario}", ("conformance", "server", "--url", f"{url}/mcp", *words))


def inspections(url: str, settings: Path) -> Iterator[Check]:
    stdio = (sys.executable, "-m", "toolgate", "serve", "--stdio", "--config", str(settings))
    ways: Mapping[str, tuple[str, ...]] = {"http": (f"{url}/mcp",), "sse": (f"{url}/sse",), "stdio": stdio}
    for transport, target in ways.items():
        options = ("--format", "json") if transport == "stdio" else ("--transport", transport, "--format", "json")
        asks = {"list": ("--method", "tools/list"), "call": ("--method", "tools/call", "--tool-name", "test_simple_text")}
        for name, words in asks.items():
            command = ("mcp-inspector", "--cli", *PATIENCE, *options, *words, "--", *target)
            yield Check(f"inspector {transport} {name}", command, lambda code, said: code == 0 and "simple" in said)


def reference(url: str) -> Iterator[Check]:
    """The reference server as a child process, asked by the Inspector through the gate."""
    for name, words in REFERENCE.items():
        command = ("mcp-inspector", "--cli", *PATIENCE, "--transport", "http", "--format", "json", *words, "--", f"{url}/mcp")
        wanted = name.partition(" ")[2]
        yield Check(f"reference {name}", command, lambda code, said, wanted=wanted: code == 0 and wanted in said)  # type: ignore[misc]


async def run(check: Check) -> str | None:
    """None when it passed, else what was said."""
    process = await asyncio.create_subprocess_exec(
        *check.command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment()
    )
    try:
        out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    said = out.decode(errors="replace")
    return None if check.good(process.returncode or 0, said) else said


async def run_all(checks: Iterable[Check]) -> dict[str, str | None]:
    """In their order, some at a time, each told when it has ended; those without an entry have not."""
    results: dict[str, str | None] = {}
    turns = iter(checks)

    async def work() -> None:
        for check in turns:
            results[check.name] = said = await run(check)
            print("ok  " if said is None else "FAIL", check.name, flush=True)

    try:
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
            for _ in range(ROOM):
                tasks.create_task(work())
    except TimeoutError:
        pass
    return results


async def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with (
            serving_everything() as everything,
            gateway(over_http(everything)) as (whole, _),
            serving(service()) as upstream,
            gateway(INTEGRATION.format(url=upstream)) as (fixtures, settings),
            gateway(as_program()) as (program, _),
        ):
            checks = [
                *required(whole, folder),
                *clients(CLIENT_SCENARIOS),
                *reference(program),
                *inspections(fixtures, settings),
                *clients({"2026-07-28": [f"auth/{name}" for name in CONSENTS]}),
                *suite(fixtures),
            ]
            began = time.monotonic()
            results = await run_all(checks)
            took = time.monotonic() - began
    for name, said in results.items():
        if said is not None:
            print(f"\n{name}\n     " + "\n     ".join(said.strip().splitlines()[-25:]))
    failed = sum(said is not None for said in results.values())
    left = [check.name for check in checks if check.name not in results]
    print(f"{len(results) - failed} passed, {failed} failed, {len(left)} not ended in {took:.0f} s")
    if left:
        print(f"not ended: {', '.join(left)}")
    return 1 if failed or left else 0


install()
sys.exit(asyncio.run(main()))
