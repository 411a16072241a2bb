"""What a run may use is a hard limit, over models, tools and the runs within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.agent.world import ADA, ASKS, Answers, World, a_policy, inside, results
from toolgate.agent.events import Called, Noted, Spent, Wanted
from toolgate.agent.tool import agent_run
from toolgate.calls import Call, Outcome
from toolgate.errors import ModelFailed, OverBudget, TimedOut
from toolgate.llm.messages import Assistant, Prompt, Tokens
from toolgate.money import Price
from toolgate.policy.rules import Permission
from toolgate.stores import Account
from toolgate.testing import Echo, FakeClock, Line, a_tool


def goes_on(text: str = "", cost: int = 0, tool: str = "echo", tokens: int = 10) -> Callable[[Prompt], Line]:
    """Calls on and on, each time otherwise, until it may call nothing; then it says its last words."""

    def say(prompt: Prompt) -> Line:
        said = sum(isinstance(message, Assistant) for message in prompt.messages)
        if prompt.choice == "none":
            return Line("As far as I came.", cost=cost, tokens=Tokens(tokens))
        return Line(text, ((tool, {"n": said}),), cost=cost, tokens=Tokens(tokens))

    return say


@pytest.mark.parametrize(
    ("limits", "steps", "calls", "reason"),
    [
        ({"steps": 3}, 4, 3, "The 3 steps of this run are used up"),
        ({"calls": 2}, 3, 2, "The 2 tool calls of this run are used up"),
        ({"tokens": 100}, 10, 8, "The 100 tokens of this run are used up"),
        ({"cost": 1000}, 10, 8, "The money of this run is spent"),
    ],
)
async def test_at_the_end_of_a_budget_the_model_says_its_last_words_without_tools(
    limits: dict[str, int], steps: int, calls: int, reason: str
) -> None:
    echo = Echo()
    world = World([a_tool(echo)], goes_on(cost=100))

    end = await world.run(limits=limits)

    assert (end.status, end.answer, end.reason) == ("budget_exhausted", "As far as I came.", reason)
    assert (end.steps, end.calls, len(echo.seen)) == (steps, calls, calls)
    assert (world.model.asked[-1].choice, {prompt.choice for prompt in world.model.asked[:-1]}) == ("none", {"auto"})
    assert end.bill.total <= limits.get("cost", 10**6)


async def test_calls_of_one_reply_beyond_the_budget_are_not_made_and_have_their_result() -> None:
    echo = Echo()
    many = Line(calls=tuple(("echo", {"n": n}) for n in range(5)))
    world = World([a_tool(echo)], [many, Line("Three of them.")])

    end = await world.run(limits={"calls": 3})

    assert (len(echo.seen), end.status, end.calls) == (3, "budget_exhausted", 3)
    assert [result.failed for result in results(world.model.asked[-1])] == [False, False, False, True, True]
    assert inside(results(world.model.asked[-1])[4]) == "not called: the 3 tool calls of this run are used up"


async def test_a_call_that_may_cost_more_than_is_left_is_not_made() -> None:
    echo = Echo()
    tools = [a_tool(echo, name="dear", price=Price(600)), a_tool(echo, name="free")]
    world = World(tools, [Line(calls=(("dear", {"n": 1}), ("dear", {"n": 2}), ("free", {}))), Line("One of them.")])

    end = await world.run(limits={"cost": 1000})

    assert (end.status, end.bill.tools, [call.tool.name for call in echo.seen]) == ("done", 600, ["dear", "free"])
    [refused] = [called for called in world.told(Called) if called.failed]
    assert (refused.code, refused.text) == ("over_budget", "not called: it may cost $0.0006, and this run has $0.0003 left for tools")
    assert world.told(Spent)[-1].left == 400


async def test_the_ledger_holds_a_run_to_its_money_too_and_forgets_it_afterwards() -> None:
    seen: list[Any] = []
    world = World()

    async def look(call: Call) -> Outcome:
        seen.extend(balance for balance in await world.stores.ledger.balances() if balance.account.scope == "session")
        return Outcome()

    world = World([a_tool(look, price=Price(7))], [Line(calls=(("echo", {}),)), Line("ok")])
    end = await world.run(limits={"cost": 1000})
    after = [balance for balance in await world.stores.ledger.balances() if balance.account.scope == "session"]

    assert {(balance.account, balance.limit, balance.held) for balance in seen} == {
        (Account("session", "default", "local:ada", end.run), 1000, 7)
    }
    assert {(balance.spent, balance.set_by_operator) for balance in after} == {(7, False)}


async def test_what_outlives_a_run_is_held_to_its_money_until_it_has_ended() -> None:
    jobs, echo = {"under way": True}, Echo()
    world = World([a_tool(echo, name="dear", price=Price(600))], [Line("Submitted."), Line("Another."), Line("Once more.")])
    world.agent = replace(world.agent, background=lambda session: jobs["under way"])

    end = await world.run(limits={"cost": 1000})
    job = [await world.gateway.call("dear", {"n": n}, ADA.delegate(), session=end.run) for n in range(2)]
    jobs["under way"] = False
    last = await world.run(limits={"cost": 1000})

    assert [outcome.problem.code if outcome.problem else None for outcome in job] == [None, "over_budget"]
    assert (len(echo.seen), last.status) == (1, "done")
    assert not any(balance.set_by_operator for balance in await world.stores.ledger.balances())


async def test_a_request_that_no_budget_has_room_for_ends_the_run_and_a_new_budget_goes_on() -> None:
    world = World([], [Line(error=OverBudget("the budget of local:ada is spent")), Line("Little."), Line("All of it.")])

    end = await world.run()
    more = await world.resume(end.run)

    assert (end.status, end.answer, more.status, more.answer) == ("budget_exhausted", "Little.", "done", "All of it.")


async def test_a_request_that_had_all_the_time_that_was_left_ends_the_run_by_its_budget() -> None:
    clock = FakeClock(1000.0)

    def says(prompt: Prompt) -> Line:
        if prompt.choice == "none":
            return Line("As far as I came.")
        clock.now += prompt.seconds
        return Line(error=TimedOut("the model had not answered when the time for the request was over"))

    world = World([], says, clock=clock)

    early, late = await world.run(), await world.run(limits={"seconds": 60.0})

    assert (early.status, early.answer) == ("failed", "")
    assert (late.status, late.answer, late.reason) == ("budget_exhausted", "As far as I came.", "The 60 seconds of this run are over")


async def test_a_model_that_fails_leaves_a_run_that_can_be_taken_up() -> None:
    echo = Echo()
    lines = [Line(calls=(("echo", {}),)), Line(error=ModelFailed("it is down", "transient")), Line("Now.")]
    world = World([a_tool(echo)], lines)

    failed = await world.run()
    end = await world.resume(failed.run)

    assert (failed.status, failed.reason, end.status, end.answer, len(echo.seen)) == ("failed", "it is down", "done", "Now.", 1)


async def test_who_goes_in_circles_is_told_and_then_ended() -> None:
    world = World([a_tool()], lambda prompt: Line("Stuck.") if prompt.choice == "none" else Line(calls=(("echo", {}),)))

    end = await world.run()

    assert (end.status, end.answer, end.calls, end.steps) == ("looping", "Stuck.", 4, 5)
    assert end.reason == "Echo was called 4 times with the same arguments and the same result"
    assert [noted.kind for noted in world.told(Noted)] == ["hint", "warning"]


async def test_a_persons_time_to_answer_is_not_the_runs() -> None:
    echo, clock = Echo(), FakeClock(1000.0)

    async def thinks(wanted: object) -> bool:
        clock.now += 3600.0
        return True

    world = World([a_tool(echo, name="drop", reads=False)], [Line(calls=(("drop", {}),)), Line("Dropped.")], a_policy(*ASKS), clock=clock)

    end = await world.run(person=thinks)

    assert (end.status, len(echo.seen)) == ("done", 1)
    assert echo.seen[0].seconds_left() > 0


class TestRunsWithinRuns:
    def world(self, lines: Callable[[Prompt], Line], tools: Any = ()) -> World:
        world = World()
        within = agent_run(lambda: world.agent, 600.0)
        world = World([replace(within, tags=()), *tools], lines)
        return world

    async def test_each_is_one_deeper_and_too_deep_is_refused(self) -> None:
        echo = Echo()

        def say(prompt: Prompt) -> Line:
            if sum(isinstance(message, Assistant) for message in prompt.messages):
                return Line("ok")
            return Line(calls=(("agent_run", {"task": "go deeper"}), ("echo", {})))

        world = self.world(say, [a_tool(echo)])
        end = await world.run()

        assert [call.depth for call in echo.seen] == [1, 2, 3]
        assert {call.session for call in echo.seen} == {end.run}
        assert {call.principal for call in echo.seen} == {ADA.delegate()}
        runs = await world.agent.runs.seen_by(ADA)
        assert (len(runs), {run.session for run in runs}) == (3, {end.run})

    async def test_they_draw_on_the_outermost_ones_budget(self) -> None:
        echo = Echo()

        def say(prompt: Prompt) -> Line:
            said = sum(isinstance(message, Assistant) for message in prompt.messages)
            if prompt.choice == "none":
                return Line("out", cost=10)
            if prompt.messages[1].text == "outer":
                return Line(calls=(("agent_run", {"task": f"inner {said}"}),), cost=10)
            return Line(calls=(("echo", {"n": said}),), cost=10)

        world = self.world(say, [a_tool(echo)])
        end = await world.run("outer", limits={"cost": 1000, "steps": 500, "calls": 500})

        runs = await world.agent.runs.seen_by(ADA)
        assert end.status == "budget_exhausted"
        assert end.bill.total == sum(run.cost for run in runs if run.id != end.run) + end.bill.models
        assert 900 <= end.bill.total <= 1000

    async def test_a_yes_to_a_run_is_none_to_what_it_comes_to_want(self) -> None:
        asked: list[str] = []

        async def person(wanted: Wanted) -> bool | None:
            asked.append(wanted.tool)
            return True if wanted.tool == "agent_run" else None

        echo = Echo()
        outer = self.outer(echo)
        end = await outer.run("outer", person=person)

        assert (asked, end.status, echo.seen) == (["agent_run", "drop"], "done", [])
        inner, _ = await outer.agent.runs.seen_by(ADA)
        assert inner.status == "waiting"
        assert f"Only its user can take the run {inner.id} up" in outer.told(Called)[0].text

    async def test_what_they_come_to_want_is_asked_of_the_same_person(self) -> None:
        echo, person = Echo(), Answers(True)
        outer = self.outer(echo)
        end = await outer.run("outer", person=person)

        assert ([wanted.tool for wanted in person.asked], end.status, len(echo.seen)) == (["agent_run", "drop"], "done", 1)

    async def test_where_nothing_is_to_be_approved_they_have_such_calls_refused_too(self) -> None:
        echo = Echo()
        outer = self.outer(echo, *ASKS[:1], Permission(id="d.runs", tools="agent_run"), ASKS[1])
        end = await outer.run("outer", unanswered="refuse")

        assert (end.status, echo.seen) == ("done", [])
        assert [run.status for run in await outer.agent.runs.seen_by(ADA)] == ["done", "done"]

    def outer(self, echo: Echo, *delegate: Permission) -> World:
        """One whose model has the task `outer` done by a run within, which calls `drop`."""

        def say(prompt: Prompt) -> Line:
            if sum(isinstance(message, Assistant) for message in prompt.messages):
                return Line("ok")
            return Line(calls=(("agent_run", {"task": "inner"}) if prompt.messages[1].text == "outer" else ("drop", {}),))

        outer = World()
        within = replace(agent_run(lambda: outer.agent, 600.0), tags=())
        outer = World([within, a_tool(echo, name="drop", reads=False)], say, a_policy(*(delegate or ASKS)))
        return outer
