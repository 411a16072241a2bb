"""The floor: uvicorn, uvloop and httptools, a bare ASGI application, aiohttp's client and orjson. No check, no list, no record.

python -m tests.compare.floor PORT SERVICE
"""

from __future__ import annotations

import sys
from typing import Any

import aiohttp
import orjson
import uvicorn

SERVICE = sys.argv[2] if len(sys.argv) > 2 else ""
client: list[aiohttp.ClientSession] = []


async def app(scope: Any, receive: Any, send: Any) -> None:
    if not client:
        client.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200), auto_decompress=False))
    message = await receive()
    body = message.get("body", b"")
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    asked = orjson.loads(body or b'{"id": 0, "params": {"arguments": {"item_id": 0}}}')
    async with client[0].get(f"{SERVICE}/items/{asked['params']['arguments']['item_id']}") as response:
        text = (await response.read()).decode()
    result = {"resultType": "complete", "content": [{"type": "text", "text": text}], "isError": False}
    answer = orjson.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning", lifespan="off")
