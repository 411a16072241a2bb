"""The service behind the gateway: a fixed answer of some 1,000 bytes to whatever is asked, on a free port, which it prints."""

from __future__ import annotations

import asyncio
import json
from typing import cast

MARK = "answered-by-the-bench"
ITEM = {
    "id": 42,
    "mark": MARK,
    "name": "Split keyboard",
    "price": {"amount": 129.95, "currency": "EUR"},
    "tags": ["office", "input", "wireless", "ergonomic"],
    "owner": {"id": 9120, "login": "warehouse-north", "url": "https://inventory.example/owners/9120"},
    "description": "Tented halves, switches that can be changed, and a palm rest that comes off. " * 7,
    "suppliers": [{"id": 11, "name": "Northern", "days": 6}, {"id": 27, "name": "Southern", "days": 9}],
}
BODY = json.dumps(ITEM, separators=(",", ":")).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY


class Answering(asyncio.Protocol):
    """Requests have no body, so each ends with an empty line."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._unread = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._unread = (self._unread + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(requests))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
