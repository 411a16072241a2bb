"""`search_tools` over 4,000 tools, GitHub's 1,223 more than three times over, asked long and short questions."""

from __future__ import annotations

import gc
import gzip
import json
import statistics
import tempfile
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

from tests.bench.common import SPECS, cpu, github_folder, tell
from toolgate.openapi.load import load
from toolgate.openapi.source import tools_of
from toolgate.search import Index
from toolgate.testing import ScriptedSender

TOOLS, QUESTIONS = 4000, 2000
SETS = SPECS.parent / "data" / "toolret"
GITHUB = [
    "create an issue",
    "list pull requests of a repository",
    "who starred this",
    "cancel a workflow run",
    "dependabot alerts by severity",
]

with tempfile.TemporaryDirectory() as base:
    loaded = load(github_folder(Path(base)), Path(base) / "state")
    github = list(tools_of(loaded, ScriptedSender([])))
    copies = TOOLS // len(github) + 1
    tools = [replace(tool, name=f"{tool.name}_{copy}", integration=f"github{copy}") for copy in range(copies) for tool in github][:TOOLS]

asked = [text for path in sorted(SETS.glob("*.json.gz")) for text, _ in json.loads(gzip.decompress(path.read_bytes()))["queries"]]
questions = [*GITHUB, *asked][:QUESTIONS]
gc.collect()
tracemalloc.start()
Index.of(tools)
_, peak = tracemalloc.get_traced_memory()
tracemalloc.stop()
before = cpu()
index = Index.of(tools)
made = cpu() - before
took = []
for question in questions:
    started = time.thread_time()
    index.search(question, limit=8)
    took.append(time.thread_time() - started)
cuts = statistics.quantiles(took, n=100)
tell(
    {
        "tools": len(tools),
        "index CPU ms": made * 1e3,
        "peak MB": peak / 1e6,
        "questions": len(questions),
        "p50 ms": cuts[49] * 1e3,
        "p95 ms": cuts[94] * 1e3,
    }
)
