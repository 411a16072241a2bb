"""Signing in to the console, in a real browser under its real policy."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.gate import Gate, a_gate, signed_in
from toolgate.server.keys import Keys


def test_on_loopback_who_shows_nothing_is_the_anonymous_caller_and_sees_its_tools(page: Any) -> None:
    page.goto("/")

    expect(page).to_have_url(re.compile("/console/$"))
    expect(page.get_by_text("anonymous readonly")).to_be_visible()
    expect(page.get_by_role("heading", name="Tools")).to_be_visible()


def test_a_key_signs_in_with_the_keyboard_alone_and_a_reload_keeps_the_session_until_one_signs_out(page: Any, gate: Gate) -> None:
    page.goto("/console/")
    page.get_by_role("link", name="Sign in").focus()
    page.keyboard.press("Enter")
    page.get_by_label("API key").focus()
    page.keyboard.type(gate.key("ada", "developer"))
    page.keyboard.press("Enter")

    expect(page.get_by_text("ada developer")).to_be_visible()
    page.reload()
    expect(page.get_by_text("ada developer")).to_be_visible()
    assert page.evaluate("document.cookie + JSON.stringify(localStorage)") == "{}"  # no script can read it

    page.get_by_role("button", name="Sign out").press("Enter")
    expect(page.get_by_text("anonymous readonly")).to_be_visible()


def test_below_a_path_of_a_proxys_the_page_asks_nothing_of_what_else_is_there(chromium: Any, tmp_path: Path) -> None:
    asked: list[str] = []
    with a_gate(tmp_path, identity={"resource": "http://localhost/gate/mcp"}) as gate:
        context = chromium.new_context(base_url=gate.url)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url.removeprefix(gate.url)))
        page.goto("/gate/")
        expect(page.get_by_text("anonymous readonly")).to_be_visible()
        page.goto("/gate/console/#/sign-in")
        page.get_by_label("API key").fill(gate.key("ada", "admin"))
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("ada admin")).to_be_visible()
        expect(page.get_by_role("heading", name="Tools")).to_be_visible()
        page.goto("/gate/console/#/audit")
        page.get_by_role("link", name="As JSON", exact=True).click()
        page.wait_for_url("**/gate/v1/audit?*")
        page.goto("/gate/console/#/integrations")
        expect(page.get_by_text(f"{gate.url}/gate/mcp").first).to_be_visible()
        context.close()

    assert [each for each in asked if not each.startswith("/gate/")] == []


def test_a_key_that_is_not_known_is_refused_with_a_sentence(page: Any) -> None:
    page.goto("/console/#/sign-in")

    page.get_by_label("API key").fill("tg_nothing")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_text("this is not a whole API key; it reads tg_, an id, a secret and a checksum")


def test_a_page_says_who_one_is_since_another_tab_signed_in_or_out(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/audit")

    page.request.post("/console/session", headers={"origin": gate.url}, data={"key": gate.key("bob", "readonly")})
    page.evaluate("dispatchEvent(new Event('focus'))")  # as a browser tells a page that one comes back to

    expect(page.get_by_text("bob readonly")).to_be_visible()
    expect(page.get_by_text("The audit is for the role admin.")).to_be_visible()
    page.request.delete("/console/session", headers={"origin": gate.url})
    page.evaluate("dispatchEvent(new Event('focus'))")
    expect(page.get_by_text("anonymous readonly")).to_be_visible()


def test_who_signs_in_again_after_the_session_ended_goes_on_where_they_were(page: Any, gate: Gate) -> None:
    signed_in(page, gate, "admin", "#/metrics")
    keys = Keys(gate.app.stores.records)
    for key in gate.portal.call(keys.list):
        gate.portal.call(keys.revoke, key.id)
    page.get_by_role("link", name="Approvals").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_label("API key").fill(gate.key("admin-1", "admin"))
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()


def test_over_plain_http_from_elsewhere_the_agent_opens_and_texts_can_be_copied_by_hand(chromium: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    there = f"gate.test:{port}"
    server = {"port": port, "allowed_hosts": [there], "allowed_origins": [f"http://{there}"]}
    with a_gate(tmp_path, server=server) as gate:
        browser = chromium.browser_type.launch(executable_path=CHROMIUM, args=[*FLAGS, "--host-resolver-rules=MAP gate.test 127.0.0.1"])
        page = browser.new_page(base_url=f"http://{there}")
        page.goto("/console/#/sign-in")
        page.get_by_label("API key").fill(gate.key("ada", "developer"))
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("ada developer")).to_be_visible()
        page.goto("/console/#/tools/github_list_issues")
        page.get_by_label("owner").fill("acme")

        page.keyboard.press("Control+j")
        expect(page.get_by_label("Task")).to_be_focused()
        page.get_by_label("Copy as").select_option("Terminal command")

        expect(page.get_by_text("""toolgate tools call github_list_issues --args '{"owner":"acme"}'""")).to_be_visible()
        assert page.evaluate("isSecureContext") is False
        browser.close()


def test_the_page_is_painted_soon_and_loads_nothing_from_elsewhere(page: Any, gate: Gate) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto("/console/")
    expect(page.get_by_role("heading", name="Tools")).to_be_visible()

    assert {url.startswith(gate.url) for url in asked} == {True}
