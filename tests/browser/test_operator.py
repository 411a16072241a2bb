"""The operator's pages: approvals, audit, metrics, as a person uses them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import SCHEMES, violations
from tests.browser.gate import Gate, signed_in

HOSTILE = "<b onmouseover=alert(1)>\u202etxt</b><script>window.hit=1</script>"


def called(page: Any, gate: Gate, owner: str, role: str, tool: str, arguments: Any) -> Any:
    """What a call of somebody else's program is answered with."""
    headers = {"authorization": f"Bearer {gate.key(owner, role)}"}
    return page.request.post(f"{gate.url}/v1/tools/{tool}/call", headers=headers, data={"arguments": arguments}).json()


def test_an_admin_sees_what_waits_as_it_comes_and_answers_with_the_keyboard(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/approvals")
    expect(page.get_by_role("status")).to_have_text("Nothing waits.")

    called(page, gate, "ada", "developer", "github_create_issue", {"owner": "acme", "repo": "rocket", "title": HOSTILE})
    card = page.get_by_role("listitem")
    expect(card).to_contain_text("ada wants to call github_create_issue")
    expect(card).to_contain_text("window.hit=1")
    card.get_by_label("Reason").focus()
    page.keyboard.type("not on a Friday")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status")).to_have_text("Nothing waits.")
    again = called(page, gate, "ada", "developer", "github_create_issue", {"owner": "acme", "repo": "rocket", "title": HOSTILE})
    assert again["problem"]["message"].startswith("admin-1 said no to this call of github_create_issue: not on a Friday.")
    assert page.evaluate("window.hit") is None


def test_who_is_no_admin_sees_their_own_calls_and_cannot_answer(page: Any, gate: Gate) -> None:
    called(page, gate, "developer-1", "developer", "github_create_issue", {"owner": "acme", "repo": "rocket", "title": "mine"})
    called(page, gate, "bob", "developer", "github_create_issue", {"owner": "acme", "repo": "rocket", "title": "bob's"})

    signed_in(page, gate, "developer", "#/approvals")

    expect(page.get_by_role("listitem")).to_have_count(1)
    expect(page.get_by_role("button", name="Approve once")).to_have_count(0)


def test_the_audit_is_filtered_and_one_calls_whole_story_is_told(page: Any, gate: Gate) -> None:
    called(page, gate, "carol", "readonly", "github_list_labels", {"owner": "acme", "repo": "rocket"})
    called(page, gate, "carol", "readonly", "github_list_labels", {"owner": 7})
    signed_in(page, gate, "admin", "#/audit")

    page.get_by_label("Person").fill("carol")
    page.get_by_label("Ending").select_option("ok")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="call.outcome").click()

    story = page.get_by_role("article")
    expect(story).to_contain_text("carol (readonly; pro; by key)")
    expect(story).to_contain_text("allow by rule readonly.reads")
    expect(story).to_contain_text('"owner": "acme"')
    expect(story).to_contain_text("2 lines as written")


