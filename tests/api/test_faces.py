"""Whatever face a run is asked for by, the policy decides on it as on a call of `agent_run`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx2
import pytest
from starlette.types import Scope

from tests.api.talking import PRO, READS, ROLES, Talking, an_input, by_name, said
from toolgate.calls import Principal
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.server.ingress import guarded
from toolgate.settings import Server, Settings
from toolgate.testing import Line

MESSAGES = [said("Hi")]
FACES = {
    "/v1/agent": an_input(MESSAGES, forwardedProps={"model": "scripted/scripted-1"}),
    "/v1/chat/completions": {"model": "scripted/scripted-1", "messages": MESSAGES},
    "/v1/responses": {"model": "scripted/scripted-1", "input": "Hi"},
}
OTHER: Any = [{"field": "args.model", "operator": "equals", "value": "scripted/other"}]


async def with_scope(scope: Scope) -> Principal:
    return replace(await by_name(scope), scopes=frozenset({"tools:read"}))


@pytest.mark.parametrize("path", FACES)
async def test_a_credential_whose_scopes_do_not_cover_the_agent_has_no_runs(path: str) -> None:
    world = Talking([Line("Hello.")])
    transport = httpx2.ASGITransport(app=guarded(world.app(), Server(), with_scope))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8765") as client:
        answer = await client.post(path, json=FACES[path])

    assert (answer.status_code, world.model.asked) == (403, [])
    assert "the scopes of the credential do not cover it" in answer.text


@pytest.mark.parametrize("path", FACES)
@pytest.mark.parametrize("runs", [{"conditions": OTHER}, {"obligations": ("approve",)}])
async def test_what_a_rule_asks_of_agent_run_it_asks_of_every_face(path: str, runs: dict[str, Any]) -> None:
    world = Talking([Line("Hello.")])
    permission = Permission(id="runs", tools="agent_run", **runs)
    world.gateway.live.current = Policy([Role(role="clerk", permissions=(READS, permission)), *ROLES[1:]], PRO)
    async with world.client() as client:
        answer = await client.post(path, json=FACES[path])

    assert (answer.status_code, world.model.asked) == (403, [])


def limited(**limits: Any) -> Settings:
    return Settings.model_validate({"providers": {"scripted": {"kind": "scripted"}}, "limits": limits})


async def endings(world: Talking) -> list[tuple[str, str, str, str | None]]:
    """What the audit says of calls, oldest first: kind, tool, effect of the decision, code."""
    bodies = [entry.body for entry in reversed(await world.stores.journal.read("audit"))]
    calls = [body for body in bodies if body["type"] in ("call.denied", "call.limited", "call.outcome")]
    return [(body["type"], body["tool"]["name"], body["decision"]["effect"], body["result"]["code"]) for body in calls]


@pytest.mark.parametrize("path", FACES)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_run_counts_as_a_call_of_agent_run_and_one_too_many_is_refused_and_in_the_audit(path: str, stream: bool) -> None:
    world = Talking([Line("Hello."), Line("Again.")], limited(calls=[{"calls": 1, "per": "1m", "tools": "agent_run"}]))
    async with world.client() as client:
        first = await client.post(path, json=FACES[path] | {"stream": stream})
        second = await client.post(path, json=FACES[path] | {"stream": stream, "threadId": "t2"})

    assert (first.status_code, second.status_code, len(world.model.asked)) == (200, 429, 1)
    assert 0 < int(second.headers["retry-after"]) <= 60
    assert "calls to agent_run by ada per 60 s are used up" in second.text
    assert await endings(world) == [
        ("call.outcome", "agent_run", "allow", None),
        ("call.limited", "agent_run", "deny", "limit_reached"),
    ]


@pytest.mark.parametrize("path", FACES)
async def test_who_may_not_have_runs_is_told_so_and_the_audit_too(path: str) -> None:
    world = Talking([Line("Hello.")])
    async with world.client("rita") as client:
        answer = await client.post(path, json=FACES[path])

    assert (answer.status_code, world.model.asked) == (403, [])
    assert "rita may not run the agent" in answer.text
    assert await endings(world) == [("call.denied", "agent_run", "deny", "unknown_tool")]


@pytest.mark.parametrize("path", FACES)
async def test_a_run_that_needs_a_persons_yes_begins_once_it_has_one(path: str) -> None:
    world = Talking([Line("Hello.")])
    permission = Permission(id="runs", tools="agent_run", obligations=("approve",))
    world.gateway.live.current = Policy([Role(role="clerk", permissions=(READS, permission)), *ROLES[1:]], PRO)
    async with world.client() as client:
        waits = await client.post(path, json=FACES[path])
        (pending,) = await world.gateway.approvals.list()
        await world.gateway.approvals.decide(pending.id, True, Principal("olga", ("admin",)), "operator")
        goes = await client.post(path, json=FACES[path])

    assert (waits.status_code, goes.status_code, len(world.model.asked)) == (403, 200, 1)
    assert pending.id in waits.text


async def test_what_a_run_does_is_written_down_as_done_within_it() -> None:
    world = Talking([Line(calls=(("list_issues", {}),)), Line("One.")])
    async with world.client() as client:
        await client.post("/v1/responses", json=FACES["/v1/responses"])

    bodies = [entry.body for entry in await world.stores.journal.read("audit")]
    (run,) = {body["call"] for body in bodies if body["type"] == "call.outcome" and body["tool"]["name"] == "agent_run"}
    assert {body["parent"] for body in bodies if body["type"] == "call.outcome" and body["tool"]["name"] == "list_issues"} == {run}


async def test_a_run_that_breaks_by_a_bug_is_closed_in_the_audit() -> None:
    def broken(prompt: Any) -> Line:
        raise RuntimeError("a bug")

    world = Talking(broken)
    async with world.client() as client:
        answer = await client.post("/v1/responses", json=FACES["/v1/responses"] | {"stream": True})

    bodies = [entry.body for entry in await world.stores.journal.read("audit") if entry.body["type"].startswith("call.")]
    assert answer.status_code == 502
    assert [(body["type"], body["result"]["ending"]) for body in bodies if body["type"] == "call.outcome"] == [
        ("call.outcome", "RuntimeError")
    ]


async def test_a_schema_for_an_answer_that_makes_endless_work_is_refused_before_a_model_is_asked() -> None:
    defs = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"$defs": {**defs, "a40": {"type": "string"}}, "$ref": "#/$defs/a0"}
    world = Talking([Line("5")])
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with world.client() as client:
        answer = await client.post("/v1/chat/completions", json=FACES["/v1/chat/completions"] | {"response_format": form})

    assert (answer.status_code, world.model.asked) == (400, [])
    assert "alternatives within alternatives" in answer.text
