"""The call of `rest` through one stdio session: `python -m tests.bench.stdio WHAT CALLS`, with so many CALLS under way.

WHAT is `toolgate` (a client of 2026-07-28), `old` (one of 2025-11-25, as today's are) or `fastmcp` and `fastmcpold`, for which
BENCH_FASTMCP names a Python that has it. Everything is on as in `rest`; here the caller is whom the operating system names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench import rest
from tests.bench.common import cpu_of, resident_mb, tell
from tests.bench.upstream import MARK

WARM = 1.0
"""Seconds before anything is counted."""
FASTMCP = """
import json, sys, uvloop, httpx2
from fastmcp import FastMCP
client = httpx2.AsyncClient(base_url=sys.argv[1], limits=httpx2.Limits(max_connections=200, max_keepalive_connections=200))
server = FastMCP.from_openapi(openapi_spec=json.loads(sys.argv[2]), client=client, name="bench")
uvloop.run(server.run_async(transport="stdio", show_banner=False, log_level="WARNING"))
"""
Row = dict[str, float | str]


class Session:
    """A client that keeps a number of calls under way, each with an id and an argument of its own."""

    def __init__(self, process: subprocess.Popen[bytes], tool: str, era: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        self._unread = b""
        self._number = 100_000_000
        params: dict[str, Any] = {"name": tool, "arguments": {"item_id": "@ID@"}} | ({"_meta": rest.META} if era == rest.NEW else {})
        message = {"jsonrpc": "2.0", "id": "@ID@", "method": "tools/call", "params": params}
        self._call = json.dumps(message, separators=(",", ":")).replace('"@ID@"', "@ID@").encode() + b"\n"
        if era == rest.OLD:
            hello = {"protocolVersion": era, "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}
            self._send(json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}).encode() + b"\n")
            self._lines()
            self._send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')

    def call(self, number: int) -> None:
        calls = []
        for _ in range(number):
            self._number += 1
            calls.append(self._call.replace(b"@ID@", b"%d" % self._number))
        self._send(b"".join(calls))

    def answered(self) -> int:
        """Wait for answers; how many came."""
        lines = self._lines()
        for line in lines:
            if MARK.encode() not in line:
                sys.exit(f"a bad answer: {line[:600]!r}")
        return len(lines)

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._to, data) :]

    def _lines(self) -> list[bytes]:
        while True:
            more = os.read(self._from, 1 << 20) or sys.exit(f"the server ended with {self.process.wait(5)}")
            *lines, self._unread = (self._unread + more).split(b"\n")
            if lines:
                return lines


def drive(session: Session, calls: int, seconds: float) -> Row:
    """What the client sees of `calls` that are always under way, and what the server's process uses meanwhile."""
    session.call(calls)
    began = time.perf_counter() + WARM
    while time.perf_counter() < began:
        session.call(session.answered())
    pid, done = session.process.pid, 0
    before, began = cpu_of(pid), time.perf_counter()
    while (now := time.perf_counter()) < began + seconds:
        done += (came := session.answered())
        session.call(came)
    return {"CPU µs": (cpu_of(pid) - before) / done * 1e6, "calls/s": done / (now - began), "MB": resident_mb(pid)}


@contextmanager
def started(what: str, folder: Path, service: str) -> Iterator[Session]:
    rest.pin(rest.LOAD_CORE)
    era, tool, log = rest.OLD if what.endswith("old") else rest.NEW, "items_get_item", folder / "log"
    if what.startswith("fastmcp"):
        python, tool = os.environ.get("BENCH_FASTMCP") or sys.exit("BENCH_FASTMCP names a Python that has fastmcp"), "get_item"
        command = [python, "-c", FASTMCP, service, json.dumps(rest.ITEMS)]
    else:
        rest.written(folder, service, rest.free_port(), full=False)
        command = [sys.executable, "-m", "toolgate", "serve", "--stdio", "--config", str(folder / "toolgate.yaml")]
    pipe = subprocess.PIPE
    with (
        log.open("wb") as told,
        subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=told, cwd=rest.HERE, preexec_fn=lambda: rest.pin(rest.SERVER_CORE)
        ) as process,
        rest.ended(process),
    ):
        yield Session(process, tool, era)


def main(what: str, calls: int) -> None:
    with tempfile.TemporaryDirectory() as folder, rest.upstream() as service, started(what, Path(folder), service) as session:
        session.call(1)
        session.answered()
        first = {"CPU s to the first answer": cpu_of(session.process.pid), "idle MB": resident_mb(session.process.pid)}
        tell({**drive(session, calls, rest.SECONDS), **first})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
