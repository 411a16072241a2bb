"""Finding and running tools in the console, as a person would: with the keyboard, in a real browser."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import SCHEMES, violations
from tests.browser.gate import Gate, signed_in

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>\u202egnp.exe\u202c{{7*7}}${7*7}'


def test_a_tool_is_found_filled_in_and_run_with_the_keyboard_alone(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer")

    page.keyboard.press("Control+k")
    page.keyboard.type("list issues one repo")
    expect(page.get_by_role("dialog").get_by_role("option", selected=True)).to_contain_text("github_list_issues")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="List issues of one repository")).to_be_focused()
    page.get_by_label("owner").focus()
    page.keyboard.type("acme")
    page.keyboard.press("Tab")
    page.keyboard.type("rocket")
    page.keyboard.press("Enter")

    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text("ok")
    expect(result).to_contain_text("HTTP 200")
    expect(result).to_contain_text("Landing is not implemented")
    assert gate.heard[-1].startswith("GET /repos/acme/rocket/issues")


def test_the_palette_opens_by_slash_moves_by_arrows_and_closes_by_escape(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer")
    page.get_by_role("link", name="Tools", exact=True).focus()

    page.keyboard.press("/")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("combobox").type("label")
    first = dialog.get_by_role("option", selected=True).text_content()
    page.keyboard.press("ArrowDown")
    assert dialog.get_by_role("option", selected=True).text_content() != first
    page.keyboard.press("ArrowUp")
    assert dialog.get_by_role("option", selected=True).text_content() == first
    page.keyboard.press("Escape")

    expect(dialog).not_to_be_visible()


def test_a_key_pressed_in_the_moment_the_page_appears_is_heard(page: Any, gate: Gate) -> None:
    page.add_init_script(
        """new MutationObserver((_, observer) => {
             if (!document.querySelector("dialog.palette")) return;
             observer.disconnect();
             dispatchEvent(new KeyboardEvent("keydown", { key: "k", ctrlKey: true }));
           }).observe(document, { childList: true, subtree: true })"""
    )

    signed_in(page, gate, "admin")

    expect(page.get_by_role("dialog").get_by_role("combobox")).to_be_focused()


@pytest.mark.parametrize("query", ["list issues repo", "ghci", "get-repo", "issue  com", "zzz"])
def test_typing_letter_by_letter_and_back_finds_what_the_whole_query_finds(page: Any, gate: Gate, query: str) -> None:
    signed_in(page, gate, "admin")
    expect(page.get_by_role("option").first).to_be_visible()  # what is typed before they are there finds them later
    page.keyboard.press("Control+k")
    box, list_ = page.get_by_role("dialog").get_by_role("combobox"), page.locator("#palette-list")
    box.fill(query)
    expect(list_).to_have_attribute("data-query", query)
    at_once = list_.text_content()

    box.fill("")
    box.press_sequentially(query + " and more")
    for _ in " and more":
        box.press("Backspace")

    expect(list_).to_have_attribute("data-query", query)
    assert list_.text_content() == at_once


def test_tools_that_cannot_be_fetched_are_not_said_to_be_none_and_are_asked_for_again(page: Any, gate: Gate) -> None:
    page.route("**/v1/tools?*", lambda route: route.abort())
    signed_in(page, gate, "developer", "#/approvals")
    page.keyboard.press("Control+k")
    told = page.get_by_role("dialog").get_by_role("status")
    expect(told).to_have_text("The server does not answer. Is it still running?")

    page.unroute("**/v1/tools?*")

    expect(page.get_by_role("dialog").get_by_role("option").first).to_be_visible()


def test_a_link_to_the_tool_that_is_open_brings_its_arguments(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", '#/tools/github_list_issues?args={"owner":"acme"}')
    expect(page.get_by_label("owner")).to_have_value("acme")

    page.goto('/console/#/tools/github_list_issues?args={"owner":"other"}')
    expect(page.get_by_label("owner")).to_have_value("other")
    page.go_back()

    expect(page.get_by_label("owner")).to_have_value("acme")


def test_what_does_not_fit_is_told_at_its_field_by_the_server(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/tools/github_list_issues")
    page.get_by_label("owner").fill("acme")
    page.get_by_label("per_page").fill("many")

    page.get_by_role("button", name="Dry run").click()

    expect(page.get_by_label("per_page")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("per_page")).to_have_accessible_description(re.compile("is not of type"))
    expect(page.get_by_label("repo required")).to_have_accessible_description(re.compile('"repo" is a required property'))
    expect(page.get_by_label("owner")).not_to_have_attribute("aria-invalid", "true")


def test_arrays_and_choices_are_edited_and_json_is_beside_them(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/tools/github_create_issue")
    page.get_by_label("title").fill("Refuel")
    page.get_by_role("button", name="Add to labels").click()
    page.get_by_label("labels 1", exact=True).fill("engine")
    page.get_by_role("button", name="Add to labels").click()
    page.get_by_label("labels 2", exact=True).fill("bug")
    page.get_by_role("button", name="Remove labels 1").click()

    page.get_by_role("button", name="JSON").click()

    assert json.loads(page.get_by_label("Arguments", exact=True).input_value()) == {"title": "Refuel", "labels": ["bug"]}


def test_a_dry_run_shows_the_verdict_and_the_request_and_sends_nothing(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/tools/github_create_issue")
    for name, value in {"owner": "acme", "repo": "rocket", "title": "Refuel"}.items():
        page.get_by_label(name).fill(value)
    before = len(gate.heard)

    page.get_by_role("button", name="Dry run").click()

    told = page.get_by_role("region", name="Dry run")
    expect(told).to_contain_text("approve It would wait for a person's yes first. rule developer.writes")
    expect(told).to_contain_text("/repos/acme/rocket/issues")
    expect(told).to_contain_text('"title":"Refuel"')
    assert len(gate.heard) == before


def test_a_call_that_needs_a_yes_waits_and_runs_once_somebody_else_has_given_it(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/tools/github_create_issue")
    for name, value in {"owner": "acme", "repo": "rocket", "title": "Land"}.items():
        page.get_by_label(name).fill(value)
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_text("It waits for somebody else's yes")).to_be_visible()

    [waiting] = [each for each in gate.portal.call(gate.app.gateway.approvals.list) if each.state == "pending"]
    boss = gate.key("boss", "admin")
    answer = page.request.post(f"/v1/approvals/{waiting.id}", headers={"authorization": f"Bearer {boss}"}, data={"decision": "approve"})
    assert answer.ok
    page.get_by_role("button", name="Run it now").click()

    expect(page.get_by_role("region", name="Result")).to_contain_text("ok")
    assert gate.heard[-1] == "POST /repos/acme/rocket/issues"


def test_two_people_with_different_roles_see_different_tools(page: Any, gate: Gate) -> None:
    page.goto("/console/")  # the anonymous caller reads
    expect(page.get_by_role("option").first).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").fill("create_issue")
    expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("No tool fits.")

    signed_in(page, gate, "developer")
    page.keyboard.press("Control+k")
    page.get_by_role("dialog").get_by_role("combobox").fill("create_issue")
    expect(page.get_by_role("dialog").get_by_role("option").first).to_contain_text("github_create_issue")

    page.goto("/console/#/tools/no_such_tool")
    expect(page.get_by_role("alert")).to_contain_text("there is no tool called 'no_such_tool'")


def test_a_link_brings_its_arguments_and_a_call_can_be_taken_elsewhere(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", '#/tools/github_list_issues?args={"owner":"acme","repo":"it\'s"}')
    expect(page.get_by_label("repo required")).to_have_value("it's")

    copied = {}
    for form in ("Terminal command", "curl", "MCP JSON", "Link to this"):
        page.get_by_label("Copy as").select_option(form)
        expect(page.get_by_text(f"{form} copied")).to_be_visible()
        copied[form] = page.evaluate("navigator.clipboard.readText()")

    assert copied["Terminal command"] == """toolgate tools call github_list_issues --args '{"owner":"acme","repo":"it'\\''s"}'"""
    assert f"{gate.url}/v1/tools/github_list_issues/call" in copied["curl"]
    assert json.loads(copied["MCP JSON"])["params"] == {"name": "github_list_issues", "arguments": {"owner": "acme", "repo": "it's"}}
    page.goto("/console/#/tools")
    page.goto(copied["Link to this"])
    expect(page.get_by_label("repo required")).to_have_value("it's")


