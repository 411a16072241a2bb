"""A scripted model over the real loop and the real gate."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.agent.world import ADA, ASKS, Answers, World, a_policy, inside, results, says
from toolgate.agent.events import ApprovalWanted, Called, Calling, Event, Finished, Noted, Routed, Said, Spent, Started
from toolgate.agent.facts import Replied
from toolgate.agent.runs import Task
from toolgate.calls import Call, Outcome, Text
from toolgate.errors import Busy, InvalidArguments, NotPermitted, ToolFailed, UnknownRun
from toolgate.llm.messages import Assistant
from toolgate.testing import Echo, Line, a_principal, a_tool


async def test_a_run_calls_tools_and_answers_and_tells_of_each_step() -> None:
    world = World(
        [a_tool(says("7 issues"), name="count")], [Line("Let me see.", (("count", {"of": "issues"}),)), Line("There are 7.", cost=5)]
    )

    end = await world.run("How many issues?")

    assert (end.status, end.answer, end.steps, end.calls, end.bill.total) == ("done", "There are 7.", 2, 1, 5)
    kinds = [type(event) for event in world.heard if not isinstance(event, Said)]
    assert kinds == [Started, Routed, Spent, Calling, Spent, Called, Spent, Finished]
    assert "".join(event.text for event in world.told(Said)) == "Let me see.There are 7."
    [result] = results(world.model.asked[1])
    assert inside(result) == "7 issues"


async def test_the_answers_of_calls_made_together_come_in_their_order_whichever_ends_first() -> None:
    first_may_end = anyio.Event()

    async def slow(call: Call) -> Outcome:
        await first_may_end.wait()
        return Outcome((Text("slow"),))

    async def fast(call: Call) -> Outcome:
        first_may_end.set()
        return Outcome((Text("fast"),))

    world = World([a_tool(slow, name="slow"), a_tool(fast, name="fast")], [Line(calls=(("slow", {}), ("fast", {}))), Line("ok")])

    with anyio.fail_after(30):
        await world.run()

    assert [called.text for called in world.told(Called)] == ["fast", "slow"]
    assert [inside(result) for result in results(world.model.asked[1])] == ["slow", "fast"]


async def test_what_becomes_of_one_call_is_no_reason_to_end_another() -> None:
    async def fails(call: Call) -> Outcome:
        raise ToolFailed("it is broken")

    async def breaks(call: Call) -> Outcome:
        raise ZeroDivisionError

    tools = [a_tool(fails, name="fails"), a_tool(breaks, name="breaks"), a_tool(says("fine"), name="works")]
    world = World(tools, [Line(calls=(("fails", {}), ("breaks", {}), ("works", {}), ("nothing", {}))), Line("ok")])

    end = await world.run()

    codes = {called.tool: called.code for called in world.told(Called)}
    assert {calling.id for calling in world.told(Calling)} == {called.id for called in world.told(Called)}
    assert codes == {"fails": "tool_failed", "breaks": "bug", "works": None, "nothing": "unknown_tool"}
    assert [result.failed for result in results(world.model.asked[1])] == [True, True, False, True]
    assert end.status == "done"


async def test_calls_are_made_by_an_agent_that_may_do_less_than_its_user_and_one_deeper() -> None:
    echo = Echo()
    world = World([a_tool(echo)], [Line(calls=(("echo", {}),)), Line("ok")])

    end = await world.run()

    [call] = echo.seen
    assert (call.principal.id, call.principal.acting_for, call.principal.bound_by) == ("agent:local:ada", ("local:ada",), ("delegate",))
    assert (call.depth, call.parent_id, call.session, [call.id]) == (1, end.run, end.run, end.audit)


async def test_a_refused_call_is_a_result_like_any_other() -> None:
    echo = Echo()
    world = World([a_tool(echo, name="drop", reads=False)], [Line(calls=(("drop", {}),)), Line("I may not.")], a_policy(ASKS[0]))

    end = await world.run()

    [called] = world.told(Called)
    assert (called.failed, called.code, end.status, echo.seen) == (True, "unknown_tool", "done", [])


async def test_a_person_is_asked_about_all_calls_of_a_batch_before_any_runs() -> None:
    echo, person = Echo(), Answers(True)
    seen_when_asked: list[int] = []

    async def ask(wanted: object) -> bool | None:
        seen_when_asked.append(len(echo.seen))
        return True

    tools = [a_tool(echo, name="drop", reads=False), a_tool(echo, name="look")]
    world = World(tools, [Line(calls=(("look", {}), ("drop", {"t": 1}), ("drop", {"t": 2}))), Line("ok")], a_policy(*ASKS))

    end = await world.run(person=ask)

    assert (seen_when_asked, len(echo.seen), end.status) == ([0, 0], 3, "done")
    [wanted] = world.told(ApprovalWanted)
    assert [(one.tool, one.arguments) for one in wanted.wanted] == [("drop", {"t": 1}), ("drop", {"t": 2})]
    assert person.asked == []


async def test_a_no_is_a_result_and_the_others_run() -> None:
    echo = Echo()
    tools = [a_tool(echo, name="drop", reads=False), a_tool(echo, name="look")]
    world = World(tools, [Line(calls=(("look", {}), ("drop", {}))), Line("I see.")], a_policy(*ASKS))

    end = await world.run(person=Answers(False))

    assert ([call.tool.name for call in echo.seen], end.status) == (["look"], "done")
    assert {called.tool: called.code for called in world.told(Called)} == {"look": None, "drop": "not_permitted"}


async def test_where_nobody_is_there_to_be_asked_the_run_waits_and_goes_on_once_somebody_has_answered() -> None:
    echo = Echo()
    tools = [a_tool(echo, name="drop", reads=False), a_tool(echo, name="look")]
    world = World(tools, [Line(calls=(("look", {}), ("drop", {}))), Line("Dropped.")], a_policy(*ASKS))

    waiting = await world.run()
    still = await world.resume(waiting.run)
    [one] = world.told(ApprovalWanted)[0].wanted
    seen = len(echo.seen)
    await world.gateway.approvals.decide(one.approval, True, a_principal("admin", id="local:root"), "operator")
    end = await world.resume(waiting.run)

    assert (waiting.status, still.status, seen) == ("waiting", "waiting", 0)
    assert one.approval in waiting.reason
    assert (end.status, end.answer, sorted(call.tool.name for call in echo.seen)) == ("done", "Dropped.", ["drop", "look"])


async def test_where_nothing_is_to_be_approved_such_calls_are_refused() -> None:
    echo = Echo()
    world = World([a_tool(echo, name="drop", reads=False)], [Line(calls=(("drop", {}),)), Line("I may not.")], a_policy(*ASKS))

    end = await world.run(unanswered="refuse")

    assert (end.status, [called.code for called in world.told(Called)], echo.seen) == ("done", ["approval_needed"], [])


async def test_a_run_is_its_users_own_and_nobody_elses() -> None:
    world = World([], [Line("hello")])
    end = await world.run()

    for who in (a_principal(id="local:eve"), a_principal("admin", id="local:root")):
        with pytest.raises(UnknownRun):
            await world.resume(end.run, user=who, text="more")
        with pytest.raises(UnknownRun):
            await world.agent.runs.judge(end.run, 0.0, who)
    with pytest.raises(UnknownRun):
        await world.agent.replay(end.run, a_principal(id="local:eve"))
    assert [run.id for run in await world.agent.runs.seen_by(ADA)] == [end.run]


async def test_a_run_is_put_down_to_the_model_that_was_asked_whatever_its_provider_calls_it() -> None:
    runs = World().agent.runs
    route = {"task": "coding", "attempts": [{"model": "a/other", "error": "timeout"}, {"model": "openai/gpt-5-mini", "error": None}]}
    run = await runs.begin(Task("Do it"), ADA, None)
    said = Replied(1.0, Assistant("Done."), "end", "act", "openai", "gpt-5-mini-2025-08-07", route=route)
    await runs.add(run, 0, said)

    assert await runs.judge(run.id, 1.0, ADA) == ("openai/gpt-5-mini", "coding", run.session)


async def test_a_run_that_is_done_goes_on_by_what_its_user_says_next() -> None:
    world = World([], [Line("It is 4."), Line("It is 5.")])
    first = await world.run("2 + 2?")

    with pytest.raises(NotPermitted, match="is done"):
        await world.resume(first.run)
    second = await world.resume(first.run, text="And one more?")

    assert second.answer == "It is 5."
    assert [message.text for message in world.model.asked[1].messages[1:]] == ["2 + 2?", "It is 4.", "And one more?"]


async def test_a_run_under_way_is_not_taken_up_by_another() -> None:
    world = World()
    taken: list[str] = []

    async def meddle(call: Call) -> Outcome:
        [run] = await world.agent.runs.seen_by(ADA)
        with pytest.raises(Busy):
            await world.resume(run.id)
        taken.append(run.id)
        return Outcome((Text("ok"),))

    world = World([a_tool(meddle)], [Line(calls=(("echo", {}),)), Line("ok")])
    end = await world.run()

    assert taken == [end.run]


async def test_a_run_whose_listener_breaks_before_anything_is_asked_has_ended_and_can_be_taken_up() -> None:
    world = World([], [Line("It is 4.")])

    async def deaf(event: Event) -> None:
        raise NotPermitted("nobody listens", "deaf")

    with pytest.raises(NotPermitted):
        await world.agent.run(Task("2 + 2?"), ADA, deaf)
    (run,) = await world.agent.runs.seen_by(ADA)
    assert (run.status, world.model.asked) == ("failed", [])

    end = await world.resume(run.id)
    assert (end.status, end.answer) == ("done", "It is 4.")


async def test_events_are_heard_as_they_happen_and_told_again_from_what_was_written_down() -> None:
    world = World([a_tool(says("7"), name="count")], [Line("Let me see.", (("count", {}),)), Line("There are 7.")])
    live: list[object] = []

    async with world.agent.events(lambda hear: world.agent.run(Task("Do it"), ADA, hear)) as events:
        async for event in events:
            live.append(event)
    end = live[-1]
    assert isinstance(end, Finished)
    again = await world.agent.replay(end.run, ADA)

    assert [type(event) for event in again if not isinstance(event, Spent)] == [Started, Routed, Said, Calling, Called, Said, Finished]
    assert again[-1] == end


async def test_who_sees_no_pieces_hears_an_answer_once_it_is_whole() -> None:
    world = World([a_tool(says("7"), name="count")], [Line("Let me see.", (("count", {}),)), Line("There are 7.")])

    await world.agent.run(Task("Do it"), ADA, world.hear, seen=False)

    assert [said.text for said in world.told(Said)] == ["Let me see.", "There are 7."]
    assert [errand.seen for errand in world.model.errands] == [False, False]


async def test_who_stops_listening_stops_the_run_which_can_be_taken_up() -> None:
    began = anyio.Event()

    async def slow(call: Call) -> Outcome:
        began.set()
        await anyio.sleep_forever()
        raise AssertionError

    world = World([a_tool(slow, name="slow", reads=False)], [Line(calls=(("slow", {}),)), Line("Nobody knows.")])

    with anyio.fail_after(30):
        async with world.agent.events(lambda hear: world.agent.run(Task("Do it"), ADA, hear)) as events:
            async for _ in events:
                if began.is_set():
                    break
    [run] = await world.agent.runs.seen_by(ADA)
    end = await world.resume(run.id)

    assert (run.status, end.status, end.answer) == ("cancelled", "done", "Nobody knows.")
    assert [called.code for called in world.told(Called)] == ["unknown"]


async def test_requests_say_whose_they_are_what_for_and_with_which_prompts() -> None:
    world = World([a_tool()], [Line(calls=(("echo", {}),)), Line("ok")])

    end = await world.run(task="planning", high_risk=True)

    first, second = world.model.errands
    assert (first.task, first.phase, second.phase, first.run) == ("planning", "plan", "act", end.run)
    assert first.high_risk
    assert (first.principal, first.prompt_version) == (ADA.delegate(), "system@1+steps@1")
    assert "You are Toolgate's agent." in world.model.asked[0].messages[0].text


async def test_the_model_hears_what_a_hint_says() -> None:
    world = World([a_tool(says("same"))], [Line(calls=(("echo", {}),)) for _ in range(3)] + [Line("Enough.")])

    end = await world.run()

    [hint] = world.told(Noted)
    assert hint.text.startswith("[Toolgate] Echo was called 3 times with the same arguments and the same result.")
    assert world.model.asked[3].messages[-1].text == hint.text
    assert end.status == "done"


@pytest.mark.parametrize("schema", [{"$ref": "http://127.0.0.1/x"}, {"$ref": "file:///etc/passwd"}, {"type": 5}])
async def test_a_schema_for_the_answer_stands_alone(schema: dict[str, Any]) -> None:
    world = World([], [Line("{}")])

    with pytest.raises(InvalidArguments, match="stands alone"):
        await world.run(schema=schema)

    assert world.model.asked == []
