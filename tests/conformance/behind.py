"""Servers to stand behind the gate for the suite: the SDK's own everything server, and the reference one as a program."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

from tests.conformance.install import BINARIES, NODE

EVERYTHING = "examples/servers/everything-server"
"""In the SDK's source distribution, which has what its wheel has not."""


def everything() -> Path:
    """The folder of the SDK's everything server, of the version that is installed here; fetched when it is not there."""
    version = metadata.version("mcp")
    found = NODE / f"mcp-{version}" / EVERYTHING
    if not found.is_dir():
        pip = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--no-binary",
            "mcp",
            "--dest",
            str(NODE),
            f"mcp=={version}",
        ]
        subprocess.run(pip, check=True, timeout=600)
        with tarfile.open(NODE / f"mcp-{version}.tar.gz") as archive:
            archive.extractall(NODE, filter="data")
    return found


@asynccontextmanager
async def serving_everything() -> AsyncIterator[str]:
    """The URL of the SDK's everything server, in a process of its own."""
    port = _free_port()
    command = [sys.executable, "-m", "mcp_everything_server", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=everything(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(90):
            while not await _listens(port):
                await asyncio.sleep(0.1)
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


def over_http(url: str) -> str:
    """The declaration of the server at `url`, whose names are left as the suite wants them."""
    return json.dumps(
        {
            "name": "everything",
            "kind": "mcp",
            "url": url,
            "prefix": "",
            "allow_networks": ["127.0.0.0/8"],
            "prices": {"default": 0},
        }
    )


def as_program() -> str:
    """The declaration of the reference server, as a child process."""
    program = NODE / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    command = [str(BINARIES / "node"), str(program), "stdio"]
    return json.dumps({"name": "reference", "kind": "mcp", "command": command, "prefix": "", "prices": {"default": 0}})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
