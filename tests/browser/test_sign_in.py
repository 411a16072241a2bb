"""Signing in to the console, in a real browser under its real policy."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.browser.gate import Gate


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


def test_a_key_that_is_not_known_is_refused_with_a_sentence(page: Any) -> None:
    page.goto("/console/#/sign-in")

    page.get_by_label("API key").fill("tg_nothing")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("alert")).to_have_text("this is not a whole API key; it reads tg_, an id, a secret and a checksum")


def test_the_page_is_painted_soon_and_loads_nothing_from_elsewhere(page: Any, gate: Gate) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    page.goto("/console/")
    expect(page.get_by_role("heading", name="Tools")).to_be_visible()

    assert {url.startswith(gate.url) for url in asked} == {True}
