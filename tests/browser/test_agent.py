"""The agent beside the page, against a server that speaks AG-UI as it is scripted here."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import SCHEMES, violations
from tests.browser.gate import Gate, signed_in

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202eelpmaxe'
ISSUE = "github_create_issue"
MONEY = {"usd": "0.0123", "micros": 12300}


@dataclass
class Script:
    """Answers each run with the next list of events, and remembers what it was asked with."""

    runs: list[Sequence[Mapping[str, Any]]]
    asked: list[Any] = field(default_factory=list)

    def answer(self, route: Any) -> None:
        self.asked.append(json.loads(route.request.post_data))
        events = [{"type": "RUN_STARTED", "threadId": "t", "runId": "r", "protocolVersion": "1.0"}, *self.runs.pop(0)]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        route.fulfill(status=200, headers={"content-type": "text/event-stream"}, body=body)


def scripted(page: Any, *runs: Sequence[Mapping[str, Any]]) -> Script:
    script = Script(list(runs))
    page.route("**/v1/agent", script.answer)
    return script


def said(text: str, id: str = "m1") -> list[Mapping[str, Any]]:
    pieces = [{"type": "TEXT_MESSAGE_CONTENT", "messageId": id, "delta": piece} for piece in (text[:5], text[5:])]
    start, end = {"type": "TEXT_MESSAGE_START", "messageId": id, "role": "assistant"}, {"type": "TEXT_MESSAGE_END", "messageId": id}
    return [start, *pieces, end]


def call(tool: str, arguments: Any, result: str | None = None, id: str = "c1") -> list[Mapping[str, Any]]:
    events: list[Mapping[str, Any]] = [
        {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": tool, "parentMessageId": "m1"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": json.dumps(arguments)},
        {"type": "TOOL_CALL_END", "toolCallId": id},
    ]
    if result is None:
        return events
    about = {"failed": False, "code": None, "cost": MONEY, "seconds": 0.5, "replayed": False}
    told = {"type": "TOOL_CALL_RESULT", "messageId": f"{id}r", "toolCallId": id, "content": result, "metadata": {"toolgate": about}}
    return [*events, told]


ROUTED = {
    "type": "CUSTOM",
    "name": "toolgate.routed",
    "value": {
        "provider": "mill",
        "model": "small-1",
        "reasons": ["the cheapest that is good enough"],
        "scores": {"mill/small-1": 0.91234, "mill/big-1": {"score": 0.95, "cost": 10}},
    },
}
SPENT = {
    "type": "CUSTOM",
    "name": "toolgate.spent",
    "value": {"cost": MONEY, "steps": 2, "calls": 1, "left": {"usd": "0.4877", "micros": 487700}},
}
USAGE = [{"provider": "mill", "model": "small-1", "inputTokens": 321, "outputTokens": 45}]
DONE = {"type": "RUN_FINISHED", "outcome": {"type": "success"}, "result": {"status": "done"}, "usage": USAGE}


def interrupted(*ids: str, mine: bool = True, tool: str = "drop", editable: bool = True) -> Mapping[str, Any]:
    answers = {"type": "object", "properties": {"approved": {}, **({"editedArgs": {"type": "object"}} if editable else {})}}
    interrupts = [
        {
            "id": one,
            "reason": "tool_call",
            "message": f"ada wants to call drop {one}",
            "toolCallId": "c1",
            **({"responseSchema": answers} if mine else {}),
            "metadata": {"toolgate": {"tool": tool}},
        }
        for one in ids
    ]
    return {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": interrupts}, "usage": USAGE}


def opened(page: Any, gate: Gate) -> Any:
    signed_in(page, gate, "admin")
    page.keyboard.press("Control+j")
    dock = page.get_by_role("complementary", name="Agent")
    expect(dock.get_by_label("Task")).to_be_focused()
    return dock


def test_a_task_is_done_with_the_keyboard_alone_and_shows_who_answered_what_was_called_and_what_it_cost(page: Any, gate: Gate) -> None:
    listed = call("list_items", {"kind": "tea"}, "green, black")
    script = scripted(page, [ROUTED, *said("I look."), *listed, SPENT, *said("Two teas.", "m2"), DONE])
    dock = opened(page, gate)

    page.keyboard.type("Which teas?")
    page.keyboard.press("Enter")

    log = dock.get_by_role("log")
    expect(log).to_contain_text("Two teas.")
    expect(log.get_by_text("mill/small-1").first).to_be_visible()
    log.get_by_text("answered by").click()
    expect(log).to_contain_text("the cheapest that is good enough")
    expect(log).to_contain_text("0.912")
    log.get_by_text("list_items").click()
    expect(log).to_contain_text('"kind": "tea"')
    expect(log).to_contain_text("green, black")
    expect(dock.get_by_role("status")).to_contain_text("done · $0.0123, $0.4877 of its budget left · 2 steps, 1 calls")
    expect(dock.get_by_role("status")).to_contain_text("mill/small-1: 321 tokens in, 45 out")
    [asked] = script.asked
    assert [message["content"] for message in asked["messages"]] == ["Which teas?"]


def test_the_next_thing_that_is_said_belongs_to_the_same_thread_and_model_and_budget_go_along(page: Any, gate: Gate) -> None:
    script = scripted(page, [*said("Hello."), DONE], [*said("Bye.", "m2"), DONE])
    dock = opened(page, gate)
    dock.get_by_text("the router chooses").click()
    dock.get_by_label("Model, as provider/model").fill("mill/big-1")
    dock.get_by_label("Budget in US dollars").fill("0.25")

    for words in ("Hi", "Go"):
        dock.get_by_label("Task").fill(words)
        dock.get_by_role("button", name="Send").click()
        expect(dock.get_by_role("status")).to_contain_text("done")
    expect(dock.get_by_role("log")).to_contain_text("Bye.")

    first, second = script.asked
    assert first["threadId"] == second["threadId"]
    assert first["runId"] != second["runId"]
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["forwardedProps"] == {"model": "mill/big-1", "max_cost": 0.25}


@pytest.mark.parametrize(("button", "yes"), [("Approve once", True), ("Deny", False)])
def test_a_call_that_waits_is_answered_and_the_run_goes_on(page: Any, gate: Gate, button: str, yes: bool) -> None:
    goes_on = {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "c1", "content": "went on"}
    script = scripted(page, [*call("drop", {"id": 7}), interrupted("a1")], [goes_on, *said("Over."), DONE])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill("Drop it")
    dock.get_by_label("Task").press("Enter")
    expect(dock).to_contain_text("ada wants to call drop a1")

    dock.get_by_role("button", name=button).press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("Over.")
    assert script.asked[1]["resume"] == [{"interruptId": "a1", "status": "resolved", "payload": {"approved": yes}}]


def test_of_several_calls_all_are_answered_before_the_run_goes_on(page: Any, gate: Gate) -> None:
    script = scripted(page, [*call("drop", {}), interrupted("a1", "a2")], [*said("Over."), DONE])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill("Drop both")
    dock.get_by_label("Task").press("Enter")

    dock.get_by_role("button", name="Approve once").first.click()
    assert len(script.asked) == 1
    dock.get_by_role("button", name="Deny").click()

    expect(dock.get_by_role("log")).to_contain_text("Over.")
    assert [(each["interruptId"], each["payload"]["approved"]) for each in script.asked[1]["resume"]] == [("a1", True), ("a2", False)]


def test_a_call_can_be_changed_before_it_is_approved_with_the_keyboard_alone(page: Any, gate: Gate) -> None:
    script = scripted(
        page, [*call(ISSUE, {"owner": "acme", "repo": "rocket", "title": 7}), interrupted("a1", tool=ISSUE)], [*said("Opened."), DONE]
    )
    dock = opened(page, gate)
    page.keyboard.type("Open an issue")
    page.keyboard.press("Enter")
    expect(dock).to_contain_text("ada wants to call drop a1")

    dock.get_by_role("button", name="Change…").focus()
    page.keyboard.press("Enter")
    form = dock.get_by_role("form", name=f"Arguments of {ISSUE}")
    form.get_by_label("owner").focus()
    page.keyboard.press("Enter")
    expect(form.get_by_label("title")).to_have_accessible_description(re.compile("is not of type"))
    assert len(script.asked) == 1  # what does not fit decides nothing
    form.get_by_label("title").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("Refuel")
    page.keyboard.press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("Opened.")
    payload = {"approved": True, "editedArgs": {"owner": "acme", "repo": "rocket", "title": "Refuel"}}
    assert script.asked[1]["resume"] == [{"interruptId": "a1", "status": "resolved", "payload": payload}]


def test_where_a_server_takes_no_other_arguments_none_are_offered(page: Any, gate: Gate) -> None:
    scripted(page, [*call(ISSUE, {}), interrupted("a1", tool=ISSUE, editable=False)])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill("Open an issue")
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("button", name="Approve once")).to_be_visible()
    expect(dock.get_by_role("button", name="Change…")).to_have_count(0)


def test_a_call_that_only_an_operator_may_answer_leads_there(page: Any, gate: Gate) -> None:
    scripted(page, [*call("drop", {}), interrupted("a1", mine=False)])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill("Drop it")
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("link", name="a1…")).to_have_attribute("href", "#/approvals/a1")
    expect(dock.get_by_role("button", name="Approve once")).to_have_count(0)


def test_what_a_model_takes_back_is_not_shown_any_more(page: Any, gate: Gate) -> None:
    snapshot = {"type": "MESSAGES_SNAPSHOT", "messages": [{"id": "u", "role": "user", "content": "Hi"}]}
    scripted(page, [*said("I was wro"), snapshot, *said("Right.", "m2"), DONE])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill("Hi")
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("Right.")
    expect(dock.get_by_role("log")).not_to_contain_text("I was wro")


def test_an_error_is_told_and_a_stream_that_breaks_off_too(page: Any, gate: Gate) -> None:
    scripted(page, [{"type": "RUN_ERROR", "message": "the budget is used up", "code": "over_budget"}], [*said("Half")])
    dock = opened(page, gate)

    dock.get_by_label("Task").fill("Hi")
    dock.get_by_label("Task").press("Enter")
    expect(dock.get_by_role("log")).to_contain_text("over_budget the budget is used up")
    dock.get_by_label("Task").fill("Again")
    dock.get_by_label("Task").press("Enter")
    expect(dock.get_by_role("log")).to_contain_text("The stream ended before the run did.")


def test_a_server_that_dies_within_an_answer_leaves_a_run_to_be_taken_up(page: Any, gate: Gate) -> None:
    page.add_init_script(
        """const asked = fetch;
           const dying = (controller) => {
             controller.enqueue(new TextEncoder().encode('data: {"type": "RUN_STARTED"}\\n\\n'));
             setTimeout(() => controller.error(new TypeError("network error")));
           };
           const answer = () => new Response(new ReadableStream({ start: dying }));
           window.fetch = async (path, how) => (path.endsWith("/v1/agent") ? answer() : asked(path, how))"""
    )
    dock = opened(page, gate)

    dock.get_by_label("Task").fill("Hi")
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("The stream ended before the run did. Say something to take it up again.")


def test_whatever_a_model_or_a_tool_says_is_shown_as_text(page: Any, gate: Gate) -> None:
    hostile = {**ROUTED, "value": {"provider": HOSTILE, "model": HOSTILE, "reasons": [HOSTILE], "scores": {HOSTILE: HOSTILE}}}
    noted = {"type": "CUSTOM", "name": "toolgate.noted", "value": {"kind": "hint", "text": HOSTILE}}
    error = {"type": "RUN_ERROR", "message": HOSTILE, "code": HOSTILE}
    scripted(page, [hostile, noted, *said(HOSTILE + "y" * 1_000_000), *call(HOSTILE, {HOSTILE: HOSTILE}, HOSTILE + "x" * 1_000_000), error])
    dock = opened(page, gate)
    dock.get_by_label("Task").fill(HOSTILE)
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("<script>window.hit=1</script>")
    for summary in dock.locator("summary").all():
        summary.click()
    assert page.evaluate("window.hit") is None
    assert page.evaluate("document.querySelectorAll('img, script:not([src])').length") == 0


def test_the_agent_stands_beside_the_page_where_there_is_room(page: Any, gate: Gate) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    signed_in(page, gate, "developer")

    page.keyboard.press("Control+j")

    covered = page.locator(".dock").bounding_box()["x"]
    for part in ("header", "main"):
        box = page.locator(part).bounding_box()
        assert box["x"] + box["width"] <= covered


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong_with_the_agent(page: Any, gate: Gate, scheme: str) -> None:
    scripted(page, [ROUTED, *said("I look."), *call("drop", {"id": 7}), SPENT, interrupted("a1")])
    dock = opened(page, gate)
    assert violations(page, scheme) == []
    dock.get_by_label("Task").fill("Drop it")
    dock.get_by_label("Task").press("Enter")
    expect(dock).to_contain_text("ada wants to call drop a1")
    dock.get_by_role("button", name="Change…").click()

    assert violations(page, scheme) == []


def test_at_360_pixels_the_agent_fills_the_page_and_no_more(page: Any, gate: Gate) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    dock = opened(page, gate)

    assert dock.bounding_box()["width"] == 360
    assert page.evaluate("document.documentElement.scrollWidth") == 360
