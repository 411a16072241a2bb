"""Install the tools, serve the fixtures, run the scenarios, print one line each; ends with 1 when one fails."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.conformance.service import DESCRIPTION, service
from toolgate.standin import serving

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "node_modules" / ".conformance"
PACKAGES = ("node@22", "@modelcontextprotocol/conformance@0.2.0-alpha.12", "@modelcontextprotocol/inspector@2.12.0")
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
INTEGRATION = """name: fixtures
prefix: ""
spec: openapi.json
base_url: {url}
allow_networks: ["127.0.0.0/8"]
"""


def install() -> None:
    if (NODE / "node_modules" / ".bin" / "conformance").exists():
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not here; it brings Node 22, the suite and the Inspector")
    NODE.mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(NODE), *PACKAGES], check=True, timeout=600)


def environment() -> dict[str, str]:
    binaries = NODE / "node_modules" / ".bin"
    return {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "MCP_INSPECTOR_SECRET_STORE": "memory"}


@asynccontextmanager
async def gateway(upstream: str) -> AsyncIterator[tuple[str, Path]]:
    """The base URL of a toolgate of its own process over the fixtures, and its settings file."""
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "tool-specs" / "fixtures").mkdir(parents=True)
        (base / "tool-specs" / "fixtures" / "integration.yaml").write_text(INTEGRATION.format(url=upstream))
        (base / "tool-specs" / "fixtures" / "openapi.json").write_text(json.dumps(DESCRIPTION))
        settings = base / "toolgate.yaml"
        settings.write_text("tool_specs: [tool-specs]\ndata_dir: state\nserver: {port: 0}\n")
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


async def main() -> int:
    async with serving(service()) as upstream, gateway(upstream) as (url, settings):
        results = await suite(url) | await inspect(url, settings)
    for name, said in results.items():
        print(f"{'ok  ' if said is None else 'FAIL'} {name}")
        if said is not None:
            print("     " + "\n     ".join(said.strip().splitlines()[-25:]))
    failed = sum(said is not None for said in results.values())
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


install()
sys.exit(asyncio.run(main()))
