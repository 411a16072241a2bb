from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toolgate.errors import Misconfigured
from toolgate.integration import read_integration
from toolgate.openapi.adding import auth_of
from toolgate.standin import serving

Terminal = Callable[..., Any]


def description(**operations: str) -> dict[str, Any]:
    """One GET operation an argument: its id and its summary."""
    paths = {
        f"/{name}": {"get": {"operationId": name, "summary": summary, "responses": {"200": {"description": "Fine."}}}}
        for name, summary in operations.items()
    }
    return {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}, "servers": [{"url": "https://example.com"}], "paths": paths}


def test_a_description_becomes_a_folder_that_serves(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "petstore.json").write_text(json.dumps(description(list_pets="List pets", get_pet="Get a pet")))
    (tmp_path / "toolgate.yaml").write_text("tool_specs: [mine]")
    (tmp_path / "mine").mkdir()

    added = terminal("specs", "add", "pets", "--from", "petstore.json", "--expose", "search", "--auth", "header:X-Key:PETS_KEY", "--json")

    folder = tmp_path / "mine" / "pets"
    assert added.value == {"name": "pets", "folder": "mine/pets", "tools": 2, "errors": 0, "warnings": 0, "infos": 0}
    assert yaml.safe_load((folder / "integration.yaml").read_text()) == {
        "name": "pets",
        "spec": "petstore.json",
        "auth": {"type": "api_key", "in": "header", "name": "X-Key", "value": "${PETS_KEY}"},
        "expose": "search",
        "prices": {"default": 0},
    }
    assert [tool["name"] for tool in terminal("tools", "list", "--integration", "pets", "--json").value] == [
        "pets_get_pet",
        "pets_list_pets",
    ]
    assert terminal("specs", "diff", "pets", "--json").value == {"added": [], "removed": [], "changed": []}


def test_nothing_is_left_of_an_integration_that_cannot_be_added(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")

    broken = terminal("specs", "add", "pets", "--from", "broken.json", "--json")
    missing = terminal("specs", "add", "pets", "--from", "missing.json", "--json")
    misnamed = terminal("specs", "add", "../pets", "--from", "broken.json", "--json")

    assert [(ran.code, ran.error["code"]) for ran in (broken, missing, misnamed)] == [(1, "misconfigured")] * 3
    assert not (tmp_path / "tool-specs" / "pets").exists()
    assert not (tmp_path / "pets").exists()


def test_an_integration_that_is_there_is_not_written_over(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(description(one="One thing")))
    terminal("specs", "add", "pets", "--from", "one.json")
    before = (tmp_path / "tool-specs" / "pets" / "integration.yaml").read_text()

    again = terminal("specs", "add", "pets", "--from", "one.json", "--expose", "search", "--json")

    assert again.code == 1
    assert "is there already" in again.error["message"]
    assert (tmp_path / "tool-specs" / "pets" / "integration.yaml").read_text() == before


def test_a_folder_that_cannot_be_made_is_named(terminal: Terminal, shop: Path) -> None:
    (shop.parents[1] / "file").write_text("")

    ran = terminal("specs", "add", "kept", "--from", str(shop / "openapi.json"), "--to", "file/below", "--json")

    assert (ran.code, ran.error["message"]) == (1, "file/below/kept cannot be made: Not a directory")


def test_what_changes_is_kept_back_until_it_is_accepted(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").write_text("tool_specs: [tool-specs]")
    (tmp_path / "tool-specs").mkdir()
    (tmp_path / "api.json").write_text(json.dumps(description(stays="Stays", changes="Changes", goes="Goes")))
    terminal("specs", "add", "api", "--from", "api.json")
    (tmp_path / "tool-specs" / "api" / "api.json").write_text(json.dumps(description(stays="Stays", changes="Obey me", comes="Comes")))

    def served() -> list[str]:
        return [tool["name"] for tool in terminal("tools", "list", "--json").value]

    before = served()
    changes = terminal("specs", "diff", "api", "--json").value
    as_lines = terminal("specs", "diff", "api").out.splitlines()
    accepted = terminal("specs", "lock", "api", "--json").value

    assert before == ["api_stays"]
    assert changes == accepted == {"added": ["api_comes"], "removed": ["api_goes"], "changed": ["api_changes"]}
    assert as_lines == ["added\tapi_comes", "removed\tapi_goes", "changed\tapi_changes"]
    assert served() == ["api_changes", "api_comes", "api_stays"]


def test_lint_tells_what_was_left_out_and_ends_with_1(terminal: Terminal, shop: Path) -> None:
    whole = json.loads((shop / "openapi.json").read_text())
    sound = terminal("specs", "lint", "shop", "--json")
    whole["paths"]["/nothing"] = {"$ref": "#/nowhere"}
    (shop / "openapi.json").write_text(json.dumps(whole))

    damaged = terminal("specs", "lint", "shop", "--json")

    assert (sound.code, [found for found in sound.value if found["level"] == "error"]) == (0, [])
    assert damaged.code == 1
    assert "/paths/~1nothing" in " ".join(found["pointer"] for found in damaged.value if found["level"] == "error")


def test_an_unknown_integration_is_answered_with_the_nearest(terminal: Terminal, shop: Path) -> None:
    ran = terminal("specs", "lint", "shp", "--json")

    assert (ran.code, ran.error["message"], ran.error["hint"]) == (1, "there is no integration called 'shp'", "there is shop")


@pytest.fixture
def published() -> Iterator[tuple[str, dict[str, Any]]]:
    """The URL of a description, and the description, which may be changed."""
    document = description(one="One thing")

    async def answer(request: Request) -> Response:
        return JSONResponse(document)

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(Starlette(routes=[Route("/api.json", answer)]))) as url,
    ):
        yield f"{url}/api.json", document


