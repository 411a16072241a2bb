"""Install what is missing and compare: `python -m tests.compare [NAME ...]`, all where none is named.

COMPARE_ROUNDS (3), COMPARE_CONNECTIONS (`1,16,64`; slow peers only do the middle one), BENCH_SECONDS (3) a window.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench import rest
from tests.bench.common import cpu_of, resident_mb
from tests.bench.upstream import MARK
from tests.compare.peers import PEERS, PLACE, PYTHON, Peer, Served, prepare_contextforge

ROUNDS = int(os.environ.get("COMPARE_ROUNDS", "3"))
CONNECTIONS = [int(number) for number in os.environ.get("COMPARE_CONNECTIONS", "1,16,64").split(",")]
Row = dict[str, float]


def main() -> None:
    wanted = [peer for peer in PEERS if not sys.argv[1:] or peer.name in sys.argv[1:]]
    for peer in wanted:
        install(peer)
    found: dict[tuple[str, int], list[Row]] = {}
    for number in range(ROUNDS):
        for peer in wanted:
            for connections, row in measured(peer).items():
                found.setdefault((peer.name, connections), []).append(row)
                print(f"round {number + 1}: {peer.name}, {connections}: {json.dumps(row)}", file=sys.stderr, flush=True)
    load = os.getloadavg()[0]
    print(f"CPython {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, medians of {ROUNDS}\n")
    print(table(wanted, {key: median(rows) for key, rows in found.items()}))


def install(peer: Peer) -> None:
    """A virtual environment for it, unless there is one that was finished."""
    done = peer.folder / "installed"
    if not peer.packages or done.exists():
        return
    print(f"installing {', '.join(peer.packages)} in {peer.folder}", file=sys.stderr, flush=True)
    subprocess.run([PYTHON, "-m", "venv", "--clear", peer.folder], check=True)
    python = peer.folder / "bin" / "python"
    if peer.overrides:  # pip knows none
        (peer.folder / "overrides.txt").write_text("\n".join(peer.overrides))
        uv = PLACE / "uv"
        subprocess.run([PYTHON, "-m", "venv", uv], check=True)
        subprocess.run([uv / "bin" / "pip", "install", "-q", "uv"], check=True)
        command = [
            str(uv / "bin" / "uv"),
            "pip",
            "install",
            "-q",
            "--python",
            str(python),
            "--override",
            str(peer.folder / "overrides.txt"),
        ]
        subprocess.run([*command, *peer.packages], check=True)
    else:
        subprocess.run([python, "-m", "pip", "install", "-q", *peer.packages], check=True)
    if peer.name == "contextforge":
        prepare_contextforge()
    done.touch()


def measured(peer: Peer) -> Mapping[int, Row]:
    """What one process of it does, by the number of connections."""
    numbers = CONNECTIONS if peer.longer == 1 else CONNECTIONS[len(CONNECTIONS) // 2 :][:1]
    with tempfile.TemporaryDirectory() as folder, rest.upstream(peer.service) as service, peer.start(Path(folder), service) as served:
        headers = dict(served.headers)
        if peer.era == rest.OLD and (session := opened(peer, served)):
            headers["mcp-session-id"] = session
        idle = sum(map(resident_mb, family(served.process.pid)))
        request = whole(peer, served, headers)
        return {number: {**driven(peer, served, request, number), "MB idle": idle} for number in numbers}


def driven(peer: Peer, served: Served, request: bytes, connections: int) -> Row:
    seconds = rest.SECONDS * peer.longer
    command = [sys.executable, "-m", "tests.bench.load", str(served.port), str(connections), str(seconds), MARK]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=rest.HERE, preexec_fn=lambda: rest.pin(rest.LOAD_CORE)) as loader:
        assert loader.stdin is not None
        assert loader.stdout is not None
        loader.stdin.write(request)
        loader.stdin.close()
        loader.stdout.readline()  # it is warm
        before = sum(map(cpu_of, family(served.process.pid)))
        row: Row = json.loads(loader.stdout.readline() or '{"calls": 0}')
        used = sum(map(cpu_of, family(served.process.pid))) - before
    if loader.returncode:
        sys.exit(f"{peer.name} did not answer well; see above")
    calls = row.pop("calls") or math.nan  # none was answered that began within the window
    return {"CPU µs": used / calls * 1e6, **row, "MB": sum(map(resident_mb, family(served.process.pid)))}


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
        except OSError:  # it has ended meanwhile
            continue
        if fields:
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += parents.get(one, ())
    return found


def whole(peer: Peer, served: Served, headers: Mapping[str, str]) -> bytes:
    """The call that is made over and over, as an HTTP message."""
    params: dict[str, Any] = {"name": peer.tool, "arguments": {"item_id": "@ID@"}}
    more = {"mcp-protocol-version": peer.era}
    if peer.era == rest.NEW:
        params["_meta"] = rest.META
        more |= {"mcp-method": "tools/call", "mcp-name": peer.tool}
    message = {"jsonrpc": "2.0", "id": "@ID@", "method": "tools/call", "params": params}
    body = json.dumps(message, separators=(",", ":")).replace('"@ID@"', "@ID@").encode()
    return rest.whole(served.port, body, {**headers, **more}).replace(b"POST /mcp ", f"POST {peer.path} ".encode(), 1)


def opened(peer: Peer, served: Served) -> str | None:
    """The id of a new session of 2025-11-25; None: it has none."""
    hello = {"protocolVersion": rest.OLD, "capabilities": {}, "clientInfo": {"name": "compare", "version": "1"}}
    sent = {**served.headers, "content-type": "application/json", "accept": "application/json, text/event-stream"}
    url = f"http://127.0.0.1:{served.port}{peer.path}"

    def say(message: Mapping[str, Any], **more: str) -> str | None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        with urllib.request.urlopen(urllib.request.Request(url, body, {**sent, **more}), timeout=60) as answer:
            answer.read()
            found: str | None = answer.headers["mcp-session-id"]
            return found

    session = say({"id": 1, "method": "initialize", "params": hello})
    more = {"mcp-protocol-version": rest.OLD} | ({"mcp-session-id": session} if session else {})
    say({"method": "notifications/initialized"}, **more)
    return session


def median(rows: list[Row]) -> Row:
    return {name: statistics.median([row[name] for row in rows]) for name in rows[0]}


def table(peers: list[Peer], found: Mapping[tuple[str, int], Row]) -> str:
    heads = ["", "connections", "CPU µs a call", "times the floor's", "calls/s", "p50 ms", "p99 ms", "MB idle, under load"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for peer in peers:
        for connections in CONNECTIONS:
            if (row := found.get((peer.name, connections))) is None:
                continue
            floor = found.get(("floor", connections))
            times = f"{row['CPU µs'] / floor['CPU µs']:.1f}" if floor else ""
            memory = f"{row['MB idle']:.0f}, {row['MB']:.0f}"
            waits = f"{row['p50 ms']:.1f} | {row['p99 ms']:.1f}"
            lines.append(f"| {peer.label} | {connections} | {row['CPU µs']:,.0f} | {times} | {row['calls/s']:,.0f} | {waits} | {memory} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
