from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.internal.world import ADMIN, an_app, run
from toolgate.app import App, look_after_jobs
from toolgate.calls import Call, Outcome, Principal, Text, Tool
from toolgate.internal.jobs import KIND, MOST, TIMES, Job, Jobs
from toolgate.server.keys import Keys
from toolgate.settings import Caller
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


async def a_key(app: App, *roles: str) -> Principal:
    key, _ = await Keys(app.stores.records).create("eve", Caller(roles=roles or ("admin",), tier="enterprise"))
    return key.principal()


async def ended(app: App, id_: str, who: Principal) -> dict[str, Any]:
    return dict((await run(app, "get_job", who, id=id_, wait=10)).structured)


async def test_a_read_whose_process_ended_is_made_again_by_the_next_server_as_who_its_owner_is_now(tmp_path: Path) -> None:
    seen: list[Call] = []

    async def second(call: Call) -> Outcome:
        seen.append(call)
        return Outcome(structured=call.arguments)

    async with an_app(tmp_path, store="sqlite") as app:
        look_after_jobs(app)
        also(app, a_tool(forever, name="reading", timeout=600.0))
        eve = await a_key(app)
        job = await run(app, "submit_job", eve, tool="reading", arguments={"n": 1})
        seen_by_others = await run(app, "get_job", eve, id=job.structured["id"])
        record = await app.stores.records.get("job", job.structured["id"])

    async with an_app(tmp_path, store="sqlite") as app:
        also(app, a_tool(second, name="reading"))
        look_after_jobs(app)
        done = await ended(app, job.structured["id"], eve)

    assert seen_by_others.structured["status"] == "running"
    assert record is not None
    assert isinstance(record.body["again"]["arguments"], str)  # sealed
    assert "result" in done, str(done)
    assert (done["status"], done["result"]) == ("done", {"structured": {"n": 1}})
    assert [(call.principal, call.depth) for call in seen] == [(eve, 1)]


async def test_a_job_whose_arguments_no_key_opens_is_interrupted(tmp_path: Path) -> None:
    async with an_app(tmp_path, store="sqlite") as app:
        look_after_jobs(app)
        also(app, a_tool(forever, name="reading", timeout=600.0))
        eve = await a_key(app)
        job = await run(app, "submit_job", eve, tool="reading", arguments={"n": 1})
        (key,) = tmp_path.rglob("credentials.key")
        key.unlink()

    async with an_app(tmp_path, store="sqlite") as app:
        also(app, a_tool(told, name="reading"))
        look_after_jobs(app)
        done = await ended(app, job.structured["id"], eve)

    assert done["status"] == "interrupted"


async def test_a_write_and_what_nobody_can_tell_the_owner_of_are_interrupted_instead(tmp_path: Path) -> None:
    async with an_app(tmp_path, store="sqlite") as app:
        look_after_jobs(app)
        also(app, a_tool(forever, name="reading", timeout=600.0), a_tool(forever, name="writing", reads=False, timeout=600.0))
        eve = await a_key(app)
        token = replace(eve, id="idp:eve", via="token", credential="https://idp.example")
        revoked = await a_key(app)
        asked = [(eve, "writing"), (token, "reading"), (revoked, "reading")]
        jobs = [(who, (await run(app, "submit_job", who, tool=tool)).structured["id"]) for who, tool in asked]

    async with an_app(tmp_path, store="sqlite") as app:
        also(app, a_tool(told, name="reading"), a_tool(told, name="writing", reads=False))
        await Keys(app.stores.records).revoke(revoked.credential or "")
        look_after_jobs(app)
        statuses = [(await ended(app, id_, who))["status"] for who, id_ in jobs]

    assert statuses == ["interrupted"] * 3


