"""A call that is only looked at: the verdict, the request, and that nothing came of it."""

from __future__ import annotations

from collections.abc import Mapping
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
from toolgate.egress.wire import Request
from toolgate.errors import InvalidArguments
from toolgate.gateway import build_gateway
from toolgate.policy.conditions import Condition
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.ingress import guarded
from toolgate.settings import Server, Settings
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_tool

ACME = (Condition(field="args.owner", operator="equals", value="acme"),)
POLICY = Policy(
    [
        Role(
            role="clerk",
            permissions=(
                Permission(id="acme", tools="open", conditions=ACME),
                Permission(id="asks", tools="ask", obligations=("approve",)),
                Permission(id="shut", tools="secret", effect="deny"),
            ),
        ),
        Role(role="admin", permissions=(Permission(id="all", tools="*"),)),
    ]
)


async def by_name(scope: Scope) -> Principal:
    name = dict(scope["headers"])[b"x-user"].decode()
    return Principal(id=name, roles=("admin",) if name == "root" else ("clerk",), via="key")


async def written(name: str, arguments: Mapping[str, Any], principal: Principal) -> Request:
    if "bad" in arguments:
        raise InvalidArguments("that is bad", ({"path": "/bad", "message": "no", "schema": {}},))
    return Request("POST", "https://x.example/y", (("Authorization", "Bearer ********"),), b'{"a":1}' if name != "ask" else b"\xff\x00")


async def previewed(tool: str, arguments: Any, user: str = "ada") -> tuple[httpx2.Response, Echo, MemoryJournal]:
    journal, echo = MemoryJournal(), Echo()
    stores = memory_stores(journal)
    gateway = build_gateway([a_tool(echo, name=name, reads=False) for name in ("open", "ask", "secret")], POLICY, stores, Settings())
    there = faces(gateway, stores, preview=written)
    transport = httpx2.ASGITransport(guarded(Starlette(routes=there, exception_handlers=EXCEPTION_HANDLERS), Server(), by_name))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
        answer = await client.post(f"/v1/tools/{tool}/preview", headers={"x-user": user}, json={"arguments": arguments})
    if answer.status_code == 200:
        document = description()
        schema = {**document["components"]["schemas"]["Preview"], "components": document["components"]}
        jsonschema_rs.Draft202012Validator(schema).validate(answer.json())
    return answer, echo, journal


async def test_a_permitted_call_shows_its_request_and_nothing_is_run_or_written_down() -> None:
    answer, echo, journal = await previewed("open", {"owner": "acme"})

    assert answer.json() == {
        "problem": None,
        "verdict": {"decision": "allow", "rule": "acme", "message": None, "considered": None},
        "request": {
            "method": "POST",
            "url": "https://x.example/y",
            "headers": [["Authorization", "Bearer ********"]],
            "body": '{"a":1}',
            "body_bytes": 7,
        },
        "unshown": None,
    }
    assert (echo.seen, await journal.read("audit")) == ([], [])


async def test_a_call_that_would_be_refused_says_what_would_work() -> None:
    answer, _, _ = await previewed("open", {"owner": "evil"})

    verdict = answer.json()["verdict"]
    assert verdict["decision"] == "deny"
    assert verdict["message"] == 'ada may not call open: rule acme allows it where owner equals "acme"'


async def test_a_call_that_needs_a_yes_says_so_and_bytes_that_are_no_text_are_counted() -> None:
    answer, _, _ = await previewed("ask", {})

    assert answer.json()["verdict"]["decision"] == "approve"
    assert (answer.json()["request"]["body"], answer.json()["request"]["body_bytes"]) == (None, 2)


async def test_the_rules_that_were_considered_are_for_admins() -> None:
    answer, _, _ = await previewed("open", {}, user="root")

    assert [each["rule"] for each in answer.json()["verdict"]["considered"]] == ["all"]


async def test_arguments_that_do_not_fit_are_told_of_by_their_path() -> None:
    answer, _, _ = await previewed("open", {"bad": 1})

    assert answer.json()["problem"]["details"]["problems"][0]["path"] == "/bad"
    assert answer.json()["verdict"] is None


@pytest.mark.parametrize("tool", ["secret", "nothing"])
async def test_a_tool_that_may_not_be_known_of_is_like_one_that_does_not_exist(tool: str) -> None:
    answer, _, _ = await previewed(tool, {})

    assert (answer.status_code, answer.json()["problem"]["code"]) == (404, "unknown_tool")
    assert tool in answer.json()["problem"]["message"]


async def test_a_body_that_holds_something_else_is_refused() -> None:
    answer, _, _ = await previewed("open", 7)

    assert answer.status_code == 400
