"""Pages of MCP Apps in a host's sandboxed frame, as hosts show them: values are text, and a form sends what was filled in."""

from __future__ import annotations

import json
from typing import Any

from tests.browser.conftest import WAIT
from toolgate.server.apps import FORM, USAGE, page

HOSTILE = "<img src=x onerror=\"parent.postMessage('out','*')\"><script>parent.postMessage('out','*')</script>"
HOST = """<!doctype html><iframe sandbox="allow-scripts"></iframe><script>
window.heard = []; window.out = [];
const frame = document.querySelector("iframe");
const say = (message) => frame.contentWindow.postMessage({ jsonrpc: "2.0", ...message }, "*");
window.addEventListener("message", ({ data }) => {
  if (!data || data.jsonrpc !== "2.0") { window.out.push(data); return; }
  window.heard.push(data);
  if (data.method === "ui/initialize") say({ id: data.id, result: { protocolVersion: "2026-01-26" } });
  if (data.method === "ui/notifications/initialized") say({ method: "ui/notifications/tool-result", params: RESULT });
  if (data.method === "tools/call") say({ id: data.id, result: { content: [{ type: "text", text: ANSWER }] } });
});
frame.srcdoc = PAGE;
</script>"""


def shown(chromium: Any, name: str, structured: Any) -> tuple[Any, Any]:
    """A host with the page in it, and the frame."""
    host = chromium.new_page()
    host.set_default_timeout(WAIT)
    values = {"PAGE": page(name), "RESULT": {"structuredContent": structured, "content": []}, "ANSWER": HOSTILE}
    text = HOST
    for key, value in values.items():
        text = text.replace(key, json.dumps(value).replace("</", "<\\/"), 1)
    host.set_content(text)
    return host, host.frame_locator("iframe")


def test_a_report_shows_its_values_as_they_are(chromium: Any) -> None:
    line = {"tool": HOSTILE, "calls": 3, "refused": 0, "unknown": 0, "cost": "0.001", "estimated": "0"}
    host, frame = shown(chromium, USAGE, {"since": "2026-11-01", "until": "2026-11-27", "usage": [line]})

    frame.locator("td", has_text="onerror").wait_for()

    assert frame.locator("td").all_inner_texts() == [HOSTILE, "3", "0", "0", "0.001", "0"]
    assert frame.locator("h1").inner_text() == "Used from 2026-11-01 to 2026-11-27"
    assert host.evaluate("window.out") == []
    assert frame.locator("img").count() == 0
    host.close()


def test_a_form_sends_what_was_filled_in_with_its_types_and_shows_the_answer(chromium: Any) -> None:
    schema = {
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": HOSTILE},
            "count": {"type": "integer"},
            "draft": {"type": "boolean"},
            "state": {"enum": ["open", "closed"]},
            "labels": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string"},
        },
        "required": ["title", "count"],
    }
    tool = {"name": "x_add", "title": HOSTILE, "description": "Adds.", "inputSchema": schema, "annotations": {"readOnlyHint": False}}
    host, frame = shown(chromium, FORM, tool)

    frame.get_by_label("title *").fill("A title")
    frame.get_by_label("count *").fill("7")
    frame.get_by_label("draft").select_option("true")
    frame.get_by_label("state").select_option("closed")
    frame.get_by_label("labels").fill('["a", "b"]')
    frame.get_by_role("button").click()
    frame.locator("pre", has_text="onerror").wait_for()

    (call,) = (message for message in host.evaluate("window.heard") if message["method"] == "tools/call")
    given = {"title": "A title", "count": 7, "draft": True, "state": "closed", "labels": ["a", "b"]}
    assert call["params"] == {"name": "x_add", "arguments": given}
    assert frame.locator("h1").inner_text() == HOSTILE
    assert host.evaluate("window.out") == []
    assert frame.locator("img").count() == 0
    host.close()
