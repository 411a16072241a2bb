"""Prompts and skills follow their folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from tests.upstream.conftest import settings_of
from toolgate.app import asgi, open_app
from toolgate.errors import Misconfigured
from toolgate.standin import serving
from toolgate.written import Written


def prompt(folder: Path, name: str, text: str = "Say it.") -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(f"---\nname: {name}\ndescription: d\n---\n{text}\n")


def skill(folder: Path, name: str, tools: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(f"---\nname: {name}\ndescription: d\nallowed-tools: {tools}\n---\nDo it.\n")


async def looked(written: Written) -> list[str]:
    await written.look()
    await written.look()
    return [tool.name for tool in written.tools]


async def test_what_is_added_changed_and_taken_away_is_followed_once_it_has_settled(tmp_path: Path) -> None:
    told: list[int] = []
    prompt(tmp_path / "p", "one")
    skill(tmp_path / "s", "sort", "a_*")
    written = Written(tmp_path / "p", tmp_path / "s")
    written.changed = lambda: told.append(1)
    allowed = written.allowed

    assert [tool.name for tool in written.tools] == ["prompts/one", "skills/sort"]
    assert await looked(written) == ["prompts/one", "skills/sort"]
    assert told == []

    prompt(tmp_path / "p", "two")
    skill(tmp_path / "s", "sort", "b_* c")
    await written.look()
    assert told == []  # it may be half written
    assert await looked(written) == ["prompts/one", "prompts/two", "skills/sort"]
    assert (told, allowed) == ([1], {"sort": ("b_*", "c")})

    (tmp_path / "p" / "one.md").unlink()
    assert await looked(written) == ["prompts/two", "skills/sort"]


async def test_what_cannot_be_used_leaves_what_was_there_and_a_start_does_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompt(tmp_path / "p", "one")
    written = Written(tmp_path / "p", None)
    prompt(tmp_path / "p", "bad", "{{nobody}}")

    assert await looked(written) == ["prompts/one"]
    assert "stay as they were" in caplog.text
    with pytest.raises(Misconfigured):
        Written(tmp_path / "p", None)
    prompt(tmp_path / "p", "bad", "Mended.")
    assert await looked(written) == ["prompts/bad", "prompts/one"]


async def test_clients_are_told_and_get_the_new_text(tmp_path: Path) -> None:
    folder = tmp_path / "prompts"
    prompt(folder, "one")
    heard = anyio.Event()

    async def hear(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/prompts/list_changed":
            heard.set()

    (tmp_path / "specs").mkdir()
    async with (
        open_app(settings_of(tmp_path, {}, prompts="prompts")) as app,
        asgi(app) as application,
        serving(application) as url,
        Client(f"{url}/mcp", mode="legacy", message_handler=hear) as client,
    ):
        before = [each.name for each in (await client.list_prompts()).prompts]
        prompt(folder, "two", "Say it twice.")
        with anyio.fail_after(60):
            await heard.wait()
            after = [each.name for each in (await client.list_prompts()).prompts]
            said = await client.get_prompt("two")

    assert (before, after) == (["one"], ["one", "two"])
    assert said.messages[0].content.text == "Say it twice."  # type: ignore[union-attr]