def test_what_is_typed_into_a_filter_stays_while_lines_arrive(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/audit")
    page.get_by_label("Person").press_sequentially("car")

    with page.expect_response("**/console/session"):
        page.evaluate("dispatchEvent(new Event('focus'))")
    page.get_by_label("Person").press_sequentially("ol")

    expect(page.get_by_label("Person")).to_have_value("carol")


def test_times_are_asked_for_by_the_clock_that_the_page_shows(chromium: Any, gate: Gate) -> None:
    context = chromium.new_context(base_url=gate.url, timezone_id="Asia/Tokyo")
    page = context.new_page()
    signed_in(page, gate, "admin", "#/audit")

    page.get_by_label("Since").fill("2026-11-20")
    page.get_by_label("Until").fill("2026-11-20T09:30:00Z")
    page.get_by_role("button", name="Filter").press("Enter")

    expect(page.get_by_label("Since")).to_have_value("2026-11-19T15:00:00.000Z")
    expect(page.get_by_label("Until")).to_have_value("2026-11-20T09:30:00Z")
    page.get_by_label("Until").fill("2026-11-20 09:30")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(page.get_by_label("Until")).to_have_value("2026-11-20T00:30:00.000Z")
    context.close()


def test_the_chain_is_verified_and_handed_on_from_the_page(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/audit")

    page.get_by_role("button", name="Verify the chain").click()
    expect(page.get_by_text(re.compile(r"^[\d,]+ records are what was written"))).to_be_visible()
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export as JSON lines").click()

    lines = [json.loads(line) for line in Path(downloading.value.path()).read_text().splitlines()]
    assert lines[0]["seq"] == 1


def reached(page: Any, target: Any) -> None:
    """Get there by Tab, as who has no mouse does."""
    for _ in range(250):
        page.keyboard.press("Tab")
        if target.evaluate("each => each === document.activeElement"):
            return
    raise AssertionError(f"{target} is not reached by Tab")


def test_the_audit_is_filtered_paged_through_and_read_with_the_keyboard_alone(page: Any, gate: Gate) -> None:
    for number in range(60):
        called(page, gate, "carol", "readonly", "github_list_issues", {"owner": "acme", "repo": "rocket", "page": number + 1})
    signed_in(page, gate, "admin", "#/audit")
    expect(page.get_by_role("row").nth(50)).to_be_visible()

    reached(page, page.get_by_label("Person"))
    page.keyboard.type("carol")
    page.keyboard.press("Tab")
    page.keyboard.type("github_list_*")
    page.keyboard.press("Tab")
    page.keyboard.type("ok")  # in a choice, letters choose
    page.keyboard.press("Tab")
    page.keyboard.type("call")
    reached(page, page.get_by_role("button", name="Filter"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"who=carol&tool=github_list_\*&ending=ok&type=call"))
    expect(page.get_by_role("row")).to_have_count(51)
    expect(page.get_by_role("cell", name="carol")).to_have_count(50)
    reached(page, page.get_by_role("link", name="Older"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("cell", name="carol").first).to_be_visible()
    expect(page.get_by_role("link", name="Newest")).to_be_visible()
    reached(page, page.get_by_role("link", name="call.outcome").first)
    page.keyboard.press("Enter")

    expect(page.get_by_role("article")).to_contain_text("carol (readonly; pro; by key)")
    reached(page, page.get_by_role("link", name="All lines"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("row")).to_have_count(51)


def test_metrics_are_looked_through_with_the_keyboard_alone(page: Any, gate: Gate) -> None:
    called(page, gate, "flora", "readonly", "github_list_labels", {"owner": "acme", "repo": "rocket"})
    signed_in(page, gate, "admin", "#/metrics")
    expect(page.get_by_role("region", name="Calls by tool")).to_be_visible()

    reached(page, page.get_by_role("link", name="1h"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="1h")).to_have_attribute("aria-current", "true")
    reached(page, page.get_by_role("link", name="user", exact=True))
    page.keyboard.press("Enter")
    calls = page.get_by_role("region", name="Calls by user")
    reached(page, calls)  # so that the arrows scroll it
    reached(page, calls.get_by_role("link", name="flora"))
    page.keyboard.press("Enter")

    expect(page).to_have_url(re.compile(r"#/audit\?who=flora"))
    expect(page.get_by_role("cell", name="flora").first).to_be_visible()


@pytest.mark.parametrize(("at", "asked"), [("audit", "**/v1/audit?*"), ("metrics", "**/v1/metrics/calls*")])
def test_a_page_whose_server_was_away_shows_its_answers_once_it_is_back(page: Any, gate: Gate, at: str, asked: str) -> None:
    page.route(asked, lambda route: route.abort())
    signed_in(page, gate, "admin", f"#/{at}")
    expect(page.get_by_role("alert").first).to_have_text("The server does not answer. Is it still running?")

    page.unroute(asked)

    expect(page.get_by_role("alert").first).to_be_empty()


def test_who_is_no_admin_is_told_that_the_audit_is_not_for_them(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/audit")

    expect(page.get_by_text("The audit is for the role admin.")).to_be_visible()


def test_metrics_count_calls_by_tool_and_tell_charts_in_words(page: Any, gate: Gate) -> None:
    called(page, gate, "dora", "readonly", "github_list_labels", {"owner": "acme", "repo": "rocket"})
    called(page, gate, "dora", "readonly", "github_create_issue", {})
    signed_in(page, gate, "admin", "#/metrics?by=user")

    row = page.get_by_role("row").filter(has_text="dora")
    took = re.compile(" ms$")
    expect(row.get_by_role("cell")).to_have_text(["dora", "2", "1", "1", "0", took, took, took, "$0.00"])
    expect(page.get_by_role("img", name=re.compile(r"^Calls: ok from 0 to \d+"))).to_be_visible()
    expect(page.get_by_role("heading", name="Refused lately")).to_be_visible()
    page.get_by_role("link", name="1h").click()
    expect(page.get_by_role("link", name="1h")).to_have_attribute("aria-current", "true")
    expect(row).to_be_visible()


def test_who_is_no_admin_counts_their_own_calls_only(page: Any, gate: Gate) -> None:
    called(page, gate, "developer-1", "developer", "github_list_labels", {"owner": "acme", "repo": "rocket"})
    called(page, gate, "eve", "developer", "github_list_labels", {"owner": "acme", "repo": "rocket"})
    signed_in(page, gate, "developer", "#/metrics?by=user")

    rows = page.get_by_role("region", name="Calls by user").get_by_role("row")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("developer-1")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("at", ["#/approvals", "#/audit", "#/metrics", "#/sign-in"])
def test_axe_finds_nothing_wrong(page: Any, gate: Gate, at: str, scheme: str) -> None:
    called(page, gate, "ada", "developer", "github_create_issue", {"owner": "acme", "repo": "rocket", "title": "again"})
    signed_in(page, gate, "admin", at)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.wait_for_load_state("networkidle")

    assert violations(page, scheme) == []


@pytest.mark.parametrize("at", ["#/approvals", "#/audit", "#/metrics"])
def test_at_360_pixels_nothing_is_wider_than_the_page(page: Any, gate: Gate, at: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    signed_in(page, gate, "admin", at)
    page.wait_for_load_state("networkidle")

    assert page.evaluate("document.documentElement.scrollWidth") == 360