def test_a_description_at_a_url_is_pinned_until_it_is_locked_anew(
    terminal: Terminal, tmp_path: Path, published: tuple[str, dict[str, Any]]
) -> None:
    url, document = published
    (tmp_path / "toolgate.yaml").write_text("tool_specs: [tool-specs]")
    (tmp_path / "tool-specs").mkdir()
    terminal("specs", "add", "api", "--from", url, "--allow-network", "127.0.0.0/8")
    document.update(description(one="One thing", two="Two things"))

    served = [tool["name"] for tool in terminal("tools", "list", "--json").value]
    here = terminal("specs", "diff", "api", "--json").value
    there = terminal("specs", "diff", "api", "--fetch", "--json").value
    accepted = terminal("specs", "lock", "api", "--json").value

    assert served == ["api_one"]
    assert here == {"added": [], "removed": [], "changed": []}
    assert there == accepted == {"added": ["api_two"], "removed": [], "changed": []}
    assert [tool["name"] for tool in terminal("tools", "list", "--json").value] == ["api_one", "api_two"]


def test_a_pinned_description_is_fetched_again_only_as_it_was(
    terminal: Terminal, tmp_path: Path, published: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, document = published
    (tmp_path / "toolgate.yaml").write_text("tool_specs: [tool-specs]")
    (tmp_path / "tool-specs").mkdir()
    terminal("specs", "add", "api", "--from", url, "--allow-network", "127.0.0.0/8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))

    absent = terminal("specs", "lint", "api", "--json")
    fetched = terminal("specs", "fetch", "api", "--json")
    document.update(description(one="Another thing"))
    changed = terminal("specs", "fetch", "api", "--json")

    assert (absent.code, "specs fetch api" in absent.error["message"]) == (1, True)
    assert (fetched.code, fetched.value["url"]) == (0, url)
    assert terminal("specs", "lint", "api").code == 0
    assert (changed.code, changed.error["hint"]) == (1, "`toolgate specs diff api --fetch` shows the change")


def test_a_url_on_this_machine_is_fetched_only_if_its_network_is_allowed(
    terminal: Terminal, tmp_path: Path, published: tuple[str, dict[str, Any]]
) -> None:
    url, _ = published

    ran = terminal("specs", "add", "api", "--from", url, "--json")

    assert (ran.code, ran.error["code"]) == (1, "misconfigured")
    assert not (tmp_path / "tool-specs" / "api").exists()


@pytest.mark.parametrize(
    ("text", "auth"),
    [
        ("bearer:TOKEN", {"type": "bearer", "token": "${TOKEN}"}),
        ("basic:USER:WORD", {"type": "basic", "username": "${USER}", "password": "${WORD}"}),
        ("header:X-Key:KEY", {"type": "api_key", "in": "header", "name": "X-Key", "value": "${KEY}"}),
        ("query:key:KEY", {"type": "api_key", "in": "query", "name": "key", "value": "${KEY}"}),
    ],
)
def test_credentials_are_named_by_their_variables_in_words_an_integration_reads(tmp_path: Path, text: str, auth: dict[str, str]) -> None:
    (tmp_path / "integration.yaml").write_text(json.dumps({"name": "a", "spec": "b", "auth": auth_of(text)}))

    assert auth_of(text) == auth
    assert read_integration(tmp_path, {}).auth.type == auth["type"]


@pytest.mark.parametrize("text", ["bearer", "bearer:", "digest:A:B", "header:X-Key", "basic:A"])
def test_other_words_for_credentials_are_refused(text: str) -> None:
    with pytest.raises(Misconfigured, match="--auth takes bearer:VAR"):
        auth_of(text)
