"""The agent as a tool, called by an official MCP client over a served gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult, TextContent

from tests.api.talking import Talking, by_name
from tests.server.conftest import serving
from toolgate.errors import ModelFailed
from toolgate.testing import Line

CLOSES = [Line("I close it.", calls=(("close_issue", {"number": 7}),)), Line("It is closed.")]


@asynccontextmanager
async def connected(world: Talking, **more: Any) -> AsyncIterator[Client]:
    with anyio.fail_after(20):
        async with serving(world.gateway, identify=by_name) as url, Client(f"{url}/mcp", **more) as client:
            yield client


def said(result: Any) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def test_a_client_gives_the_agent_a_task_and_hears_how_far_it_is() -> None:
    heard: list[str | None] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message)

    world = Talking([Line("I look.", calls=(("list_issues", {}),), cost=100), Line("One leaks.", cost=50)])
    async with connected(world) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
        result = await client.call_tool("agent_run", {"task": "Which issues are there?"}, progress_callback=listen)

    assert listed["agent_run"].input_schema["properties"]["task"]["type"] == "string"
    assert said(result) == "One leaks."
    assert result.structured_content is not None
    assert (result.structured_content["status"], result.structured_content["bill"]["total"]["micros"]) == ("done", 150)
    assert heard[0] == "scripted/scripted-1 is asked"


async def test_what_needs_a_yes_is_asked_at_a_client_that_waits_for_its_call() -> None:
    asked: list[str] = []

    async def yes(_context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": True})

    world = Talking(list(CLOSES))
    async with connected(world, elicitation_callback=yes, mode="legacy") as client:
        result = await client.call_tool("agent_run", {"task": "Close #7"})

    assert said(result) == "It is closed."
    assert world.issues.closed == [7]
    assert ["wants to call close_issue" in each for each in asked] == [True]


@pytest.mark.parametrize("yes", [True, False])
async def test_a_client_that_is_asked_by_the_answer_to_its_call_makes_it_again_with_the_persons_answer(yes: bool) -> None:
    asked: list[str] = []

    async def answer(_context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"approve": yes})

    numbers = range(10, 17)  # more than equal calls that would be taken for a loop
    world = Talking([Line("I close them.", calls=tuple(("close_issue", {"number": n}) for n in numbers)), Line("That is all.")])
    async with connected(world, elicitation_callback=answer, mode="2026-07-28") as client:
        result = await client.call_tool("agent_run", {"task": "Close #10 to #16"})

    assert said(result) == "That is all."
    assert sorted(world.issues.closed) == (list(numbers) if yes else [])
    assert [str(number) in message for number, message in zip(numbers, asked, strict=True)] == [True] * 7
    assert len(await world.agent.runs.seen_by(await by_name({"headers": []}))) == 1


async def test_a_form_that_is_closed_leaves_the_run_waiting_for_the_same_call() -> None:
    actions: list[Any] = ["cancel", "accept"]

    async def answer(_context: Any, _params: ElicitRequestParams) -> ElicitResult:
        return ElicitResult(action=actions.pop(0), content={"approve": True})

    world = Talking(list(CLOSES))
    async with connected(world, elicitation_callback=answer, mode="2026-07-28") as client:
        first = await client.call_tool("agent_run", {"task": "Close #7"})
        second = await client.call_tool("agent_run", {"task": "Close #7"})

    assert "the run waits for a person's yes" in said(first)
    assert (said(second), world.issues.closed) == ("It is closed.", [7])


async def test_where_nobody_can_be_asked_the_run_waits_and_is_taken_up() -> None:
    world = Talking(list(CLOSES))
    async with connected(world) as client:
        first = await client.call_tool("agent_run", {"task": "Close #7"})
        (waiting,) = await world.gateway.approvals.list()
        await world.gateway.approvals.decide(waiting.id, True, await by_name({"headers": []}), "client")
        assert first.structured_content is not None
        second = await client.call_tool("agent_run", {"resume": first.structured_content["run"]})

    assert f"Go on with agent_run and resume {first.structured_content['run']}" in said(first)
    assert (said(second), world.issues.closed) == ("It is closed.", [7])


async def test_who_takes_a_run_up_changes_what_they_say_and_nothing_else() -> None:
    world = Talking([CLOSES[0], Line("I look.", calls=(("list_issues", {}),)), Line("As far as I know.")])
    async with connected(world) as client:
        first = await client.call_tool("agent_run", {"task": "Close #7", "max_cost": 0.05, "tools": ["close_*"], "model": "scripted/x"})
        assert first.structured_content is not None
        run = first.structured_content["run"]
        second = await client.call_tool("agent_run", {"resume": run, "max_steps": 1, "task": "Look first"})

    task = (await world.agent.runs.get(run, await by_name({"headers": []}))).task
    assert (task.limits.cost, task.limits.steps, task.tools, task.model) == (50_000, 1, ("close_*",), "scripted/x")
    assert second.structured_content is not None
    assert second.structured_content["status"] == "budget_exhausted"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "agent_run wants task, what is to be done, or resume"),
        ({"task": "x", "max_cost": 0}, "max_cost"),
        ({"resume": "none"}, "there is no run 'none' of yours"),
    ],
)
async def test_what_cannot_be_meant_is_said(arguments: dict[str, Any], message: str) -> None:
    async with connected(Talking([])) as client:
        result = await client.call_tool("agent_run", arguments)

    assert result.is_error
    assert message in said(result)


async def test_a_run_that_fails_is_a_tool_that_fails() -> None:
    world = Talking([Line(error=ModelFailed("the model cannot understand the request", "request", reason="invalid"))])
    async with connected(world) as client:
        result = await client.call_tool("agent_run", {"task": "x"})

    assert result.is_error
    assert "the model cannot understand the request" in said(result)


async def test_its_limits_are_heeded() -> None:
    world = Talking([Line("a", calls=(("list_issues", {}),)), Line("b")])
    async with connected(world) as client:
        result = await client.call_tool("agent_run", {"task": "x", "max_steps": 1})

    assert result.structured_content is not None
    assert result.structured_content["status"] == "budget_exhausted"
