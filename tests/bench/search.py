"""`search_tools` over GitHub's 1,223 tools."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.common import cpu, github_folder, tell
from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.search import Index
from toolgate.testing import ScriptedSender

QUERIES = [
    "create an issue",
    "list pull requests of a repository",
    "who starred this",
    "cancel a workflow run",
    "dependabot alerts by severity",
]

with tempfile.TemporaryDirectory() as base:
    loaded = load(github_folder(Path(base)), Path(base) / "state")
    assert loaded is not None
    tools = {tool.name: tool for tool in tools_of(loaded, ScriptedSender([]))}
    index = Index()
    before = cpu()
    index.search(QUERIES[0], tools, limit=8)
    first = cpu() - before
    before = cpu()
    for _ in range(20):
        for query in QUERIES:
            index.search(query, tools, limit=8)
    tell({"first CPU ms": first * 1e3, "then CPU ms": (cpu() - before) / 100 * 1e3})
