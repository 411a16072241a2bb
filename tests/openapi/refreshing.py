"""A process that refreshes what was granted: `python -m tests.openapi.refreshing FOLDER ISSUER`, once for each line on its input."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from toolgate.egress.transport import open_transport
from toolgate.integration import Integration
from toolgate.openapi.granted import Granted
from toolgate.openapi.links import Links
from toolgate.stores import open_stores
from toolgate.stores.sealed import Sealer


def tracker(issuer: str) -> Integration:
    auth = {"type": "oauth2_authorization_code", "issuer": issuer}
    said = {"name": "tracker", "kind": "mcp", "url": "https://tracker.example/mcp", "auth": auth, "allow_networks": ["127.0.0.0/8"]}
    return Integration.model_validate(said)


async def main(folder: Path, issuer: str) -> None:
    async with open_stores("sqlite", folder) as stores, open_transport() as transport:
        shared = Granted(tracker(issuer), transport, Links(stores.records, Sealer(folder / "key"))).shared
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            shared.renew(await shared.proof(30))  # as if the resource had refused it
            proof = await shared.proof(30)
            print(proof.secrets[0], flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
