"""Turns of an agent: a reply with one call, the call through the gate, its result, all of it durable; the model takes no time.

What is told is what a turn takes beside the call itself: the loop, the router and their writing down.
"""

from __future__ import annotations

import asyncio
import json
import math
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from tests.bench.common import cpu, tell
from toolgate.agent.events import Called, Calling, Event, Started
from toolgate.agent.runs import Task
from toolgate.app import open_app
from toolgate.server.identify import local
from toolgate.server.start import settle_down
from toolgate.settings import Settings
from toolgate.thinking import ModelProvider

RUNS, TURNS = 8, 20


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.json"
        lines = [{"calls": [{"tool": "search_tools", "arguments": {"query": f"list issues {n}", "limit": 1}}]} for n in range(TURNS)]
        script.write_text(json.dumps([*lines, {"text": "Done."}]))
        settings = Settings(data_dir=Path(folder), providers={"play": ModelProvider(kind="scripted", script=script)})
        async with open_app(settings) as app:
            turns: list[float] = []
            called = began = 0.0

            async def hear(event: Event) -> None:
                nonlocal called, began
                now = time.perf_counter()
                if isinstance(event, Started):
                    called, began = 0.0, math.nan
                elif isinstance(event, Calling):
                    turns.append(now - began - called)
                    began = now
                elif isinstance(event, Called):
                    called = event.seconds

            limits = replace(app.agent.limits, tokens=None)
            user = local(settings.stdio, "terminal")
            await app.agent.run(Task("Look", limits=limits), user, hear)
            turns.clear()
            settle_down()
            used = cpu()
            for _ in range(RUNS):
                end = await app.agent.run(Task("Look", limits=limits), user, hear)
                assert (end.status, end.calls) == ("done", TURNS), end
            used = cpu() - used
    waits = sorted(turn for turn in turns if not math.isnan(turn))
    tell({"CPU µs": used / RUNS / TURNS * 1e6, "p50 ms": waits[len(waits) // 2] * 1e3, "p95 ms": waits[len(waits) * 95 // 100] * 1e3})


asyncio.run(main())
