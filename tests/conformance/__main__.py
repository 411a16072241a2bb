"""Install the tools, serve the fixtures, run the scenarios, print one line each; ends with 1 when one fails."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
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
SCORED = {"2025-11-25": 30, "2026-07-28": 37}
"""Scenarios that count, of each revision."""
REFERENCE: Mapping[str, tuple[str, ...]] = {
    "lists get-sum": ("--method", "tools/list"),
    "calls Echo: hello": ("--method", "tools/call", "--tool-name", "echo", "--tool-args-json", '{"message": "hello"}'),
    "lists demo://resource": ("--method", "resources/list"),
    "lists simple-prompt": ("--method", "prompts/list"),
}
"""What the Inspector asks, by what it must be told."""
SETTINGS = """tool_specs: [tool-specs]
data_dir: state
server: {port: 0}
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
            told = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
            yield told["url"].removesuffix("/mcp"), settings
        finally:
            process.terminate()
            await asyncio.wait_for(process.wait(), 30)


async def run(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment()
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(errors="replace")


async def suite(url: str) -> dict[str, str | None]:
    """By scenario: None when it passed, else what the suite says."""
    results: dict[str, str | None] = {}
    for revision, scenarios in SCENARIOS.items():
        for scenario in scenarios:
            command = ("conformance", "server", "--url", f"{url}/mcp", "--scenario", scenario, "--spec-version", revision)
            code, said = await run(*command)
            results[f"{revision} {scenario}"] = said if code else None
    return results


def inspections(url: str, settings: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    stdio = (sys.executable, "-m", "toolgate", "serve", "--stdio", "--config", str(settings))
    ways: Mapping[str, tuple[str, ...]] = {"http": (f"{url}/mcp",), "sse": (f"{url}/sse",), "stdio": stdio}
    for transport, target in ways.items():
        options = ("--format", "json") if transport == "stdio" else ("--transport", transport, "--format", "json")
        yield f"inspector {transport} list", (*options, "--method", "tools/list", "--", *target)
        yield f"inspector {transport} call", (*options, "--method", "tools/call", "--tool-name", "test_simple_text", "--", *target)


async def inspect(url: str, settings: Path) -> dict[str, str | None]:
    results: dict[str, str | None] = {}
    for name, words in inspections(url, settings):
        code, said = await run("mcp-inspector", "--cli", *words)
        results[name] = None if code == 0 and "simple" in said else said
    return results


async def required(url: str) -> dict[str, str | None]:
    """Everything that the suite requires of a server, of both eras, through the gate."""
    results: dict[str, str | None] = {}
    for revision in SCENARIOS:
        with tempfile.TemporaryDirectory() as folder:
            code, said = await run("conformance", "server", "--url", f"{url}/mcp", "--requirements", revision, "-o", folder)
        passed = _scored(said)
        good = code == 0 and passed == SCORED[revision]
        results[f"{revision} everything that is scored: {passed} of {SCORED[revision]}"] = None if good else said
    return results


def _scored(said: str) -> int:
    """How many scenarios passed of those that count."""
    summary = said.partition("=== SUMMARY ===")[2].partition("Total:")[0]
    others = re.search(r"Not scored for [\d-]+: (\d+) scenario\(s\) run, (\d+) failing", said)
    return len(re.findall(r"^✓", summary, re.MULTILINE)) - (int(others[1]) - int(others[2]) if others else 0)


async def reference() -> dict[str, str | None]:
    """The reference server as a child process, asked by the Inspector through the gate."""
    results: dict[str, str | None] = {}
    async with gateway(as_program()) as (url, _):
        for name, words in REFERENCE.items():
            code, said = await run("mcp-inspector", "--cli", "--transport", "http", "--format", "json", *words, "--", f"{url}/mcp")
            results[f"reference {name}"] = None if code == 0 and name.partition(" ")[2] in said else said
    return results


async def main() -> int:
    async with serving(service()) as upstream, gateway(INTEGRATION.format(url=upstream)) as (url, settings):
        results = await suite(url) | await inspect(url, settings)
    async with serving_everything() as upstream, gateway(over_http(upstream)) as (url, _):
        results |= await required(url)
    results |= await reference()
    for name, said in results.items():
        print(f"{'ok  ' if said is None else 'FAIL'} {name}")
        if said is not None:
            print("     " + "\n     ".join(said.strip().splitlines()[-25:]))
    failed = sum(said is not None for said in results.values())
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


install()
sys.exit(asyncio.run(main()))
