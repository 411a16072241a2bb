"""The agent beside the page, against the real endpoint, with a model that says what its script says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.gate import Gate, a_gate, signed_in

CREATE = {"tool": "github_create_issue", "arguments": {"owner": "acme", "repo": "rocket", "title": "Refuel"}}
SCRIPT = [
    {"text": "I look first.", "calls": [{"tool": "github_list_labels", "arguments": {"owner": "acme", "repo": "rocket"}}]},
    {"text": "Now I open it.", "calls": [CREATE]},
    {"text": "That is done."},
]


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("gate")
    (folder / "play.yaml").write_text(json.dumps(SCRIPT))
    with a_gate(folder, providers={"play": {"kind": "scripted", "script": "play.yaml"}}) as gate:
        yield gate


def test_a_run_waits_for_a_yes_goes_on_with_it_and_is_found_among_past_runs(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer")
    page.keyboard.press("Control+j")
    dock = page.get_by_role("complementary", name="Agent")
    dock.get_by_label("Task").fill("Open an issue to refuel")
    dock.get_by_label("Task").press("Enter")

    log = dock.get_by_role("log")
    expect(log).to_contain_text("Now I open it.")
    expect(log).to_contain_text("play/")
    expect(log).to_contain_text("wants to call github_create_issue")
    assert "POST /repos/acme/rocket/issues" not in gate.heard
    dock.get_by_role("button", name="Approve once").click()
    expect(log).to_contain_text("That is done.")
    expect(dock.get_by_role("status")).to_contain_text("done")
    assert gate.heard[-1] == "POST /repos/acme/rocket/issues"

    dock.get_by_role("button", name="Past runs").click()
    dock.get_by_role("button", name="Open an issue to refuel").click()
    told = dock.get_by_role("region", name="A run that was")
    expect(told).to_contain_text("I look first.")
    expect(told).to_contain_text("github_create_issue")
    expect(told).to_contain_text("That is done.")


def test_a_call_is_made_with_the_arguments_that_a_person_gave_it_instead_and_the_audit_says_who(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer")
    page.keyboard.press("Control+j")
    dock = page.get_by_role("complementary", name="Agent")
    dock.get_by_label("Task").fill("Open an issue for the lander")
    dock.get_by_label("Task").press("Enter")
    dock.get_by_role("button", name="Change…").click()
    form = dock.get_by_role("form", name="Arguments of github_create_issue")
    expect(form.get_by_label("repo")).to_have_value("rocket")
    form.get_by_label("repo").fill("lander")

    form.get_by_role("button", name="Approve with these arguments").click()

    log = dock.get_by_role("log")
    expect(log).to_contain_text("That is done.")
    expect(log).to_contain_text("developer-1 changed the arguments of github_create_issue")
    assert gate.heard[-1] == "POST /repos/acme/lander/issues"
    outcome = next(line for line in gate.lines() if line["type"] == "call.outcome" and line["tool"]["name"] == "github_create_issue")
    assert outcome["notes"]["approve"]["by"] == "developer-1"
    signed_in(page, gate, "admin", f"#/audit/{outcome['call']}")
    expect(page.locator("dt:text('arguments changed by') + dd")).to_have_text("developer-1")


def test_how_models_do_is_told_with_the_metrics(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/metrics")

    expect(page.get_by_role("region", name="provider, model, attempts")).to_contain_text("play")


def test_who_may_not_run_the_agent_is_told_what_it_takes(page: Any, gate: Gate) -> None:
    page.goto("/console/")
    expect(page.get_by_text("anonymous readonly")).to_be_visible()
    page.keyboard.press("Control+j")
    dock = page.get_by_role("complementary", name="Agent")
    dock.get_by_label("Task").fill("Anything")
    dock.get_by_label("Task").press("Enter")

    expect(dock.get_by_role("log")).to_contain_text("anonymous may not run the agent")