def test_pins_and_recents_come_first(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/tools/github_get_repository?args={}")
    page.get_by_role("button", name="Pin").click()
    page.goto('/console/#/tools/github_list_labels?args={"owner":"acme","repo":"rocket"}')
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("region", name="Result")).to_be_visible()

    page.keyboard.press("Control+k")

    groups = page.get_by_role("dialog").get_by_role("group")
    expect(groups.nth(0)).to_contain_text("github_get_repository")
    expect(groups.nth(1)).to_contain_text("github_list_labels")


def test_whatever_a_tool_answers_is_shown_as_text_a_megabyte_too(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/tools/github_create_issue")
    page.get_by_role("button", name="JSON").click()
    body = HOSTILE + "x" * 1_000_000
    page.get_by_label("Arguments", exact=True).fill(json.dumps({"owner": "acme", "repo": "rocket", "title": HOSTILE, "body": body}))

    page.get_by_role("button", name="Run", exact=True).click()

    result = page.get_by_role("region", name="Result")
    expect(result).to_contain_text('<img src=x onerror=\\"window.hit=1\\">')
    assert page.evaluate("window.hit") is None


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong_with_the_tools_the_palette_and_a_tool(page: Any, gate: Gate, scheme: str) -> None:
    signed_in(page, gate, "admin")
    expect(page.get_by_role("option").first).to_be_visible()
    assert violations(page, scheme) == []
    page.keyboard.press("Control+k")
    assert violations(page, scheme) == []
    page.goto('/console/#/tools/github_create_issue?args={"owner":"acme","repo":"rocket","title":7,"labels":["bug"]}')
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_role("region", name="Dry run")).to_be_visible()

    assert violations(page, scheme) == []


def test_at_360_pixels_nothing_is_wider_than_the_page(page: Any, gate: Gate) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    signed_in(page, gate, "developer", "#/tools/github_create_issue")
    expect(page.get_by_label("title")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
