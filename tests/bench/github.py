"""Convert GitHub's official description: `cold` from nothing, `warm` from the compiled cache."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import orjson

from tests.bench.common import cpu, github_folder, peak_mb, tell
from toolgate.openapi.load import load

with tempfile.TemporaryDirectory() as base:
    folder, state = github_folder(Path(base)), Path(base) / "state"
    if sys.argv[1] == "warm":
        load(folder, state)
    import toolgate.openapi.convert
    import toolgate.openapi.extract  # noqa: F401  # imports are the start's cost, measured there

    before = cpu()
    loaded = load(folder, state)
    used = cpu() - before
    listing = [
        {"name": one.name, "title": one.title, "description": one.description, "inputSchema": one.advertised} for one in loaded.definitions
    ]
    row: dict[str, float | str] = {"CPU s": used, "tools": len(loaded.definitions), "listing MB": len(orjson.dumps(listing)) / 1e6}
    tell(row | ({"peak MB": peak_mb()} if sys.argv[1] == "cold" else {}))
