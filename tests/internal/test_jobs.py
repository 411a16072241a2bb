from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio

from tests.internal.world import ADMIN, an_app, run
from toolgate.app import App
from toolgate.calls import Call, Outcome, Text, Tool
from toolgate.internal.jobs import MOST
from toolgate.testing import a_principal, a_tool

EVE = replace(ADMIN, id="local:eve")


def also(app: App, *tools: Tool) -> None:
    app.gateway.serve([*(tool for tool in app.gateway.catalog if tool.integration != "toolgate"), *tools])


async def told(call: Call) -> Outcome:
    if call.progress is not None:
        await call.progress(1, 2, "half way")
    return Outcome(content=(Text("done"),), structured={"n": call.arguments["n"]}, cost=0)


async def forever(_call: Call) -> Outcome:
    await anyio.sleep_forever()
    raise AssertionError


async def broken(_call: Call) -> Outcome:
    raise RuntimeError("a bug")


async def submitted(app: App, tool: str, **arguments: Any) -> str:
    outcome = await run(app, "submit_job", tool=tool, arguments=arguments)
    assert outcome.problem is None
    assert outcome.structured["status"] == "running"
    return str(outcome.structured["id"])


async def test_a_job_gives_an_id_at_once_and_later_its_result_and_progress(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(told, name="counting"))
        id_ = await submitted(app, "counting", n=3)

        job = (await run(app, "get_job", id=id_, wait=10)).structured

    assert (job["status"], job["tool"], job["result"]) == ("done", "counting", {"structured": {"n": 3}})
    assert job["progress"] == {"done": 1, "total": 2, "sentence": "half way"}


async def test_a_job_is_checked_like_a_call_and_says_what_was_wrong(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        id_ = await submitted(app, "no_such_tool")

        job = (await run(app, "get_job", id=id_, wait=10)).structured

    assert (job["status"], job["problem"]["code"]) == ("failed", "unknown_tool")


async def test_a_job_is_its_owners_alone(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(told, name="counting"))
        id_ = await submitted(app, "counting", n=1)

        asked = [[await run(app, tool, EVE, id=one) for one in (id_, "0" * 32)] for tool in ("get_job", "cancel_job")]

    for others, unknown in asked:
        assert unknown.problem is not None
        assert "you have no job of that id" in unknown.problem.message
        assert others.problem == unknown.problem


async def test_a_job_is_cancelled_by_its_owner_and_one_that_has_ended_stays_as_it_is(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(forever, name="waiting", timeout=600.0), a_tool(told, name="counting"))
        under_way, ended = await submitted(app, "waiting"), await submitted(app, "counting", n=1)
        await run(app, "get_job", id=ended, wait=10)

        await run(app, "cancel_job", id=under_way)
        late = await run(app, "cancel_job", id=ended)
        job = (await run(app, "get_job", id=under_way, wait=10)).structured

    assert (job["status"], late.structured["status"]) == ("cancelled", "done")


async def test_a_bug_ends_its_job_and_nothing_else(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(broken, name="broken"), a_tool(told, name="counting"))
        id_ = await submitted(app, "broken")
        job = (await run(app, "get_job", id=id_, wait=10)).structured
        after = await submitted(app, "counting", n=1)

        assert (await run(app, "get_job", id=after, wait=10)).structured["status"] == "done"

    assert (job["status"], job["problem"]["code"], job["effect"]) == ("failed", "internal_error", "unknown")


async def test_a_job_whose_process_ended_is_interrupted_and_not_made_again(tmp_path: Path) -> None:
    async with an_app(tmp_path, store="sqlite") as app:
        also(app, a_tool(forever, name="waiting", timeout=600.0), a_tool(told, name="counting"))
        under_way, ended = await submitted(app, "waiting"), await submitted(app, "counting", n=1)
        await run(app, "get_job", id=ended, wait=10)

    async with an_app(tmp_path, store="sqlite") as app:
        jobs = [(await run(app, "get_job", id=id_)).structured for id_ in (under_way, ended)]

    assert [job["status"] for job in jobs] == ["interrupted", "done"]
    assert jobs[1]["result"] == {"structured": {"n": 1}}


async def test_so_many_jobs_of_one_owner_are_under_way_and_no_more(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(forever, name="waiting", timeout=600.0))
        for number in range(MOST):
            await submitted(app, "waiting", number=number)

        refused, other = await run(app, "submit_job", tool="waiting"), await run(app, "submit_job", EVE, tool="waiting")

    assert refused.problem is not None
    assert refused.problem.code == "conflict" or f"{MOST} of your jobs" in refused.problem.message
    assert other.ok


async def test_what_a_caller_has_used_is_reported_to_it_alone(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(told, name="counting"))
        await app.gateway.call("counting", {"n": 1}, ADMIN)

        mine, eves = await run(app, "usage_report"), await run(app, "usage_report", EVE)
        wrong = await run(app, "usage_report", since="never")

    assert "counting" in {one["tool"] for one in mine.structured["usage"]}
    assert "counting" not in {one["tool"] for one in eves.structured["usage"]}
    assert wrong.problem is not None
    assert a_principal().id == ADMIN.id


async def test_many_jobs_submitted_at_once_are_no_more_than_one_after_the_other(tmp_path: Path) -> None:
    async with an_app(tmp_path, store="sqlite") as app:
        also(app, a_tool(forever, name="waiting", timeout=600.0))
        outcomes = await asyncio.gather(*(run(app, "submit_job", tool="waiting", arguments={"n": n}) for n in range(2 * MOST)))

    assert sum(outcome.ok for outcome in outcomes) == MOST


async def test_owners_whose_names_join_alike_are_told_apart(tmp_path: Path) -> None:
    one, other = (replace(ADMIN, tenant=tenant, id=user) for tenant, user in (("a/b", "c"), ("a", "b/c")))
    async with an_app(tmp_path) as app:
        also(app, a_tool(told, name="counting"))
        submitted = await run(app, "submit_job", one, tool="counting", arguments={"n": 1})
        asked = await run(app, "get_job", other, id=submitted.structured["id"])

    assert asked.problem is not None


async def test_what_a_job_brings_counts_as_written_by_strangers(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        tools = [app.gateway.find(f"internal_{name}", ADMIN) for name in ("submit_job", "get_job", "cancel_job")]

    assert all(tool.annotations.open_world for tool in tools)


async def test_a_job_of_an_agents_run_is_known_by_it_until_it_ends(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        also(app, a_tool(forever, name="waiting", timeout=600.0))
        arguments = {"tool": "waiting", "arguments": {}}
        job = (await app.gateway.call("internal_submit_job", arguments, ADMIN, session="the run")).structured["id"]
        during = [app.agent.background(session) for session in ("the run", "another")]
        await run(app, "cancel_job", id=job)
        await run(app, "get_job", id=job, wait=10)

        assert (during, app.agent.background("the run")) == ([True, False], False)