async def test_a_run_of_the_agent_goes_on_from_its_journal_and_makes_no_finished_call_again(tmp_path: Path) -> None:
    counted: list[str] = []

    async def count(call: Call) -> Outcome:
        counted.append(call.id)
        return Outcome(content=(Text("counted"),))

    def script() -> str:
        lines = [{"calls": [{"tool": "counting", "arguments": {}}]}, {"calls": [{"tool": "waiting", "arguments": {}}]}, {"text": "There."}]
        (tmp_path / "script.yaml").write_text(json.dumps(lines))
        return str(tmp_path / "script.yaml")

    providers = {"play": {"kind": "scripted", "script": script()}}
    async with an_app(tmp_path, store="sqlite", providers=providers) as app:
        look_after_jobs(app)
        reached = asyncio.Event()

        async def wait(_call: Call) -> Outcome:
            reached.set()
            return await forever(_call)

        also(app, *agents(app), a_tool(count, name="counting"), a_tool(wait, name="waiting", timeout=600.0))
        eve = await a_key(app)
        job = await run(app, "submit_job", eve, tool="agent_run", arguments={"task": "Count", "model": "play"})
        async with asyncio.timeout(10):
            await reached.wait()

    async with an_app(tmp_path, store="sqlite", providers=providers) as app:
        also(app, *agents(app), a_tool(count, name="counting"), a_tool(name="waiting"))
        look_after_jobs(app)
        done = await ended(app, job.structured["id"], eve)

    assert "result" in done, str(done)
    assert (done["status"], done["result"]["structured"]["answer"]) == ("done", "There.")
    assert len(counted) == 1


async def test_a_run_that_had_ended_is_told_of_as_it_ended_and_not_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: Jobs, job: Job) -> None:
        """The process is gone before the end of a job is written down."""

    (tmp_path / "script.yaml").write_text(json.dumps([{"text": "There."}]))
    providers = {"play": {"kind": "scripted", "script": str(tmp_path / "script.yaml")}}
    async with an_app(tmp_path, store="sqlite", providers=providers) as app:
        look_after_jobs(app)
        eve = await a_key(app)
        with monkeypatch.context() as patched:
            patched.setattr(Jobs, "_end", never)
            job = await run(app, "submit_job", eve, tool="agent_run", arguments={"task": "Count", "model": "play"})
            async with asyncio.timeout(10):
                await next(iter(app.backends.jobs.under_way.values())).ended.wait()

    async with an_app(tmp_path, store="sqlite", providers=providers) as app:
        look_after_jobs(app)
        done = await ended(app, job.structured["id"], eve)

    assert "result" in done, str(done)
    assert (done["status"], done["result"]["structured"]["answer"]) == ("done", "There.")


def agents(app: App) -> list[Tool]:
    return [tool for tool in app.gateway.catalog if tool.name == "agent_run"]


async def test_a_job_that_brings_its_process_down_is_taken_up_a_few_times_and_not_for_ever(tmp_path: Path) -> None:
    calls: list[Call] = []

    async def again(call: Call) -> Outcome:
        calls.append(call)
        return await forever(call)

    async with an_app(tmp_path, store="sqlite") as app:
        eve = await a_key(app)
    job, statuses = "", []
    for turn in range(TIMES + 2):
        async with an_app(tmp_path, store="sqlite") as app:
            also(app, a_tool(again, name="reading", timeout=600.0))
            look_after_jobs(app)
            job = job or (await run(app, "submit_job", eve, tool="reading")).structured["id"]
            statuses.append((await run(app, "get_job", eve, id=job)).structured["status"])
            async with asyncio.timeout(10):
                while len(calls) < min(turn, TIMES) + 1:
                    await asyncio.sleep(0.01)

    assert statuses == ["running"] * (1 + TIMES) + ["interrupted"]
    assert len(calls) == 1 + TIMES


async def test_a_job_ends_when_the_key_that_it_was_submitted_with_is_revoked(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        look_after_jobs(app)
        also(app, a_tool(forever, name="waiting", timeout=600.0))
        eve = await a_key(app)
        other = replace(eve, credential=(await a_key(app)).credential)  # of the same owner
        job = await run(app, "submit_job", eve, tool="waiting")
        await Keys(app.stores.records).revoke(eve.credential or "")
        done = await ended(app, job.structured["id"], other)

    assert (done["status"], done["problem"]["code"], done["effect"]) == ("failed", "not_identified", "unknown")


async def test_what_a_job_would_need_to_be_taken_up_is_kept_no_longer_than_it_runs(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        look_after_jobs(app)
        also(app, a_tool(told, name="counting"))
        eve = await a_key(app)
        job = await run(app, "submit_job", eve, tool="counting", arguments={"n": 1})
        await ended(app, job.structured["id"], eve)
        record = await app.stores.records.get(KIND, job.structured["id"])

    assert record is not None
    assert "again" not in record.body


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
