"""A closed loop of callers over keep-alive connections; each waits for its answer before it asks again.

    python -m tests.bench.load PORT CONNECTIONS SECONDS MARK < request

The request is one whole HTTP/1.1 message, in which `@ID@` becomes a number of nine digits, another one each time. Every answer
has to be a 200 with MARK in its body. Prints a line once it is warm, and one JSON object at the end.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time
from itertools import count
from typing import cast

WARM = 1.0
"""Seconds before anything is counted."""
END = b"0\r\n\r\n"
"""Of a body in chunks."""


class Caller(asyncio.Protocol):
    def __init__(self, request: bytes, mark: bytes, ids: count[int], window: tuple[float, float], waits: list[float]) -> None:
        self._request = request
        self._mark = mark
        self._ids = ids
        self._from, self._until = window
        self._waits = waits
        self._answer = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def _ask(self) -> None:
        self._head, self._body = b"", bytearray()
        self._asked = time.perf_counter()
        self._transport.write(self._request.replace(b"@ID@", b"%09d" % next(self._ids)))

    def data_received(self, data: bytes) -> None:
        if not self._head:
            self._head, _, data = data.partition(b"\r\n\r\n")  # heads come in one piece here
            length = self._head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r")[0]
            self._length = int(length) if length else None
        self._body += data
        if self._body.endswith(END) if self._length is None else len(self._body) >= self._length:
            self._answered(time.perf_counter())

    def _answered(self, now: float) -> None:
        if not self._head.startswith(b"HTTP/1.1 200") or self._mark not in self._body:
            self._end(RuntimeError(f"a bad answer: {self._head!r} {bytes(self._body[:600])!r}"))
        elif now >= self._until:
            self._end(None)
        else:
            if self._asked >= self._from:
                self._waits.append(now - self._asked)
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(RuntimeError("the connection was closed"))

    def _end(self, problem: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_exception(problem) if problem else self.ended.set_result(None)
            self._transport.close()


async def main(port: int, connections: int, seconds: float, mark: bytes) -> None:
    request, ids, waits = sys.stdin.buffer.read(), count(100_000_001), list[float]()
    began = time.perf_counter() + WARM
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(request, mark, ids, (began, began + seconds), waits), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    print("warm" if await asyncio.sleep(WARM, True) else "", flush=True)
    await asyncio.gather(*(caller.ended for caller in callers))
    waits.sort()
    row = {"calls": len(waits), "calls/s": len(waits) / seconds}
    for name, part in (("p50 ms", 0.5), ("p99 ms", 0.99)):
        row[name] = waits[int(len(waits) * part)] * 1e3 if waits else math.nan
    print(json.dumps(row))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4].encode()))
