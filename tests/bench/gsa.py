"""Load every official GSA file, as published."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.common import cpu, specs, tell
from toolgate.openapi.load import load

files = [file for file in sorted((specs() / "gsa").rglob("*")) if file.suffix in (".yaml", ".yml", ".json")]
tools, loaded_files = 0, 0
before = cpu()
with tempfile.TemporaryDirectory() as base:
    for number, file in enumerate(files):
        folder = Path(base) / f"gsa{number}"
        folder.mkdir()
        (folder / file.name).write_bytes(file.read_bytes())
        (folder / "integration.yaml").write_text(f"name: gsa{number}\nspec: {file.name}\nfragment: true\nbase_url: https://api.gsa.gov\n")
        loaded = load(folder, Path(base) / "state")
        tools += len(loaded.definitions)
        loaded_files += loaded.problem is None
tell({"files": f"{loaded_files} of {len(files)}", "tools": tools, "CPU s": cpu() - before})
