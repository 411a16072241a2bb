"""Calls as tasks, over the wire in both of their eras: 2025-11-25 basic/utilities/tasks, and the extension of 2026-07-28."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from toolgate.app import App, asgi, open_app
from toolgate.calls import Call, Outcome, Text, Tool
from toolgate.errors import ToolFailed
from toolgate.internal.jobs import MOST
from toolgate.server.keys import Keys
from toolgate.settings import Caller, read_settings
from toolgate.standin import serving
from toolgate.testing import a_tool

CORE, EXTENDED = "2025-11-25", "2026-07-28"
EXTENSION = "io.modelcontextprotocol/tasks"
META = "io.modelcontextprotocol/"
ROLE = """
role: maker
permissions:
  - {id: maker.slow, tools: slow}
  - {id: maker.quick, tools: quick}
  - {id: maker.failing, tools: failing}
  - {id: maker.asks, tools: ask_first, obligations: [approve]}
"""
SETTINGS = """{tool_specs: [specs], policies: policies, data_dir: state, store: memory,
               server: {port: 0, task_after: 0.2}, anonymous: {roles: [maker], tier: enterprise}, approvals: {by: caller}}"""


@dataclass
class Gated:
    """A tool that answers once it is let."""

    open: anyio.Event = field(default_factory=anyio.Event)
    calls: int = 0
    cancelled: int = 0

    async def __call__(self, call: Call) -> Outcome:
        self.calls += 1
        if call.progress is not None:
            await call.progress(1, 2, "half way")
        try:
            await self.open.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        return Outcome(content=(Text("done"),), structured={"n": call.arguments.get("n")})


async def failing(call: Call) -> Outcome:
    raise ToolFailed("it is broken")


@dataclass
class Wire:
    """JSON-RPC over Streamable HTTP, as one client of one era; nothing of the SDK's."""

    http: httpx2.AsyncClient
    era: str
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    ids: Any = field(default_factory=lambda: count(1))
    asked: list[str] = field(default_factory=list)
    """What the server asked the client; each is accepted."""

    async def begin(self) -> Mapping[str, Any]:
        if self.era == EXTENDED:
            return await self.result("server/discover")
        self.headers = {}
        params = {"protocolVersion": CORE, "capabilities": self.capabilities, "clientInfo": {"name": "t", "version": "1"}}
        said = await self.result("initialize", **params)
        await self.http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=self._headers("x", {}))
        return said

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """The whole answer."""
        if self.era == EXTENDED:
            params["_meta"] = {f"{META}protocolVersion": EXTENDED, f"{META}clientCapabilities": self.capabilities}
        body = {"jsonrpc": "2.0", "id": next(self.ids), "method": method, "params": params}
        async with self.http.stream("POST", "/mcp", json=body, headers=self._headers(method, params)) as response:
            if "mcp-session-id" in response.headers:
                self.headers = {"mcp-session-id": response.headers["mcp-session-id"], "mcp-protocol-version": CORE}
            if not response.headers["content-type"].startswith("text/event-stream"):
                return dict(json.loads(await response.aread()))
            async for line in response.aiter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") and line != "data: " else {}
                if message.get("id") == body["id"] and "method" not in message:
                    return dict(message)
                if message.get("method") == "elicitation/create":
                    self.asked.append(message["params"]["message"])
                    yes = {"jsonrpc": "2.0", "id": message["id"], "result": {"action": "accept", "content": {"approve": True}}}
                    await self.http.post("/mcp", json=yes, headers=self._headers("x", {}))
        raise AssertionError("no answer came")

    async def result(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return dict(answer["result"])

    async def code(self, method: str, **params: Any) -> int:
        return int((await self.ask(method, **params))["error"]["code"])

    async def until(self, status: str, id: str) -> dict[str, Any]:
        with anyio.fail_after(10):
            while (task := await self.result("tasks/get", taskId=id))["status"] != status:
                await anyio.sleep(0.02)
        return task

    def _headers(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        both = {"accept": "application/json, text/event-stream", **self.headers}
        if self.era == CORE:
            return both
        name = params.get("name") or params.get("taskId")
        return {**both, "mcp-protocol-version": EXTENDED, "mcp-method": method, **({"mcp-name": name} if name else {})}


@asynccontextmanager
async def standing(folder: Path, *tools: Tool, **settings: Any) -> AsyncIterator[tuple[App, httpx2.AsyncClient]]:
    for name, content in {"policies/roles/maker.yaml": ROLE, "specs/.keep": "", "toolgate.yaml": SETTINGS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    loaded = read_settings(folder / "toolgate.yaml", {}).model_copy(update=settings)
    async with open_app(loaded) as app:
        app.gateway.serve([*(tool for tool in app.gateway.catalog if tool.integration != "toolgate"), *tools])
        async with asgi(app) as application, serving(application) as url, httpx2.AsyncClient(base_url=url) as http:
            yield app, http


def knows_tasks(http: httpx2.AsyncClient, **headers: str) -> Wire:
    return Wire(http, EXTENDED, {"extensions": {EXTENSION: {}}}, headers)


async def core(http: httpx2.AsyncClient, **capabilities: Any) -> Wire:
    wire = Wire(http, CORE, capabilities)
    await wire.begin()
    return wire


async def test_a_client_of_2025_asks_for_a_task_polls_it_and_has_exactly_the_result_of_the_call(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow")) as (_, http):
        wire = Wire(http, CORE)
        said = await wire.begin()
        listed = (await wire.result("tools/list"))["tools"]
        task = (await wire.result("tools/call", name="slow", arguments={"n": 3}, task={"ttl": 600_000}))["task"]
        working = await wire.until("working", task["taskId"])
        tasks = (await wire.result("tasks/list"))["tasks"]
        gated.open.set()
        payload = await wire.result("tasks/result", taskId=task["taskId"])
        plain = await wire.result("tools/call", name="slow", arguments={"n": 3})
        completed = await wire.result("tasks/get", taskId=task["taskId"])

    assert said["capabilities"]["tasks"] == {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    assert {tool["name"]: tool["execution"] for tool in listed}["slow"] == {"taskSupport": "optional"}
    assert (task["status"], task["ttl"], len(task["taskId"])) == ("working", 600_000, 32)
    assert {"createdAt", "lastUpdatedAt", "pollInterval"} <= task.keys()
    assert working["status"] == "working"
    assert [each["taskId"] for each in tasks] == [task["taskId"]]
    assert payload.pop("_meta") == {"io.modelcontextprotocol/related-task": {"taskId": task["taskId"]}}
    assert payload == {key: value for key, value in plain.items() if key != "_meta"}
    assert payload["structuredContent"] == {"n": 3}
    assert completed["status"] == "completed"


async def test_a_client_of_2025_is_told_over_its_own_stream_how_a_task_has_ended(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow")) as (_, http):
        wire = await core(http)
        task = (await wire.result("tools/call", name="slow", arguments={}, task={}))["task"]
        with anyio.fail_after(10):
            async with http.stream("GET", "/mcp", headers={"accept": "text/event-stream", **wire.headers}) as stream:
                gated.open.set()
                async for line in stream.aiter_lines():
                    if line.startswith("data:") and "notifications/tasks/status" in line:
                        told = json.loads(line.removeprefix("data:"))["params"]
                        break

    assert (told["taskId"], told["status"]) == (task["taskId"], "completed")


async def test_a_client_that_knows_the_extension_is_answered_at_once_what_is_quick_and_by_a_task_what_is_not(tmp_path: Path) -> None:
    gated = Gated()
    quick = Gated()
    quick.open.set()
    async with standing(tmp_path, a_tool(gated, name="slow"), a_tool(quick, name="quick")) as (_, http):
        wire = knows_tasks(http)
        said = await wire.begin()
        at_once = await wire.result("tools/call", name="quick", arguments={"n": 1})
        task = await wire.result("tools/call", name="slow", arguments={"n": 2})
        working = await wire.result("tasks/get", taskId=task["taskId"])
        gated.open.set()
        completed = await wire.until("completed", task["taskId"])

    assert said["capabilities"]["extensions"][EXTENSION] == {}
    assert (at_once["resultType"], at_once["structuredContent"]) == ("complete", {"n": 1})
    assert (task["resultType"], task["status"], len(task["taskId"])) == ("task", "working", 32)
    assert {"createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs"} <= task.keys()
    assert (working["resultType"], working["status"], "result" in working) == ("complete", "working", False)
    assert (completed["resultType"], completed["result"]["structuredContent"]) == ("complete", {"n": 2})
    assert gated.calls == 1


async def test_who_does_not_know_the_extension_waits_and_cannot_ask_after_tasks(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow")) as (_, http):
        wire = Wire(http, EXTENDED)
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await wire.result("tools/call", name="slow", arguments={"n": 1}))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.sleep(0.5)  # longer than a call may take before it becomes a task
            gated.open.set()
        codes = [await wire.code(f"tasks/{name}", taskId="0" * 32) for name in ("get", "cancel", "update")]
        listening = await wire.ask("subscriptions/listen", notifications={"taskIds": ["0" * 32]})

    assert answers[0]["resultType"] == "complete"
    assert codes == [-32021] * 3  # ext-tasks, "Protocol Errors"
    assert listening["error"]["code"] == -32021
    assert listening["error"]["data"] == {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.mark.parametrize("era", [CORE, EXTENDED])
async def test_a_task_is_cancelled_by_who_made_it_and_its_call_ends(tmp_path: Path, era: str) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow", timeout=600.0)) as (_, http):
        wire = await core(http) if era == CORE else knows_tasks(http)
        more: dict[str, Any] = {"task": {}} if era == CORE else {}
        made = await wire.result("tools/call", name="slow", arguments={}, **more)
        name = (made.get("task") or made)["taskId"]
        answer = await wire.result("tasks/cancel", taskId=name)
        now = await wire.result("tasks/get", taskId=name)
        with anyio.fail_after(10):
            while not gated.cancelled:
                await anyio.sleep(0.01)
        again = await wire.ask("tasks/cancel", taskId=name)

    assert now["status"] == "cancelled"
    if era == CORE:
        assert answer["status"] == "cancelled"
        assert again["error"]["code"] == -32602  # "Task Cancellation", 1
    else:
        assert answer["resultType"] == "complete"
        assert "taskId" not in answer
        assert again["result"]["resultType"] == "complete"


async def test_a_task_of_somebody_elses_and_none_are_told_apart_by_nobody(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow")) as (app, http):
        _, key = await Keys(app.stores.records).create("eve", Caller(roles=("maker",), tier="enterprise"))
        mine, eves = knows_tasks(http), knows_tasks(http, authorization=f"Bearer {key}")
        task = await mine.result("tools/call", name="slow", arguments={})
        asked = [
            [await eves.ask(f"tasks/{name}", taskId=one) for one in (task["taskId"], "0" * 32)] for name in ("get", "cancel", "update")
        ]
        eve = Wire(http, CORE)
        eve_listed = await _listed(eve, key)
        gated.open.set()
        await mine.until("completed", task["taskId"])

    for others, unknown in asked:
        assert others["error"] == unknown["error"]
        assert others["error"]["code"] == -32602
    assert eve_listed == []


async def _listed(wire: Wire, key: str) -> list[Any]:
    wire.http = httpx2.AsyncClient(base_url=wire.http.base_url, headers={"authorization": f"Bearer {key}"})
    async with wire.http:
        await wire.begin()
        return list((await wire.result("tasks/list"))["tasks"])


async def test_a_tool_that_fails_has_failed_to_2025_and_completed_with_an_error_to_the_extension(tmp_path: Path) -> None:
    async with standing(tmp_path, a_tool(failing, name="failing")) as (_, http):
        old, new = await core(http), knows_tasks(http)
        task = (await old.result("tools/call", name="failing", arguments={}, task={}))["task"]
        failed = await old.until("failed", task["taskId"])
        payload = await old.result("tasks/result", taskId=task["taskId"])
        completed = await new.result("tasks/get", taskId=task["taskId"])

    assert "it is broken" in failed["statusMessage"]
    assert payload["isError"]
    assert (completed["status"], completed["result"]["isError"]) == ("completed", True)


async def test_what_a_person_has_to_approve_is_asked_before_the_task_is_there(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="ask_first", reads=False)) as (_, http):
        wire = await core(http, elicitation={})
        task = (await wire.result("tools/call", name="ask_first", arguments={"n": 1}, task={}))["task"]
        gated.open.set()
        payload = await wire.result("tasks/result", taskId=task["taskId"])
        alone = await core(http)
        waits = (await alone.result("tools/call", name="ask_first", arguments={"n": 2}, task={}))["task"]
        refused = await alone.result("tasks/result", taskId=waits["taskId"])

    assert len(wire.asked) == 1
    assert (payload["structuredContent"], gated.calls) == ({"n": 1}, 1)
    assert refused["isError"]
    assert "needs a person's yes" in refused["content"][0]["text"]


async def test_a_task_is_held_to_policy_limits_and_audit_like_any_call(tmp_path: Path) -> None:
    gated = Gated()
    gated.open.set()
    async with standing(tmp_path, a_tool(gated, name="slow", schema={"type": "object", "required": ["n"]})) as (app, http):
        wire = await core(http)
        task = (await wire.result("tools/call", name="slow", arguments={}, task={}))["task"]
        refused = await wire.result("tasks/result", taskId=task["taskId"])
        unknown = await wire.code("tools/call", name="nothing", arguments={}, task={})
        audited = [entry.body for entry in await app.stores.journal.read("audit")]

    assert refused["isError"]
    assert gated.calls == 0
    assert unknown == -32602
    assert any(body.get("tool", {}).get("name") == "slow" for body in audited)


async def test_no_more_tasks_of_one_owner_are_under_way_than_jobs_may_be(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow")) as (_, http):
        wire = await core(http)
        for _ in range(MOST):
            await wire.result("tools/call", name="slow", arguments={}, task={})
        refused = await wire.ask("tools/call", name="slow", arguments={}, task={})
        gated.open.set()

    assert f"{MOST} of your jobs" in refused["error"]["message"]
    assert gated.calls == MOST


async def test_a_client_that_leaves_before_its_call_is_a_task_takes_the_call_back(tmp_path: Path) -> None:
    gated = Gated()
    async with standing(tmp_path, a_tool(gated, name="slow", timeout=600.0)) as (_, http):
        wire = knows_tasks(http)
        with anyio.move_on_after(0.1):
            await wire.ask("tools/call", name="slow", arguments={})
        with anyio.fail_after(10):
            while not gated.cancelled:
                await anyio.sleep(0.01)


async def test_tasks_of_unknown_cursors_versions_and_kinds_are_refused_as_the_protocol_says(tmp_path: Path) -> None:
    async with standing(tmp_path, a_tool(name="echo")) as (_, http):
        wire, new = await core(http), knows_tasks(http)
        codes = {
            "cursor": await wire.code("tasks/list", cursor="../"),
            "id": await wire.code("tasks/get", taskId="nothing"),
            "update": await wire.code("tasks/update", taskId="0" * 32),
            "result": await new.code("tasks/result", taskId="0" * 32),
            "list": await new.code("tasks/list"),
        }

    assert codes == {"cursor": -32602, "id": -32602, "update": -32601, "result": -32601, "list": -32601}
