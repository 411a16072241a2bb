"""What waits for a person's yes, over HTTP; every answer is held against the description that is served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from starlette.applications import Starlette
from starlette.types import Scope

from tests.api.faces import faces
from toolgate.api import EXCEPTION_HANDLERS
from toolgate.api.operator import description
from toolgate.calls import Principal
from toolgate.gateway import build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.ingress import guarded
from toolgate.settings import Server, Settings
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_tool

ASKING = Permission(id="asks", tools="*", obligations=("approve",))
POLICY = Policy([Role(role="clerk", permissions=(ASKING,)), Role(role="admin", permissions=())])
ROLES = {"ada": ("clerk",), "bob": ("clerk",), "root": ("admin",), "boss": ("admin", "clerk")}


async def by_name(scope: Scope) -> Principal:
    headers = dict(scope["headers"])
    name, scopes = headers[b"x-user"].decode(), headers.get(b"x-scopes")
    bound = None if scopes is None else frozenset(scopes.decode().split())
    return Principal(id=name, roles=ROLES[name], via="key", scopes=bound)


@dataclass
class World:
    client: httpx2.AsyncClient
    journal: MemoryJournal
    echo: Echo

    async def call(self, user: str, arguments: Any = None, **headers: str) -> httpx2.Response:
        named = {"x-user": user} | headers
        return await self.client.post("/v1/tools/drop/call", headers=named, json={"arguments": arguments or {}})

    async def waiting(self, user: str, state: str | None = None) -> list[dict[str, Any]]:
        params = {"state": state} if state else {}
        answer = await self.client.get("/v1/approvals", headers={"x-user": user}, params=params)
        as_described("/v1/approvals", "get", answer)
        return list(answer.json()["approvals"])

    async def answer(self, user: str, id: str, body: Any) -> httpx2.Response:
        answer = await self.client.post(f"/v1/approvals/{id}", headers={"x-user": user}, json=body)
        as_described("/v1/approvals/{id}", "post", answer)
        return answer


def as_described(path: str, method: str, answer: httpx2.Response) -> None:
    document = description()
    response = document["paths"][path][method]["responses"][str(answer.status_code)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    schema = response["content"]["application/json"]["schema"]
    jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json())


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    journal, echo = MemoryJournal(), Echo()
    stores = memory_stores(journal)
    gateway = build_gateway([a_tool(echo, name="drop", reads=False)], POLICY, stores, Settings())
    app = Starlette(routes=faces(gateway, stores), exception_handlers=EXCEPTION_HANDLERS)
    transport = httpx2.ASGITransport(guarded(app, Server(max_body=10_000), by_name), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
        yield World(client, journal, echo)


async def test_a_call_is_refused_with_what_it_waits_for_and_passes_once_it_is_approved() -> None:
    async with world() as there:
        refused = await there.call("ada", {"n": 1})
        pending = refused.json()["problem"]["details"]["pending"]
        answered = await there.answer("root", pending, {"decision": "approve", "reason": "as agreed"})
        other = await there.call("ada", {"n": 2})
        passed = await there.call("ada", {"n": 1}, **{"toolgate-approval": pending})
        again = await there.call("ada", {"n": 1}, **{"toolgate-approval": pending})

    assert (refused.status_code, refused.json()["problem"]["code"]) == (403, "approval_needed")
    assert answered.status_code == 200
    shown = answered.json()
    assert shown.pop("asked") < shown.pop("expires")
    assert shown == {
        "id": pending,
        "state": "approved",
        "tenant": "default",
        "caller": "ada",
        "acting_for": [],
        "tool": "drop",
        "arguments": {"values": {"n": 1}},
        "by": "root",
        "reason": "as agreed",
    }
    assert [answer.status_code for answer in (other, passed, again)] == [403, 200, 403]
    assert [call.arguments for call in there.echo.seen] == [{"n": 1}]


async def test_everybody_sees_what_waits_of_their_own_and_the_admin_all_of_it() -> None:
    async with world() as there:
        first = (await there.call("ada", {"n": 1})).json()["problem"]["details"]["pending"]
        second = (await there.call("bob", {"n": 1})).json()["problem"]["details"]["pending"]
        before = [{each["id"] for each in await there.waiting(user)} for user in ("ada", "bob", "root")]
        await there.answer("root", first, {"decision": "deny"})
        after = [{each["id"] for each in await there.waiting("root", state)} for state in ("pending", "approved", "denied")]

    assert before == [{first}, {second}, {first, second}]
    assert after == [{second}, set(), {first}]


async def test_a_no_is_told_with_its_reason() -> None:
    async with world() as there:
        pending = (await there.call("ada")).json()["problem"]["details"]["pending"]
        await there.answer("root", pending, {"decision": "deny", "reason": "it is Friday"})
        refused = await there.call("ada")

    assert refused.status_code == 403
    assert refused.json()["problem"] == {
        "code": "not_permitted",
        "message": "root said no to this call of drop: it is Friday. Do not repeat it; do something else or ask why",
        "details": {"rule": "asks"},
    }


@pytest.mark.parametrize(
    ("caller", "who", "says"),
    [
        ("ada", "ada", "ada may not answer for others"),
        ("ada", "bob", "bob may not"),
        ("boss", "boss", "boss may not answer for its own call"),
    ],
)
async def test_nobody_answers_for_others_without_the_role_or_for_its_own_call_with_it(caller: str, who: str, says: str) -> None:
    async with world() as there:
        pending = (await there.call(caller)).json()["problem"]["details"]["pending"]
        refused = await there.answer(who, pending, {"decision": "approve"})
        still = await there.waiting("root")

    assert refused.status_code == 403
    assert refused.json()["problem"]["message"].startswith(says)
    assert [each["state"] for each in still] == ["pending"]


@pytest.mark.parametrize(
    "body",
    [{}, [], {"decision": "yes"}, {"decision": True}, {"decision": ["approve"]}, {"decision": "approve", "id": "x"}, {"reason": "x"}]
    + [{"decision": "approve", "reason": reason} for reason in (7, "x" * 501)],
)
async def test_an_answer_that_says_something_else_is_none(body: Any) -> None:
    async with world() as there:
        pending = (await there.call("ada")).json()["problem"]["details"]["pending"]
        wrong = await there.answer("root", pending, body)

        assert [each["state"] for each in await there.waiting("root")] == ["pending"]

    assert (wrong.status_code, wrong.json()["problem"]["code"]) == (400, "bad_request")


async def test_what_does_not_wait_cannot_be_answered_and_a_strange_state_is_not_listed() -> None:
    async with world() as there:
        nothing = await there.answer("root", "0" * 32, {"decision": "approve"})
        strange = await there.client.get("/v1/approvals?state=used", headers={"x-user": "root"})
        claimed = await there.call("ada", **{"toolgate-approval": "x"})

    assert (nothing.status_code, nothing.json()["problem"]["code"]) == (404, "unknown_approval")
    assert strange.status_code == 400
    assert (claimed.status_code, claimed.json()["problem"]["message"]) == (400, "an approval's id has 32 hexadecimal characters")


@pytest.mark.parametrize(("scopes", "sees", "answers"), [("tools:call", 1, 200), ("tools:read", 1, 403), ("tool:drop", 0, 403)])
async def test_scopes_bound_what_the_role_admin_lets_through(scopes: str, sees: int, answers: int) -> None:
    async with world() as here:
        await here.call("ada")
        [waiting] = await here.waiting("root")
        named = {"x-user": "root", "x-scopes": scopes}
        seen = await here.client.get("/v1/approvals", headers=named)
        answer = await here.client.post(f"/v1/approvals/{waiting['id']}", headers=named, json={"decision": "approve"})

    assert (len(seen.json()["approvals"]), answer.status_code) == (sees, answers)
