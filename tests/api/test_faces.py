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
from toolgate.settings import Server
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
