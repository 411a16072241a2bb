"""The agent's runs over HTTP; every answer is held against the description that is served."""

from __future__ import annotations

from typing import Any

from tests.api.talking import Talking, an_input, said
from tests.api.test_approvals import as_described
from toolgate.testing import Line


async def world_with_a_run() -> tuple[Talking, dict[str, Any]]:
    world = Talking([Line("I look.", calls=(("list_issues", {}),), cost=100), Line("One leaks.", cost=50)])
    async with world.client() as client:
        await client.post("/v1/agent", json=an_input([said("Which issues are there?")]))
        answer = await client.get("/v1/runs")
    as_described("/v1/runs", "get", answer)
    (run,) = answer.json()["runs"]
    return world, run


async def test_the_runs_of_the_caller_are_listed() -> None:
    _, run = await world_with_a_run()

    assert (run["status"], run["owner"], run["task"], run["steps"], run["calls"]) == ("done", "ada", "Which issues are there?", 2, 1)
    assert run["cost"] == {"usd": "0.000150", "micros": 150}


async def test_a_run_is_told_once_more_with_its_bill() -> None:
    world, run = await world_with_a_run()
    async with world.client() as client:
        answer = await client.get(f"/v1/runs/{run['run']}")

    as_described("/v1/runs/{id}", "get", answer)
    events = answer.json()["events"]
    assert [event["type"] for event in events] == ["started", "routed", "said", "calling", "called", "said", "finished"]
    assert events[-1]["answer"] == "One leaks."
    assert events[-1]["bill"]["total"] == 150


async def test_a_run_of_somebody_else_is_as_if_it_were_not_there() -> None:
    world, run = await world_with_a_run()
    async with world.client("bob") as bob:
        listed, shown, unknown = await bob.get("/v1/runs"), await bob.get(f"/v1/runs/{run['run']}"), await bob.get("/v1/runs/none")

    assert listed.json() == {"runs": [], "total": 0}
    assert (shown.status_code, unknown.status_code) == (404, 404)
    as_described("/v1/runs/{id}", "get", shown)


async def test_a_limit_that_is_none_is_refused() -> None:
    async with Talking([]).client() as client:
        answer = await client.get("/v1/runs?limit=0")

    as_described("/v1/runs", "get", answer)
    assert answer.status_code == 400
