"""The MCP server behind the gateway: one tool, a fixed answer.

2026-07-28 over HTTP, on a free port, which it prints; with `stdio` as an argument, and for either era, over its
standard streams.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import orjson

from tests.bench.upstream import BODY

SCHEMA = {"type": "object", "properties": {"item_id": {"type": "integer", "minimum": 1}}, "required": ["item_id"]}
COMPLETE = {"resultType": "complete"}
RESULTS: dict[str, Any] = {
    "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "bench", "version": "1"}},
    "server/discover": {
        **COMPLETE,
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "ttlMs": 3_600_000,
        "cacheScope": "public",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "bench", "version": "1"}},
    },
    "tools/list": {
        **COMPLETE,
        "tools": [{"name": "get_item", "description": "Get an item", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}}],
        "ttlMs": 3_600_000,
        "cacheScope": "public",
    },
    "tools/call": {**COMPLETE, "content": [{"type": "text", "text": BODY.decode()}], "isError": False},
}
SENT = {method: orjson.dumps(result) for method, result in RESULTS.items()}
UNKNOWN = b'"error":{"code":-32601,"message":"Method not found"}'


def answer(message: Any) -> bytes:
    result = SENT.get(message["method"])
    said = b'"result":' + result if result else UNKNOWN
    return b'{"jsonrpc":"2.0","id":%b,%b}' % (orjson.dumps(message.get("id")), said)


class Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while True:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r")[0] or 0)
            if not end or len(rest) < length:
                return
            self._unread = rest[length:]
            self._answer(orjson.loads(rest[:length]))

    def _answer(self, message: Any) -> None:
        body = answer(message)
        status = b"404 Not Found" if UNKNOWN in body else b"200 OK"
        self._transport.write(b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))


def over_standard_streams() -> None:
    for line in sys.stdin.buffer:
        message = orjson.loads(line)
        if "id" in message:
            sys.stdout.buffer.write(answer(message) + b"\n")
            sys.stdout.buffer.flush()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1:] == ["stdio"]:
        over_standard_streams()
    else:
        import uvloop

        uvloop.run(main())
