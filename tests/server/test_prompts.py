"""The operator's prompts and skills reach MCP clients, as far as the policy lets them; a real client of both eras asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from toolgate.app import App, asgi, open_app
from toolgate.settings import read_settings
from toolgate.standin import serving

Mode = Literal["legacy", "2026-07-28"]
MODES: tuple[Mode, ...] = ("legacy", "2026-07-28")
GREET = "---\ntitle: Greet\ndescription: Say hello\narguments: [{name: who, required: true}]\n---\nHello {{who}}!"
DEPLOY = "---\ndescription: Ship it\nallowed-tools: x_*\n---\nStep one."
ROLE = """
role: reader
permissions:
  - {id: reader.prompts, tools: "prompts/*"}
  - {id: reader.skills, tools: "skills/*"}
  - {id: reader.secret, tools: "prompts/secret", effect: deny}
"""


@asynccontextmanager
async def standing(folder: Path) -> AsyncIterator[tuple[str, App]]:
    for name, content in {
        "prompts/greet.md": GREET,
        "prompts/secret.md": "---\n{}\n---\nNobody knows.",
        "skills/deploy.md": DEPLOY,
        "policies/roles/reader.yaml": ROLE,
        "specs/.keep": "",
        "toolgate.yaml": """
            {tool_specs: [specs], policies: policies, prompts: prompts, skills: skills, data_dir: state, store: memory,
             server: {port: 0, instructions: Mind the step.}, anonymous: {roles: [reader]}}""",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    async with open_app(read_settings(folder / "toolgate.yaml", {})) as app, asgi(app) as application, serving(application) as url:
        yield f"{url}/mcp", app


def text(result: Any) -> str:
    found: str = result.messages[0].content.text
    return found


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_and_skills_are_listed_and_got_by_who_may(tmp_path: Path, mode: Mode) -> None:
    async with standing(tmp_path) as (url, app), Client(url, mode=mode) as client:
        listed = (await client.list_prompts()).prompts
        greeted = await client.get_prompt("greet", {"who": "{{who}} <b>"})
        shipped = await client.get_prompt("deploy")
        tools = (await client.list_tools()).tools
        audited = [entry.body for entry in await app.stores.journal.read("audit")]

    assert [(each.name, each.title, each.description) for each in listed] == [("deploy", None, "Ship it"), ("greet", "Greet", "Say hello")]
    assert [(each.name, each.required) for each in listed[1].arguments or ()] == [("who", True)]
    assert (text(greeted), greeted.description, text(shipped)) == ("Hello {{who}} <b>!", "Say hello", "Step one.")
    assert tools == []
    assert {"prompts/greet", "skills/deploy"} <= {body["tool"]["name"] for body in audited if "tool" in body}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "arguments"), [("greet", {}), ("greet", {"who": "x", "more": "y"}), ("secret", {}), ("none", {})])
async def test_a_prompt_without_what_it_requires_and_one_that_is_not_there_for_the_caller_are_invalid(
    tmp_path: Path, mode: Mode, name: str, arguments: dict[str, str]
) -> None:
    async with standing(tmp_path) as (url, _), Client(url, mode=mode) as client:
        with pytest.raises(MCPError) as refused:
            await client.get_prompt(name, arguments)

    assert refused.value.error.code == -32602  # server/prompts, "Error Handling"
    assert "Nobody knows" not in str(refused.value)


async def test_what_a_client_is_told_of_the_server_can_be_set(tmp_path: Path) -> None:
    async with standing(tmp_path) as (url, _), Client(url, mode="legacy") as client:
        assert client.instructions == "Mind the step."
