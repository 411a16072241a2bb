"""How long from a key until its result is painted, and from opening the page until it is.

`python -m tests.browser.keystrokes [TOOLS | FILE]`: over the tools of a description FILE, or TOOLS made ones (1,223 is what
GitHub's whole description gives). A key's time runs from the browser's own time stamp of the event until the frame that shows
the new query has been laid out and painted: to the first task after it. Beside it stands what the browser itself tells (Event
Timing, in steps of 8 ms): until that frame is on the screen.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.gate import a_gate, signed_in

WORDS = ("create issue", "list repo hooks", "delete comment", "get workflow run", "update team member", "search code", "item 77", "zzzz")
ROUNDS = 3
WATCH = """() => {
  window.times = [];
  window.told = [];
  new PerformanceObserver((list) => {
    for (const each of list.getEntries()) if (each.name === "keydown") window.told.push(each.duration);
  }).observe({ type: "event", durationThreshold: 16 });
  addEventListener("keydown", (event) => {
    const began = event.timeStamp;
    const list = document.querySelector("#palette-list");
    const before = list?.dataset.query;
    const look = () => {
      if (document.querySelector("#palette-list")?.dataset.query === before) return requestAnimationFrame(look);
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => window.times.push(performance.now() - began);
      port2.postMessage(null);
    };
    if (list && event.key.length === 1) requestAnimationFrame(look);
  }, true);
}"""
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def catalogue(tools: int) -> dict[str, Any]:
    """A description with names like GitHub's, and as many."""
    verbs, nouns = (
        ("list", "create", "get", "update", "delete"),
        ("issue", "comment", "hook", "team_member", "workflow_run", "repo", "code"),
    )
    paths: dict[str, Any] = {}
    for number in range(tools):
        name = f"{verbs[number % 5]}_{nouns[number // 5 % 7]}_item_{number}"
        operation = {"operationId": name, "summary": f"{name.replace('_', ' ')} of a repository", "tags": [nouns[number // 5 % 7]]}
        paths[f"/repos/{{owner}}/{number}"] = {"get": {**operation, "responses": {"200": {"description": "."}}}}
    return {"openapi": "3.1.0", "info": {"title": "Many", "version": "1"}, "servers": [{"url": "https://many.example"}], "paths": paths}


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(what: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = folder / "many" / "many"
        many.mkdir(parents=True)
        file = "openapi.json" if what.isdigit() else f"openapi{''.join(Path(what).suffixes[-2:])}"
        (many / file).write_bytes(json.dumps(catalogue(int(what))).encode() if what.isdigit() else Path(what).read_bytes())
        (many / "integration.yaml").write_text(f"name: many\nspec: {file}\nexpose: search\n")
        with a_gate(folder, tool_specs=["many"]) as gate, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            page = browser.new_context(base_url=gate.url).new_page()
            signed_in(page, gate, "admin")
            paints = []
            for _ in range(5):
                page.reload()
                page.get_by_role("option").first.wait_for()
                paints.append(page.evaluate(PAINT))
            tools = len([tool for tool in gate.app.gateway.catalog if tool.integration == "many"])
            page.evaluate(WATCH)
            for _ in range(ROUNDS):
                for words in WORDS:
                    page.keyboard.press("Control+k")
                    page.get_by_role("dialog").get_by_role("combobox").wait_for()
                    page.keyboard.type(words, delay=60)
                    page.wait_for_timeout(150)
                    page.keyboard.press("Escape")
            times, told = page.evaluate("[window.times, window.told]")
            browser.close()
    print(f"{tools} tools, {len(times)} keys: p50 {statistics.median(times):.0f} ms, p95 {percentile(times, 0.95):.0f} ms")
    slow = sorted(told)[-(len(times) // 20 or 1)] if len(told) > len(times) // 20 else 16
    print(f"on the screen, as the browser tells: p95 at most {slow:.0f} ms")
    print(f"first contentful paint: median {statistics.median(paints):.0f} ms of {len(paints)}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "1223")
