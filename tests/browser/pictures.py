"""Pictures of the console's pages in both colour schemes, for docs/console/: `python -m tests.browser.pictures`."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests.browser.axe import SCHEMES
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.gate import Gate, a_gate, signed_in

TO = Path(__file__).resolve().parents[2] / "docs" / "console"
SIZE: Any = {"width": 1000, "height": 640}
PLACE = {"owner": "acme", "repo": "rocket"}
SCRIPT = [
    {"text": "I look which labels there are.", "calls": [{"tool": "github_list_labels", "arguments": PLACE}]},
    {"text": "Now I open the issue.", "calls": [{"tool": "github_create_issue", "arguments": {**PLACE, "title": "Refuel"}}]},
    {"text": "That is done."},
]


def called(page: Any, gate: Gate, owner: str, role: str, tool: str, arguments: Any) -> None:
    headers = {"authorization": f"Bearer {gate.key(owner, role)}"}
    page.request.post(f"{gate.url}/v1/tools/{tool}/call", headers=headers, data={"arguments": arguments})


def happen(page: Any, gate: Gate) -> None:
    """Something to see."""
    for owner, times in (("ada", 7), ("bob", 3)):
        for _ in range(times):
            called(page, gate, owner, "developer", "github_list_issues", {**PLACE, "page": times})
            called(page, gate, owner, "developer", "github_list_labels", PLACE)
    called(page, gate, "guest", "readonly", "github_create_issue", {**PLACE, "title": "No"})
    called(page, gate, "ada", "developer", "github_get_issue", {**PLACE, "issue_number": 404})
    called(page, gate, "ada", "developer", "github_create_issue", {**PLACE, "title": "Landing gear squeaks", "labels": ["bug"]})


def pictures(page: Any, gate: Gate, scheme: str) -> None:
    def take(name: str) -> None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=TO / f"{name}-{scheme}.png")

    for at in ("tools", "approvals", "audit", "integrations", "metrics"):
        signed_in(page, gate, "admin", f"#/{at}")
        page.get_by_role("heading", level=1).wait_for()
        take(at)
    page.keyboard.press("Control+k")
    page.keyboard.type("create issue")
    take("palette")
    arguments = json.dumps({**PLACE, "title": "Refuel", "labels": ["engine"]})
    signed_in(page, gate, "developer", f"#/tools/github_create_issue?args={arguments}")
    page.get_by_role("button", name="Dry run").click()
    page.get_by_role("region", name="Dry run").scroll_into_view_if_needed()
    take("tool")
    page.keyboard.press("Control+j")
    page.get_by_label("Task").fill("Open an issue to refuel the rocket")
    page.get_by_label("Task").press("Enter")
    page.get_by_role("button", name="Approve once").wait_for()
    take("agent")


def main() -> None:
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "play.yaml").write_text(json.dumps(SCRIPT))
        providers = {"play": {"kind": "scripted", "script": "play.yaml"}}
        with a_gate(folder, providers=providers) as gate, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            schemes: tuple[Any, ...] = SCHEMES
            for number, scheme in enumerate(schemes):
                page = browser.new_context(base_url=gate.url, viewport=SIZE, color_scheme=scheme).new_page()
                if number == 0:
                    happen(page, gate)
                pictures(page, gate, scheme)
            browser.close()


if __name__ == "__main__":
    main()
