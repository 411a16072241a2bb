"""A real Chromium without a window; what needs it is skipped where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.gate import Gate, a_gate
from toolgate.console import modules

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # Without these it looks for its maker's hosts at every start.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT = 15_000
"""Milliseconds until what should appear has appeared."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    why = ""
    if CHROMIUM is None:
        why = "needs a Chromium: apt-get install chromium"
    elif not modules.fetched():
        why = "needs the console's modules: make console"
    for item in items:
        if why and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with a_gate(tmp_path_factory.mktemp("gate")) as gate:
        yield gate


@pytest.fixture(scope="package")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Any, gate: Gate) -> Iterator[Any]:
    """A page of nobody's yet, in a browser of its own. What the page complains of in its console fails the test."""
    context = chromium.new_context(base_url=gate.url)
    context.set_default_timeout(WAIT)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=gate.url)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.complaints = complaints
    yield page
    context.close()
    # That an answer is no 2xx is the tests' own business.
    assert [text for text in complaints if not text.startswith("Failed to load resource")] == []
