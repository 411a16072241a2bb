"""The console's files as a browser gets them, and how much they are."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from toolgate.console import modules
from toolgate.console.files import FOLDER, Files

OURS = [file for file in sorted(FOLDER.glob("*")) if file.suffix in {".js", ".html", ".css"}]
KILOBYTES = 60
"""Of JavaScript, gzipped, in all."""


@pytest.fixture
def client() -> TestClient:
    return TestClient(Starlette(routes=Files().routes()))


def test_every_file_comes_with_a_policy_that_allows_nothing_inline_and_nothing_from_elsewhere(client: TestClient) -> None:
    answer = client.get("/console/app.js")

    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; ")
    assert "unsafe" not in policy
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"


def test_a_file_that_is_the_same_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/console/app.css")

    again = client.get("/console/app.css", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_the_front_door_leads_to_the_page(client: TestClient) -> None:
    assert client.get("/", follow_redirects=False).headers["location"] == "/console/"


@pytest.mark.parametrize("path", ["/console/../pyproject.toml", "/console/%2e%2e/files.py", "/console/missing.html", "/console/modules/"])
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("file", OURS, ids=lambda file: file.name)
def test_no_file_of_ours_has_inline_script_or_style_or_an_address_of_somebody_elses(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/", "")

    assert not re.search(
        r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=\"|dangerouslySetInnerHTML|innerHTML|//[a-z0-9-]+\.[a-z]", text
    )


def test_where_the_modules_are_missing_the_page_says_what_to_run() -> None:
    assert "<pre>make console</pre>" in (FOLDER / "missing.html").read_text()


@pytest.mark.skipif(not modules.fetched(), reason="needs the console's modules: make console")
def test_all_of_the_javascript_is_small() -> None:
    size = sum(len(gzip.compress(file.read_bytes())) for file in FOLDER.rglob("*.js"))

    assert size <= KILOBYTES * 1024


def test_names_of_packages_become_paths() -> None:
    text = 'import{options as n}from"preact";\n//# sourceMappingURL=hooks.mjs.map'

    assert modules.for_a_browser(text) == 'import{options as n}from"./preact.js";\n'
