"""How many instructions the server executes for a call: `python -m tests.bench.weigh [WHAT [CALLS]]`, with valgrind installed.

Unlike seconds they are the same to a hundredth whatever else the machine does. Only what runs outside the kernel counts, and all
threads do. WHAT is one of `rest`: `toolgate`, `old` or `mcp`; or `stdio` or `stdioold`, which is that call in one stdio session of
either era. Two servers make 160 calls and CALLS (1600) more; what the second executed beyond the first is what these took. 16 are
always under way. About a minute.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from tests.bench import rest, stdio
from tests.bench.upstream import MARK

CONNECTIONS = 16
WARM = 160
"""Calls after which nothing is done for the first time."""
REFS = re.compile(r"I\s+refs:\s+([\d,]+)")


def main(what: str, calls: int) -> None:
    weighed = in_session if what.startswith("stdio") else executed
    with ThreadPoolExecutor(2) as pool:
        few, many = pool.map(lambda number: weighed(what, number), (WARM, WARM + calls))
    print(f"{what}: {(many - few) / calls / 1000:,.0f} thousand instructions a call")


def executed(what: str, calls: int) -> int:
    """Instructions of a server from its start to its end, with so many calls."""
    with tempfile.TemporaryDirectory() as folder, rest.upstream("mcp" if what == "mcp" else "upstream") as service:
        base, port = Path(folder), rest.free_port()
        rest.written(base, service, port, full=False, kind="mcp" if what == "mcp" else "openapi")
        ours = [sys.executable, "-m", "toolgate"]
        made = [*ours, "keys", "create", "bench", "--role", "bench", "--tier", "bench", "--config", str(base / "toolgate.yaml")]
        key = subprocess.run(made, check=True, capture_output=True, text=True).stdout.split()[0]
        started = [*counted(base), *ours, "serve", "--config", str(base / "toolgate.yaml")]
        process = subprocess.Popen(started, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": "1"})
        with rest.ended(process):
            rest.answering(process, f"http://127.0.0.1:{port}/readyz")
            headers = {"authorization": f"Bearer {key}"}
            if what == "old":
                headers["mcp-session-id"] = rest.opened(port, headers)
            body, more = rest.asked(what)
            asyncio.run(driven(port, rest.whole(port, body, {**headers, **more}), calls))
        return refs(base)


def in_session(what: str, calls: int) -> int:
    """As `executed`, of a server over its standard streams."""
    with tempfile.TemporaryDirectory() as folder, rest.upstream() as service:
        base, pipe = Path(folder), subprocess.PIPE
        rest.written(base, service, rest.free_port(), full=False)
        started = [*counted(base), sys.executable, "-m", "toolgate", "serve", "--stdio", "--config", str(base / "toolgate.yaml")]
        environment = {**os.environ, "PYTHONHASHSEED": "1"}
        with subprocess.Popen(started, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment) as process:
            session = stdio.Session(process, "items_get_item", rest.OLD if what == "stdioold" else rest.NEW)
            session.call(CONNECTIONS)
            asked, to_come = CONNECTIONS, calls
            while to_come:
                came = session.answered()
                to_come -= came
                more = min(came, calls - asked)
                session.call(more)
                asked += more
        return refs(base)


def counted(base: Path) -> list[str]:
    """What has the program after it counted."""
    return ["valgrind", "--tool=cachegrind", "--cache-sim=no", f"--cachegrind-out-file={base}/counts", f"--log-file={base}/log"]


def refs(base: Path) -> int:
    found = REFS.search((base / "log").read_text())
    assert found is not None
    return int(found[1].replace(",", ""))


async def driven(port: int, request: bytes, calls: int) -> None:
    numbers = count(100_000_001)
    await asyncio.gather(*(caller(port, request, calls // CONNECTIONS, numbers) for _ in range(CONNECTIONS)))


async def caller(port: int, request: bytes, calls: int, numbers: count[int]) -> None:
    """One call after the other over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(calls):
        writer.write(request.replace(b"@ID@", b"%09d" % next(numbers)))
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        # On a busy machine a call may take so long here that its answer becomes a stream.
        body = await reader.readexactly(int(length[1])) if length else await reader.readuntil(b"\r\n0\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200") or MARK.encode() not in body:
            sys.exit(f"a bad answer: {head!r} {body[:600]!r}")
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "toolgate", int(sys.argv[2]) if len(sys.argv) > 2 else 1600)
