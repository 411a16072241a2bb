"""What a tool, a description, a model, a client or a caller can have written, in every field where a page shows it: text, and no more.

Each page asks answers that are made up here, so that no server in between could have made them harmless. The page's policy is the
server's own: a script or a style that were taken for one would be told of in the browser's console, which fails the test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.gate import Gate, signed_in

MARK = "window.hit=1"
HOSTILE = f"\u202e\"'><img src=x onerror={MARK}><script>{MARK}</script><a href=javascript:{MARK}>`${{7*7}}{{{{7*7}}}}&lt;"
LONG = HOSTILE + "x" * 100_000
"""Of which a page has so many that it gets megabytes; one megabyte in one text is in the tests of the tools and of the agent."""
DOLLARS = {"usd": "0.01", "micros": 10_000, "estimated": True}
AT = "2026-11-20T09:30:00Z"

NOT_ISOLATED = """() => {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement } = walker.currentNode;
    if (!data.includes("\\u202e") || parentElement.closest("bdi, pre, option, textarea, title")) continue;
    let box = parentElement;
    while (getComputedStyle(box).display === "inline") box = box.parentElement;
    const before = box.textContent.split("\\u202e")[0];
    if (box.textContent.trim() !== data.trim()) found.push(`${box.tagName}.${box.className}: ${before.slice(-80)}`);
  }
  return found;
}"""
"""Where a text turns the direction of letters that are not its own."""


def tool(text: str) -> dict[str, Any]:
    brief = {"name": text, "title": text, "description": text, "integration": text, "category": text, "request": f"GET /{text}"}
    return {**brief, "effect": "write", "price": DOLLARS}


def schema(text: str) -> dict[str, Any]:
    kinds: dict[str, Any] = {
        text: {"type": "string", "description": text, "examples": [text]},
        f"choice {text}": {"enum": [text, "plain"], "description": text},
        f"rows {text}": {"type": "array", "items": {"type": "string"}, "description": text, "default": [text]},
        f"group {text}": {"type": "object", "properties": {text: {"type": "integer", "description": text}}, "description": text},
        f"one {text}": {"oneOf": [{"type": "object", "title": text, "properties": {text: {}}}, {"type": "array", "items": {}}]},
        f"json {text}": {"description": text},
    }
    return {"type": "object", "properties": kinds, "required": list(kinds)}


def sums(text: str) -> dict[str, Any]:
    counts = {"calls": 2, "ok": 1, "refused": 1, "failed": 0, "p50": 1.0, "p95": 2.0, "p99": 3.0, "cost": DOLLARS}
    return {"since": AT, "step": 60, "behind": 0, "total": counts, "points": [{"at": AT, **counts}], "by": [{"name": text, **counts}]}


def lines(text: str) -> dict[str, Any]:
    principal = {"id": text, "roles": [text], "tier": text, "via": text, "acting_for": [text]}
    call = {
        "seq": 1,
        "at": AT,
        "id": "a" * 32,
        "type": "call.outcome",
        "call": "c" * 32,
        "parent": "d" * 32,
        "depth": 1,
        "principal": principal,
        "tool": {"name": text, "integration": text},
        "decision": {"effect": text, "rule": text, "policy": text},
        "arguments": {"values": {text: text}},
        "money": {"reserved": 1, "settled": 1},
        "result": {"ending": "refused", "code": text, "status": 200, "effect": "none"},
        "notes": {"approve": {"by": text, "instead_of": "e"}},
        "approval": text,
        "trace": text,
        "ms": 1.5,
    }
    changed = {"seq": 2, "at": AT, "id": "b" * 32, "type": "config.changed", "principal": principal, "details": {text: text}}
    return {"lines": [changed, call], "behind": 0}


def approvals(text: str) -> dict[str, Any]:
    one = {
        "id": "f" * 32,
        "state": "pending",
        "tenant": text,
        "caller": text,
        "acting_for": [text],
        "tool": text,
        "reason": text,
        "by": text,
    }
    return {"approvals": [{**one, "arguments": {"values": {text: text}}, "asked": AT, "expires": AT}]}


def integrations(text: str) -> dict[str, Any]:
    one = {"name": "shop", "title": text, "kind": "openapi", "enabled": True, "tools": 2, "visible": 1, "quarantined": 1}
    return {"integrations": [{**one, "absent": {text: text}, "credentials": "set", "problem": text, "suspended": 3}]}


def integration(text: str) -> dict[str, Any]:
    last = {"at": AT, "tool": text, "code": text, "call": "c" * 32}
    findings = [{"level": "error", "pointer": text, "message": text}]
    day = {"calls": 1, "failed": 1, "p50": 1.0, "p95": 1.0}
    return {"name": "shop", "behind": 0, "day": day, "last_error": last, "limits": [], "diagnostics": findings, "kept_back": [text]}


def differences(text: str) -> dict[str, Any]:
    return {"total": 1, "digest": "0" * 64, "differences": [{"name": text, "change": "changed", "diff": text}]}


def providers(text: str) -> dict[str, Any]:
    model = {"id": text, "window": 1000, "usd_per_million": {"input": 1, "output": 2}, "unavailable": text}
    last = {"at": AT, "model": text, "reason": text, "message": text}
    one = {
        "name": text,
        "kind": "openai",
        "enabled": True,
        "by": text,
        "region": text,
        "default": None,
        "credentials": "set",
        "last_error": last,
    }
    return {"providers": [{**one, "models": [model]}]}


def clients(text: str) -> dict[str, Any]:
    one = {"name": text, "version": text, "protocol": text, "transport": "stdio", "principal": text, "tenant": text, "sessions": 1}
    last = {"at": AT, "tool": text, "call": "c" * 32}
    return {"behind": 0, "clients": [{**one, "first_seen": AT, "last_seen": AT, "last_call": last}]}


def stats(text: str) -> dict[str, Any]:
    figures = {"total_requests": 1, "success_rate": 1.0, "p50_latency_ms": 1.0, "p95_latency_ms": 1.0, "total_cost": DOLLARS}
    return {"stats": [{"provider": text, "model": text, **figures, "total_tokens_in": 1, "total_tokens_out": 1}]}


def wins(text: str) -> dict[str, Any]:
    return {"wins": [{"task": text, "provider": text, "model": text, "win_rate": 1.0, "low": 0.5, "high": 1.0, "judged": 3}]}


def costs(text: str) -> dict[str, Any]:
    return {"costs": [{"provider": text, "task": text, "requests": 1, "cost": DOLLARS}]}


def budgets(text: str) -> dict[str, Any]:
    one = {"scope": "session", "tenant": text, "user": text, "name": text, "every": "day"}
    return {"budgets": [{**one, "limit": DOLLARS, "spent": DOLLARS, "held": DOLLARS}]}


def preview(text: str) -> dict[str, Any]:
    condition = {"field": text, "operator": "equals", "value": text, "verdict": "true"}
    rule = {"rule": text, "effect": text, "obligations": [text], "tools": text, "conditions": [condition], "fires": True}
    sent = {"method": "POST", "url": f"https://x/{text}", "headers": [[text, text]], "body": text, "body_bytes": 9}
    verdict = {"decision": "deny", "rule": text, "message": text, "considered": [rule]}
    return {"problem": None, "verdict": verdict, "request": sent, "unshown": text}


def outcome(text: str) -> dict[str, Any]:
    problem = {
        "code": text,
        "message": text,
        "details": {"problems": [{"path": f"/{text}", "message": text}, {"path": "", "message": text}]},
    }
    blob = {"type": "image", "data": "", "media_type": text}
    return {
        "content": [{"type": "text", "text": text}, blob],
        "problem": problem,
        "effect": text,
        "meta": {"status": text},
        "cost": DOLLARS,
    }


def talk(text: str) -> str:
    ours = {"failed": True, "code": text, "cost": DOLLARS, "seconds": 0.5}
    asked = {"id": "a1", "reason": "tool_call", "message": text, "toolCallId": "c1", "metadata": {"toolgate": {"tool": text}}}
    answers = {"type": "object", "properties": {"approved": {}, "editedArgs": {}}}
    usage = [{"provider": text, "model": text, "inputTokens": 1, "outputTokens": 1}]
    events: list[Mapping[str, Any]] = [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {
            "type": "CUSTOM",
            "name": "toolgate.routed",
            "value": {"provider": text, "model": text, "reasons": [text], "scores": {text: {text: text}}},
        },
        {"type": "REASONING_MESSAGE_START", "messageId": "t1"},
        {"type": "REASONING_MESSAGE_CONTENT", "messageId": "t1", "delta": text},
        {"type": "TEXT_MESSAGE_START", "messageId": "m1"},
        {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": text},
        {"type": "CUSTOM", "name": "toolgate.noted", "value": {"kind": "hint", "text": text}},
        {"type": "TOOL_CALL_START", "toolCallId": "c0", "toolCallName": text},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c0", "delta": text},
        {"type": "TOOL_CALL_RESULT", "toolCallId": "c0", "content": text, "metadata": {"toolgate": ours}},
        {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": text},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": json.dumps({text: text})},
        {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": [{**asked, "responseSchema": answers}]}, "usage": usage},
    ]
    return "".join(f"data: {json.dumps(event)}\n\n" for event in events)


def run(text: str) -> dict[str, Any]:
    events = [
        {"type": "routed", "provider": text, "model": text, "reasons": [text], "scores": {text: 1}},
        {"type": "said", "text": text, "step": 1},
        {"type": "thought", "text": text, "step": 1},
        {"type": "calling", "id": "c", "tool": text, "arguments": {text: text}},
        {"type": "called", "id": "c", "tool": text, "text": text, "failed": True, "code": text, "cost": 1, "seconds": 1.0},
        {"type": "noted", "text": text},
        {"type": "finished", "reason": text},
    ]
    return {"run": "r1", "task": text, "status": "done", "started": 1_700_000_000, "cost": DOLLARS, "events": events}


def look_at_the_tool(page: Any) -> None:
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("region", name="Dry run")).to_be_visible()
    page.get_by_role("region", name="Dry run").locator("summary").click()


def run_the_tool(page: Any) -> None:
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("region", name="Result")).to_be_visible()


def open_the_palette(page: Any) -> None:
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").fill("img")
    expect(page.get_by_role("dialog").get_by_role("option").first).to_be_visible()


def give_a_task(page: Any) -> None:
    page.keyboard.press("Control+j")
    page.get_by_label("Task").fill("Go")
    page.get_by_label("Task").press("Enter")
    page.get_by_role("button", name="Change…").click()
    expect(page.get_by_role("button", name="Approve with these arguments")).to_be_visible()


def look_at_a_past_run(page: Any) -> None:
    page.keyboard.press("Control+j")
    page.get_by_role("button", name="Past runs").click()
    page.get_by_role("region", name="Past runs").get_by_role("button").click()
    expect(page.get_by_role("region", name="A run that was")).to_be_visible()


def compare(page: Any) -> None:
    page.get_by_role("button", name="Refresh shop").click()
    expect(page.get_by_text("1 definitions are not as they are served.")).to_be_visible()


def nothing(_page: Any) -> None:
    """It is all there already."""


Made = Callable[[str], Any]
TOOLS: Mapping[str, Made] = {"**/v1/tools?*": lambda text: {"tools": [tool(text)], "next_cursor": None}}
ONE: Mapping[str, Made] = {
    **TOOLS,
    "**/v1/tools/x": lambda text: {"name": "x", "title": text, "description": text, "integration": text, "inputSchema": schema(text)},
    "**/v1/tools/x/preview": preview,
    "**/v1/tools/x/call": outcome,
}


@dataclass(frozen=True)
class Case:
    at: str
    answers: Mapping[str, Made]
    then: Callable[[Any], None] = nothing
    within: str = "main"
    """Where the text must be seen."""


CASES = {
    "tools": Case("#/tools", TOOLS),
    "palette": Case("#/tools", TOOLS, open_the_palette, "dialog"),
    "form": Case("#/tools/x", ONE),
    "dry run": Case("#/tools/x", ONE, look_at_the_tool, "section[aria-label='Dry run']"),
    "result": Case("#/tools/x", ONE, run_the_tool, "section[aria-label=Result]"),
    "approvals": Case("#/approvals", {"**/v1/approvals*": approvals}),
    "audit": Case("#/audit", {"**/v1/audit?*": lines}),
    "story": Case(f"#/audit/{'c' * 32}", {"**/v1/audit?*": lines}),
    "integrations": Case(
        "#/integrations",
        {
            "**/v1/integrations": integrations,
            "**/v1/integrations/shop": integration,
            "**/v1/integrations/shop/refresh": differences,
            "**/v1/providers": providers,
            "**/v1/providers/stats*": stats,
            "**/v1/clients": clients,
        },
        compare,
    ),
    "metrics": Case(
        "#/metrics",
        {
            "**/v1/metrics/calls*": sums,
            "**/v1/providers/stats*": stats,
            "**/v1/providers/wins*": wins,
            "**/v1/providers/costs*": costs,
            "**/v1/budgets": budgets,
            "**/v1/audit?*": lambda text: {"lines": lines(text)["lines"][1:], "behind": 0},
        },
    ),
    "agent": Case(
        "#/tools", {"**/v1/agent": talk, "**/v1/tools/*": lambda text: {"name": "x", "inputSchema": schema(text)}}, give_a_task, ".dock"
    ),
    "past runs": Case("#/tools", {"**/v1/runs?*": lambda text: {"runs": [run(text)]}, "**/v1/runs/r1": run}, look_at_a_past_run, ".dock"),
}


def answering(page: Any, case: Case, text: str) -> None:
    def answer_of(made: Made) -> Callable[[Any], None]:
        said = made(text)
        kind, body = ("text/event-stream", said) if isinstance(said, str) else ("application/json", json.dumps(said))
        return lambda route: route.fulfill(status=200, content_type=kind, body=body)

    for pattern, made in case.answers.items():
        page.route(pattern, answer_of(made))


def opened(page: Any) -> None:
    """Whatever can be opened is."""
    for summary in page.locator("summary").all():
        if summary.is_visible() and not summary.evaluate("each => each.parentElement.open"):
            summary.click()


def harmless(page: Any) -> None:
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('img, iframe, script:not([src]), [onerror], a[href^=javascript]').length") == 0


@pytest.mark.parametrize("name", CASES)
def test_hostile_text_is_shown_as_text_and_turns_no_letters_but_its_own(page: Any, gate: Gate, name: str) -> None:
    case = CASES[name]
    signed_in(page, gate, "admin")
    answering(page, case, HOSTILE)
    page.goto(f"/console/{case.at}")
    page.reload()
    page.wait_for_load_state("networkidle")

    case.then(page)
    opened(page)

    expect(page.locator(case.within).first).to_contain_text(f"<script>{MARK}</script>")
    harmless(page)
    assert page.evaluate(NOT_ISOLATED) == []


@pytest.mark.parametrize("name", CASES)
def test_texts_without_an_end_in_every_field_leave_the_page_usable(page: Any, gate: Gate, name: str) -> None:
    case = CASES[name]
    signed_in(page, gate, "admin")
    answering(page, case, LONG)
    page.goto(f"/console/{case.at}")
    page.reload()
    page.get_by_role("heading", level=1).wait_for()

    case.then(page)

    harmless(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Tools", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="Tools", exact=True)).to_be_visible()
