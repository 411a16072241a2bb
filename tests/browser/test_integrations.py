"""The integrations' page, on a gate whose operator may change them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import Implementation
from playwright.sync_api import expect

from tests.browser.axe import SCHEMES, violations
from tests.browser.gate import Gate, signed_in

HOSTILE = '<img src=x onerror="window.hit=1">'


def shop(*operations: str, summary: str = "List what there is") -> str:
    def get(name: str) -> Any:
        return {"get": {"operationId": name, "summary": summary, "responses": {"200": {"description": "."}}}}

    about = {"openapi": "3.1.0", "info": {"title": "S", "version": "1"}, "servers": [{"url": "https://s.example"}]}
    return json.dumps({**about, "paths": {f"/{name}": get(name) for name in operations}})


def card(page: Any, name: str) -> Any:
    return page.get_by_role("listitem").filter(has=page.get_by_text(name, exact=True))


def test_cards_say_how_each_integration_does_and_only_admins_may_change_them(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/integrations")
    expect(card(page, "github")).to_contain_text("needs no credentials")
    expect(card(page, "github")).to_contain_text(re.compile(r"(\d+) tools, \1 of them visible to you"))
    expect(page.get_by_role("button", name="Disable github")).to_have_count(0)
    expect(page.get_by_role("button", name="Add an API…")).to_have_count(0)


def test_an_integration_is_tested_switched_off_and_on_with_the_keyboard(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    github = card(page, "github")

    page.get_by_role("button", name="Test github").press("Enter")
    expect(github.get_by_role("status")).to_contain_text("answers;")
    page.get_by_role("button", name="Disable github").press("Enter")
    expect(github).to_contain_text("Its tools are served no more.")
    expect(github).to_contain_text("off")
    assert "github_list_issues" not in {tool.name for tool in gate.app.gateway.catalog}
    page.keyboard.press("Control+k")
    page.keyboard.type("github_list_issues")
    expect(page.get_by_role("dialog").get_by_text("github_list_issues", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Enable github").press("Enter")
    expect(github).to_contain_text("Its tools are served again.")
    assert "github_list_issues" in {tool.name for tool in gate.app.gateway.catalog}


def test_an_api_is_looked_at_and_added_and_later_compared_and_accepted(page: Any, gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(shop("list_teas", summary=HOSTILE))
    signed_in(page, gate, "admin", "#/integrations")
    page.get_by_role("button", name="Add an API…").click()
    adding = page.get_by_role("form", name="Add an API")
    adding.get_by_label("Name").fill("teas")
    adding.get_by_label("or the description as a file").set_input_files(file)

    adding.get_by_role("button", name="Look at it").click()
    expect(adding.get_by_role("status")).to_contain_text("teas_list_teas")
    assert not any(tool.integration == "teas" for tool in gate.app.gateway.catalog)
    adding.get_by_role("button", name="Add 1 tools").click()

    teas = card(page, "teas")
    expect(teas).to_contain_text("1 tool, 1 of them visible to you")
    (gate.app.settings.tool_specs[0] / "teas" / "openapi.json").write_text(shop("list_teas", "list_cups"))
    page.get_by_role("button", name="Refresh teas").click()
    expect(teas.get_by_role("status")).to_contain_text("2 definitions are not as they are served.")
    teas.get_by_text("teas_list_teas").click()
    expect(teas).to_contain_text('+  "description": "List what there is')
    page.get_by_role("button", name="Accept teas").click()
    expect(teas.get_by_role("status")).to_contain_text("Accepted: 1 added, 1 changed, 0 removed.")
    expect(teas).to_contain_text("2 tools")
    assert page.evaluate("window.hit") is None


def test_what_cannot_be_added_says_why(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    page.get_by_role("button", name="Add an API…").click()
    adding = page.get_by_role("form", name="Add an API")
    adding.get_by_label("Name").fill("inside")
    adding.get_by_label("Address of its OpenAPI description").fill("https://127.0.0.1:1/openapi.json")

    adding.get_by_role("button", name="Look at it").click()

    expect(adding.get_by_role("alert")).to_contain_text("127.0.0.1")


def test_a_file_can_be_taken_back_and_without_one_an_address_is_asked_for(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    page.get_by_role("button", name="Add an API…").click()
    adding = page.get_by_role("form", name="Add an API")
    file, address = adding.get_by_label("or the description as a file"), adding.get_by_label("Address of its OpenAPI description")
    adding.get_by_label("Name").fill("cups")
    file.set_input_files({"name": "openapi.json", "mimeType": "application/json", "buffer": shop("list_cups").encode()})
    expect(address).to_be_disabled()

    file.set_input_files([])
    expect(address).to_be_enabled()
    adding.get_by_role("button", name="Look at it").click()

    expect(address).to_be_focused()
    expect(adding.get_by_role("alert")).to_be_empty()


def test_a_client_is_told_how_to_connect(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/integrations")
    page.get_by_label("Client", exact=True).select_option("Codex")

    page.get_by_role("button", name="Copy").click()

    assert f'url = "{gate.url}/mcp"' in page.evaluate("navigator.clipboard.readText()")


def test_a_card_for_each_provider_of_models_says_how_it_does_and_tries_it_for_nothing(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    scripted = card(page, "scripted")
    expect(scripted).to_contain_text("needs no key")

    page.get_by_role("button", name="Test scripted").press("Enter")
    expect(scripted.get_by_role("status")).to_contain_text("there is nobody to reach")
    scripted.locator("summary").press("Enter")

    expect(scripted).to_contain_text("scripted/scripted-1")


def test_a_provider_is_switched_off_and_on_with_the_keyboard(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    scripted = card(page, "scripted")

    page.get_by_role("button", name="Disable scripted").press("Enter")
    expect(scripted.get_by_role("status")).to_have_text("Its models are asked no more.")
    expect(scripted.locator(".badge")).to_have_text("off")
    assert gate.app.models.roster.switches.off == {"scripted"}
    assert violations(page, SCHEMES[0]) == []
    expect(page.get_by_role("button", name="Enable scripted")).to_be_focused()
    page.keyboard.press("Enter")
    expect(scripted.get_by_role("status")).to_have_text("Its models are asked again.")

    expect(scripted.locator(".badge")).to_have_text("ok")
    assert gate.app.models.roster.switches.off == set()


def test_who_is_no_admin_has_models_without_their_figures(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "developer", "#/integrations")

    expect(card(page, "scripted")).to_contain_text("1 model")
    expect(page.get_by_role("button", name="Test scripted")).to_have_count(0)


def test_connected_clients_have_cards_and_everybody_sees_their_own(page: Any, gate: Gate) -> None:
    async def connect() -> None:
        async with Client(f"{gate.url}/mcp", mode="legacy", client_info=Implementation(name=HOSTILE, version="3.1")) as client:
            await client.list_tools()

    gate.portal.call(connect)
    signed_in(page, gate, "admin", "#/integrations")
    desk = card(page, HOSTILE)
    expect(desk).to_contain_text("MCP 2025-11-25 · Streamable HTTP · anonymous")
    assert page.evaluate("window.hit") is None

    signed_in(page, gate, "developer", "#/integrations")
    expect(page.get_by_text("None has connected yet.")).to_be_visible()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_wrong_with_the_integrations(page: Any, gate: Gate, scheme: str) -> None:
    signed_in(page, gate, "admin", "#/integrations")
    page.get_by_role("button", name="Add an API…").click()
    card(page, "github").locator("summary").click()
    expect(card(page, "github")).to_contain_text("calls in 24 hours")

    assert violations(page, scheme) == []


def test_at_360_pixels_nothing_is_wider_than_the_page(page: Any, gate: Gate) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    signed_in(page, gate, "admin", "#/integrations")
    expect(card(page, "github")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == 360
