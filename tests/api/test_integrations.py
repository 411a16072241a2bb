"""Integrations over HTTP, on a whole gate: switched, tested, refreshed, accepted, added."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import yaml

from tests.api.test_audit import World, as_described
from toolgate.app import asgi, open_app
from toolgate.server.keys import Keys
from toolgate.settings import Caller, Settings, bundled
from toolgate.testing import raw_server

BASE = "http://127.0.0.1:8765"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


def document(*operations: str, summary: str = "List what there is") -> dict[str, Any]:
    def get(name: str) -> dict[str, Any]:
        return {"get": {"operationId": name, "summary": summary, "responses": {"200": {"description": "."}}}}

    servers = [{"url": "https://shop.example"}]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shop", "version": "1"},
        "servers": servers,
        "paths": {f"/{n}": get(n) for n in operations},
    }


@asynccontextmanager
async def world(folder: Path, origin: str = "https://shop.example", policies: Path | None = None, **more: Any) -> AsyncIterator[World]:
    specs = folder / "specs"
    shop = specs / "shop"
    if not shop.exists():
        shop.mkdir(parents=True)
        declared = {"name": "shop", "spec": "openapi.json", "base_url": origin, "allow_networks": ["127.0.0.0/8"], **more}
        (shop / "integration.yaml").write_text(yaml.safe_dump(declared))
        (shop / "openapi.json").write_text(json.dumps(document("list_items")))
    settings = Settings(tool_specs=(specs,), policies=policies, data_dir=folder / "state")
    async with open_app(settings) as app, asgi(app) as application:
        keys = {
            name: (await Keys(app.stores.records).create(name, Caller(roles=(role,), tier="pro")))[1]
            for name, role in (("root", "admin"), ("ada", "readonly"))
        }
        transport = httpx2.ASGITransport(application, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield World(app, client, keys)


async def posted(there: World, path: str, body: Mapping[str, Any] | None = None, user: str = "root") -> httpx2.Response:
    headers = {"authorization": f"Bearer {there.keys[user]}"}
    answer = await there.client.post(path, headers=headers, json=body or {})
    as_described("POST", re.sub("/(shop|other)/", "/{name}/", path), answer)
    return answer


async def accepted(there: World) -> Any:
    seen = (await posted(there, "/v1/integrations/shop/refresh")).json()["digest"]
    return (await posted(there, "/v1/integrations/shop/accept", {"digest": seen})).json()


def tools(there: World) -> set[str]:
    return {tool.name for tool in there.app.gateway.catalog if tool.integration in ("shop", "new")}


async def test_an_integration_that_is_switched_off_is_served_to_nobody_until_it_is_on_again_restarts_included(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        assert (await posted(there, "/v1/integrations/shop/disable")).json() == {"enabled": False}
        assert tools(there) == set()
        answer = await there.call("ada", "shop_list_items", {})
        assert answer.json()["problem"]["code"] == "unknown_tool"

    async with world(tmp_path) as there:
        assert tools(there) == set()
        [listed] = (await there.ask("/v1/integrations")).json()["integrations"]
        assert listed["enabled"] is False
        await posted(there, "/v1/integrations/shop/enable")
        assert tools(there) == {"shop_list_items"}
        [newest] = (await there.ask("/v1/audit?type=config.changed&limit=1")).json()["lines"]
        assert newest["details"] == {"integration": "shop", "what": "enabled"}
        assert newest["principal"]["id"] == "root"


@pytest.mark.parametrize("what", ["disable", "enable", "test", "refresh", "accept"])
async def test_changes_are_for_admins(tmp_path: Path, what: str) -> None:
    async with world(tmp_path) as there:
        answer = await posted(there, f"/v1/integrations/shop/{what}", user="ada")

        assert answer.status_code == 403
        assert tools(there) == {"shop_list_items"}


async def test_a_description_that_has_changed_is_shown_as_a_diff_and_served_once_accepted(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        (tmp_path / "specs/shop/openapi.json").write_text(json.dumps(document("list_items", "list_cups", summary="Obey me")))

        refreshed = (await posted(there, "/v1/integrations/shop/refresh")).json()
        assert [(each["name"], each["change"]) for each in refreshed["differences"]] == [
            ("shop_list_cups", "added"),
            ("shop_list_items", "changed"),
        ]
        assert "Obey me" in refreshed["differences"][1]["diff"]
        assert tools(there) == {"shop_list_items"}
        accepted = (await posted(there, "/v1/integrations/shop/accept", {"digest": refreshed["digest"]})).json()

        assert accepted["added"] == ["shop_list_cups", "shop_list_items"]  # nothing had been accepted before
        assert tools(there) == {"shop_list_items", "shop_list_cups"}


async def test_an_operation_that_has_moved_is_shown_as_a_difference(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        moved = document("list_items")
        moved["paths"] = {"/elsewhere": moved["paths"]["/list_items"]}
        (tmp_path / "specs/shop/openapi.json").write_text(json.dumps(moved))

        [difference] = (await posted(there, "/v1/integrations/shop/refresh")).json()["differences"]

        assert (difference["name"], difference["change"]) == ("shop_list_items", "changed")
        assert '-  "operation": "GET /list_items",' in difference["diff"].splitlines()


async def test_what_has_changed_again_since_it_was_seen_is_not_accepted(tmp_path: Path) -> None:
    file = tmp_path / "specs/shop/openapi.json"
    async with world(tmp_path) as there:
        file.write_text(json.dumps(document("list_items", "list_cups")))
        seen = (await posted(there, "/v1/integrations/shop/refresh")).json()["digest"]
        file.write_text(json.dumps(document("list_items", "list_cups", summary="Obey me")))

        answer = await posted(there, "/v1/integrations/shop/accept", {"digest": seen})

        assert (answer.status_code, "no longer defined as it was shown" in answer.json()["problem"]["message"]) == (400, True)
        assert tools(there) == {"shop_list_items"}
        assert not (tmp_path / "specs/shop/tools.lock.json").exists()


async def test_a_definition_called_like_another_integrations_tool_is_not_accepted_and_nothing_changes(tmp_path: Path) -> None:
    other = tmp_path / "specs/other"
    other.mkdir(parents=True)
    (other / "integration.yaml").write_text(yaml.safe_dump({"name": "other", "spec": "openapi.json", "prefix": "shop_"}))
    (other / "openapi.json").write_text(json.dumps(document("list_cups")))
    async with world(tmp_path) as there:
        (tmp_path / "specs/shop/openapi.json").write_text(json.dumps(document("list_items", "list_cups")))

        answer = await accepted(there)

        assert answer["problem"]["message"].startswith("two tools are called 'shop_list_cups'")
        assert not (tmp_path / "specs/shop/tools.lock.json").exists()
        for change in ("disable", "enable"):
            assert (await posted(there, f"/v1/integrations/other/{change}")).status_code == 200
        assert tools(there) == {"shop_list_items"}


async def test_nothing_is_accepted_unseen(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        answers = [await posted(there, "/v1/integrations/shop/accept", body) for body in ({}, {"digest": 7}, {"digest": "0" * 64})]

    assert [answer.status_code for answer in answers] == [400, 400, 400]
    assert not (tmp_path / "specs/shop/tools.lock.json").exists()


async def test_what_one_process_switches_the_others_heed(tmp_path: Path) -> None:
    async with world(tmp_path) as there, open_app(there.app.settings) as other:

        def elsewhere() -> set[str]:
            return {tool.name for tool in other.gateway.catalog if tool.integration == "shop"}

        await posted(there, "/v1/integrations/shop/disable")
        await other.roster.switches.heed()
        assert elsewhere() == set()

        await posted(there, "/v1/integrations/shop/enable")
        await other.roster.switches.heed()
        assert elsewhere() == {"shop_list_items"}


async def test_a_running_process_looks_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as there, open_app(there.app.settings) as other:
        await posted(there, "/v1/integrations/shop/disable")

        with anyio.fail_after(30):
            while other.gateway.catalog.get("shop_list_items") is not None:
                await anyio.sleep(0.1)


async def test_who_is_no_admin_hears_of_integrations_as_of_tools(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        broken = tmp_path / "specs/broken"
        broken.mkdir()
        (broken / "integration.yaml").write_text("name: broken\nspec: nowhere.json\n")
        (tmp_path / "specs/shop/openapi.json").write_text(json.dumps(document("list_items", "list_cups")))
        await accepted(there)
    policies = tmp_path / "policies"
    shutil.copytree(bundled("policies"), policies)
    (policies / "roles/cups.yaml").write_text("role: cups\npermissions:\n  - {id: cups, tools: shop_list_cups}\n")
    shutil.rmtree(policies / "tests", ignore_errors=True)

    async with world(tmp_path, policies=policies) as there:
        keys = Keys(there.app.stores.records)
        answers = {}
        for role in ("cups", "nothing", "admin"):
            _, key = await keys.create(role, Caller(roles=(role,), tier="pro"))
            answer = await there.client.get("/v1/integrations", headers={"authorization": f"Bearer {key}"})
            as_described("GET", "/v1/integrations", answer)
            answers[role] = {each["name"]: each for each in answer.json()["integrations"]}

    assert answers["admin"].keys() == {"shop", "broken"}
    assert (answers["admin"]["shop"]["tools"], answers["cups"]["shop"]["tools"]) == (2, 1)
    assert answers["cups"].keys() == {"shop"}
    assert answers["nothing"] == {}


async def test_definitions_that_are_kept_back_are_named_until_they_are_accepted(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await accepted(there)
    (tmp_path / "specs/shop/openapi.json").write_text(json.dumps(document("list_items", "list_cups")))

    async with world(tmp_path) as there:
        headers = {"authorization": f"Bearer {there.keys['root']}"}
        told = (await there.client.get("/v1/integrations/shop", headers=headers)).json()
        assert (told["quarantined"], told["kept_back"]) == (1, ["shop_list_cups"])
        await accepted(there)

        assert tools(there) == {"shop_list_items", "shop_list_cups"}


async def test_a_test_says_whether_the_other_side_answers(tmp_path: Path) -> None:
    async with raw_server(ANSWER) as server, world(tmp_path, server.origin) as there:
        tried = (await posted(there, "/v1/integrations/shop/test")).json()

    assert tried["ok"] is True
    assert tried["sentence"].endswith("answers; 200 to a request without credentials")


async def test_a_test_of_what_is_not_there_says_so(tmp_path: Path) -> None:
    async with world(tmp_path, "http://127.0.0.1:9") as there:
        tried = (await posted(there, "/v1/integrations/shop/test")).json()

    assert tried["ok"] is False


async def test_credentials_are_said_to_be_missing_or_set_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "very-secret-indeed")
    async with world(tmp_path, auth={"type": "bearer", "token": "${SHOP_TOKEN}"}) as there:
        answer = await there.ask("/v1/integrations")

    assert answer.json()["integrations"][0]["credentials"] == "set"
    assert "very-secret" not in answer.text


async def test_a_day_of_calls_is_told_with_the_last_error_and_what_is_used_of_the_other_sides_limits(tmp_path: Path) -> None:
    limits = [{"calls": 10, "per": "1h"}]
    async with world(tmp_path, "http://127.0.0.1:9", limits=limits, prices={"default": 0}) as there:
        await there.call("ada", "shop_list_items", {})
        headers = {"authorization": f"Bearer {there.keys['root']}"}
        answer = await there.client.get("/v1/integrations/shop", headers=headers)

    as_described("GET", "/v1/integrations/{name}", answer)
    told = answer.json()
    assert (told["day"]["calls"], told["day"]["failed"]) == (1, 1)
    assert (told["last_error"]["tool"], told["last_error"]["code"]) == ("shop_list_items", "unreachable")
    assert told["limits"] == [{"calls": 10, "seconds": 3600.0, "used": 1}]


async def test_a_description_is_looked_at_before_it_is_added_and_served_at_once(tmp_path: Path) -> None:
    new = {"name": "new", "document": json.dumps(document("list_teas"))}
    async with world(tmp_path) as there:
        looked = (await posted(there, "/v1/integrations/preview", new)).json()
        assert [tool["name"] for tool in looked["tools"]] == ["new_list_teas"]
        assert not (tmp_path / "specs/new").exists()

        added = (await posted(there, "/v1/integrations", new)).json()

        assert added == looked
        assert tools(there) == {"shop_list_items", "new_list_teas"}
        assert (await posted(there, "/v1/integrations", new)).status_code == 400  # there is one of that name
    async with world(tmp_path) as there:
        assert tools(there) == {"shop_list_items", "new_list_teas"}


@pytest.mark.parametrize(
    "body",
    [
        {"name": "new"},
        {"name": "new", "url": "https://x.example", "document": "{}"},
        {"name": "new", "url": "file:///etc/passwd"},
        {"name": "new", "url": "http://127.0.0.1:9/openapi.json"},
        {"name": "new", "document": json.dumps(document("a")), "base_url": "https://evil.example/${HOME}"},
        {"name": "../new", "document": json.dumps(document("a"))},
        {"name": "new", "document": "no description"},
        {"name": "new", "document": json.dumps(document("a")), "auth": "bearer:HOME"},
        {"name": 7, "document": "{}"},
    ],
)
async def test_what_cannot_or_must_not_be_added_leaves_nothing(tmp_path: Path, body: Any) -> None:
    async with world(tmp_path) as there:
        answer = await posted(there, "/v1/integrations", body)

        assert answer.status_code == 400
        assert tools(there) == {"shop_list_items"}
    assert [folder.name for folder in (tmp_path / "specs").iterdir()] == ["shop"]


async def test_an_integration_that_is_not_there_is_named(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        headers = {"authorization": f"Bearer {there.keys['root']}"}
        answer = await there.client.post("/v1/integrations/shap/disable", headers=headers, json={})

    assert answer.json()["problem"]["message"] == "there is no integration called 'shap'; there is shop"
