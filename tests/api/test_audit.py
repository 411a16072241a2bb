"""The audit over HTTP: asked, verified, handed on; and calls added up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2
import jsonschema_rs
import pytest

from toolgate.api.operator import description
from toolgate.app import App, asgi, open_app
from toolgate.server.keys import Keys
from toolgate.settings import Caller, Settings

BASE = "http://127.0.0.1:8765"


@dataclass
class World:
    app: App
    client: httpx2.AsyncClient
    keys: dict[str, str]

    async def ask(self, path: str, user: str = "root", method: str = "GET", **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.keys[user]}"}
        answer = await self.client.request(method, path, headers=headers, **more)
        as_described(method, path.partition("?")[0], answer)
        return answer

    async def call(self, user: str, name: str, arguments: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.keys[user]}"}
        return await self.client.post(f"/v1/tools/{name}/call", headers=headers, json={"arguments": arguments})


def as_described(method: str, path: str, answer: httpx2.Response) -> None:
    document = description()
    response = document["paths"][path][method.lower()]["responses"][str(answer.status_code)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    if schema := response["content"].get("application/json", {}).get("schema"):
        jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


@asynccontextmanager
async def world(folder: Path, store: Literal["sqlite", "memory"] = "sqlite") -> AsyncIterator[World]:
    settings = Settings(integrations=("internal",), store=store, data_dir=folder)
    async with open_app(settings) as app, asgi(app) as application:
        made = Keys(app.stores.records)
        keys = {
            "root": (await made.create("root", Caller(roles=("admin",), tier="pro")))[1],
            "ada": (await made.create("ada", Caller(roles=("developer",), tier="pro")))[1],
        }
        transport = httpx2.ASGITransport(application, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url=BASE) as client:
            yield World(app, client, keys)


async def test_lines_are_asked_by_person_and_ending(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await there.call("ada", "internal_review_pull_request", {})
        await there.call("root", "no_such_tool", {})

        refused = (await there.ask("/v1/audit?who=ada&ending=refused")).json()
        since = (await there.ask("/v1/audit?tool=internal_*&since=2999-01-01")).json()

        [read] = (await there.ask("/v1/audit?type=audit.*&limit=1")).json()["lines"]

    assert read["details"]["asked"] == {"tool": "internal_*", "since": "2999-01-01"}
    assert [line["result"]["code"] for line in refused["lines"]] == ["invalid_arguments"]
    assert refused["behind"] == 0
    assert since["lines"] == []


@pytest.mark.parametrize("path", ["/v1/audit?who=root", "/v1/audit/export"])
async def test_the_audit_is_for_admins(tmp_path: Path, path: str) -> None:
    async with world(tmp_path) as there:
        answer = await there.ask(path, "ada")

    assert answer.status_code == 403


async def test_a_time_that_is_none_says_what_would_be(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        answer = await there.ask("/v1/audit?since=yesterday")

    assert answer.json()["problem"]["message"] == "since is a time such as 2026-11-20 or 2026-11-20T09:30:00Z"


async def test_the_audit_is_verified_and_that_it_was_is_written_down(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await there.call("ada", "no_such_tool", {})

        answer = await there.ask("/v1/audit/verify", method="POST", json={})
        [newest] = (await there.ask("/v1/audit?limit=1")).json()["lines"]

    assert answer.json()["flaw"] is None
    assert answer.json()["intact"] >= 1
    assert newest["details"] == {"by": "POST /v1/audit/verify", "intact": answer.json()["intact"]}


async def test_an_export_is_every_line_oldest_first(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await there.call("ada", "no_such_tool", {})

        answer = await there.ask("/v1/audit/export")
        wrapped = await there.ask("/v1/audit/export?format=cloudevents")

    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.jsonl"'
    assert {json.loads(line)["specversion"] for line in wrapped.text.splitlines()} == {"1.0"}


async def test_where_nothing_is_kept_there_is_nothing_to_verify_or_export(tmp_path: Path) -> None:
    async with world(tmp_path, "memory") as there:
        answers = [await there.ask("/v1/audit/verify", method="POST", json={}), await there.ask("/v1/audit/export")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert "in memory only" in answers[0].json()["problem"]["message"]


async def test_calls_are_added_up_ones_own_or_everybodys_for_an_admin(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        await there.call("ada", "no_such_tool", {})
        await there.call("root", "no_such_tool", {})

        own = (await there.ask("/v1/metrics/calls?by=user", "ada")).json()
        all_ = (await there.ask("/v1/metrics/calls?range=1h&by=user")).json()
        wrong = await there.ask("/v1/metrics/calls?range=1y")

    assert [(each["name"], each["refused"]) for each in own["by"]] == [("ada", 1)]
    assert all_["total"]["calls"] == sum(point["calls"] for point in all_["points"]) == 2
    assert (len(all_["points"]), all_["step"]) == (30, 120)
    assert wrong.status_code == 400


async def test_budgets_are_ones_own_or_everybodys_for_an_admin(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        own, all_ = await there.ask("/v1/budgets", "ada"), await there.ask("/v1/budgets")

    assert own.json() == all_.json() == {"budgets": []}
