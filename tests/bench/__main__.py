"""Run every measurement, several times, and print a Markdown table with the medians."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
GOALS = {
    "help": "`toolgate --help`, CPU ≤ 0.15 s",
    "start": "start to ready, bundled integrations: CPU ≤ 1.5 s, resident ≤ 110 MB",
    "github_cold": "GitHub's official description: CPU ≤ 0.5 s, peak ≤ 150 MB, listing ≤ 2 MB",
    "github_warm": "the same from the compiled cache: CPU ≤ 0.1 s",
    "gsa": "GSA's official files: all operations",
    "call_1_reads": "one call that reads, validated, permitted, audited, 1 at a time: CPU ≤ 300 µs",
    "call_1_free": "the same with an intent",
    "call_1": "and with a price, so through every step: CPU ≤ 500 µs",
    "call_50_reads": "reads, 50 at a time",
    "call_50_free": "with an intent, 50 at a time",
    "call_50": "through every step, 50 at a time: CPU ≤ 500 µs, ≥ 2,000 calls/s, p50 ≤ 6 ms, p99 ≤ 35 ms",
    "list": "tools/list of 1,223 tools over HTTP: first and then",
    "rest_toolgate_1": "`toolgate serve`: a call that makes a call, everything on, 1 connection",
    "rest_toolgate_16": "the same, 16 connections: CPU ≤ 250 µs, p99 ≤ 8 ms",
    "rest_toolgate_64": "the same, 64 connections: p99 ≤ 30 ms",
    "rest_full_16": "the same beside GitHub's 1,223 tools, 16 connections",
    "rest_mcp_16": "the same call of an MCP server's tool, 16 connections: ≥ 4,000 calls/s",
    "rest_list_1": "a list of all of them once it is kept: CPU ≤ 1,000 µs",
    "rest_old_16": "the call in sessions of 2025-11-25, 16 connections",
    "stdio_toolgate_1": "the call through one stdio session of 2026-07-28, one under way",
    "stdio_toolgate_16": "the same, 16 under way: ≥ 3,000 calls/s",
    "stdio_old_16": "the same in a session of 2025-11-25, 16 under way: ≥ 3,000 calls/s",
    "agent": "a turn of the agent beside its call, the router included, all of it durable: p95 ≤ 5 ms",
    "route": "a decision among 50 models: CPU p99 ≤ 100 µs",
    "route_undeclared": "the same of a prompt whose task nobody declared",
    "route_calibrated": "the same with labelled prompts, for one of 300 characters, as half of real ones have at most",
    "route_calibrated_long": "for one of 1,100, as nine tenths have at most",
    "route_count": "an attempt at a model counted: ≤ 2 µs",
    "search": "search_tools over 4,000 tools: p95 CPU ≤ 1 ms; the index, made by the first search",
}
PEERS = {
    "rest_fastmcp_16": "FastMCP, tuned, nothing checked: the call, 16 connections",
    "stdio_fastmcp_16": "the same through one stdio session, 16 under way",
    "stdio_fastmcpold_16": "the same in a session of 2025-11-25",
}


def main() -> None:
    goals = GOALS | (PEERS if "BENCH_FASTMCP" in os.environ else {})
    wanted = sys.argv[1:] or list(goals)
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, {platform.machine()}, medians of {ROUNDS}\n")
    print("| goal | measured |\n|---|---|")
    for name in wanted:
        rows = [run(name) for _ in range(ROUNDS)]
        print(f"| {goals[name]} | {summary(rows)} |", flush=True)


def run(name: str) -> dict[str, float | str]:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{name.partition('_')[0]}", *name.split("_")[1:]],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=HERE.parents[1],
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    row: dict[str, float | str] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


def summary(rows: list[dict[str, float | str]]) -> str:
    first = rows[0]
    return ", ".join(f"{key} {_median([row.get(key) for row in rows])}" for key in first)


def _median(values: list[float | str | None]) -> str:
    numbers = [value for value in values if isinstance(value, (int, float))]
    return f"{statistics.median(numbers):g}" if len(numbers) == len(values) else str(values[0])


main()
