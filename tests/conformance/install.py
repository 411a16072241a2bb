"""Where the job keeps what it fetches, and how it gets there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NODE = ROOT / "node_modules" / ".conformance"
PACKAGES = (
    "node@22",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/server-everything@2026.8.31",
)


def install() -> None:
    """Fetch what is not there yet."""
    names = [name.rpartition("@")[0] for name in PACKAGES]
    if all((NODE / "node_modules" / name).is_dir() for name in names):
        return
    npm = shutil.which("npm")
    if npm is None:
        sys.exit("npm is not here; it brings Node 22, the suite and the Inspector")
    NODE.mkdir(parents=True, exist_ok=True)
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--prefix", str(NODE), *PACKAGES], check=True, timeout=600)


def environment() -> dict[str, str]:
    binaries = NODE / "node_modules" / ".bin"
    return {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "MCP_INSPECTOR_SECRET_STORE": "memory"}
