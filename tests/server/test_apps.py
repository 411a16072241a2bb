"""Pages of the gateway's own reach clients that can show them, and nobody else; a page holds nothing that could lead out of it."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.shared.exceptions import MCPError

from toolgate.app import App, asgi, open_app
from toolgate.server.apps import EXTENSION, MEDIA_TYPE, TITLES, can_show, page
from toolgate.settings import read_settings
from toolgate.standin import serving

SHOWS: Mapping[str, Any] = {EXTENSION: {"mimeTypes": [MEDIA_TYPE]}}
LEADING_OUT = re.compile(
    r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|fetch\(|XMLHttp|https?://|src=|<link|\bon\w+=\""
)
"""What would make markup or code of a value, and whatever leads elsewhere."""
ROLE = """
role: reader
permissions:
  - {id: reader.all, tools: "*"}
  - {id: reader.none, tools: tool_form, effect: deny}
"""


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[tuple[str, App]]:
    for name, content in {
        "policies/roles/reader.yaml": ROLE,
        "specs/.keep": "",
        "toolgate.yaml": """
            {tool_specs: [specs], policies: policies, data_dir: state, store: memory, server: {port: 0}, anonymous: {roles: [reader]}}""",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    async with open_app(read_settings(folder / "toolgate.yaml", {})) as app, asgi(app) as application, serving(application) as url:
        yield f"{url}/mcp", app


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_who_can_show_pages_finds_tool_page_and_report(tmp_path: Path, mode: Any) -> None:
    async with standing(tmp_path) as (url, _), Client(url, mode=mode, extensions=[advertise(EXTENSION, SHOWS[EXTENSION])]) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        listed = (await client.list_resources()).resources
        uri = (tools["usage_report"].meta or {})["ui"]["resourceUri"]
        (read,) = (await client.read_resource(uri)).contents
        answer = await client.call_tool("usage_report", {"by": ["tool"]})

    assert [(str(each.uri), each.mime_type) for each in listed] == [("ui://toolgate/usage_report", MEDIA_TYPE)]  # the form is denied
    assert "tool_form" not in tools
    assert (read.mime_type, getattr(read, "text", "")) == (MEDIA_TYPE, page("usage_report"))
    assert (read.meta or {})["ui"]["csp"] == {"connectDomains": [], "resourceDomains": []}
    assert answer.structured_content is not None
    assert [line["tool"] for line in answer.structured_content["usage"]] == ["usage_report"]  # this very call


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_who_cannot_is_offered_none_of_it(tmp_path: Path, mode: Any) -> None:
    async with standing(tmp_path) as (url, _), Client(url, mode=mode) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]
        listed = (await client.list_resources()).resources
        with pytest.raises(MCPError):
            await client.read_resource("ui://toolgate/usage_report")

    assert not set(tools) & set(TITLES)
    assert listed == []


@pytest.mark.parametrize("name", TITLES)
def test_a_page_runs_its_own_script_and_loads_nothing(name: str) -> None:
    text = page(name)
    script, style = (re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL) for tag in ("script", "style"))

    def digest(found: list[str]) -> str:
        assert len(found) == 1
        return base64.b64encode(sha256(found[0].encode()).digest()).decode()

    assert f"default-src 'none'; script-src 'sha256-{digest(script)}'; style-src 'sha256-{digest(style)}'" in text
    assert LEADING_OUT.findall(text) == []


@pytest.mark.parametrize(
    ("capabilities", "shows"),
    [
        ({"extensions": SHOWS}, True),
        ({"extensions": {EXTENSION: {}}}, False),
        ({"extensions": {EXTENSION: {"mimeTypes": ["text/html"]}}}, False),
        ({"extensions": [EXTENSION]}, False),
        ({}, False),
    ],
)
def test_a_client_says_that_it_shows_such_pages(capabilities: dict[str, Any], shows: bool) -> None:
    assert can_show(capabilities) is shows
