"""A call that needs a person's yes waits for it in the gate, and passes once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from toolgate.calls import Call, Outcome, Question
from toolgate.errors import EgressBlocked, Suspended, TimedOut, ToolgateError, UpstreamFailed
from toolgate.gateway import Gateway, build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Approvals, CallLimit, Limits, Settings
from toolgate.stores.memory import MemoryJournal, memory_stores
from toolgate.testing import Echo, a_principal, a_tool

ASKING = Permission(id="dev.asks", tools="*", obligations=("approve",))
HIDING = Permission(id="dev.hides", tools="hidden", effect="deny")
CALLER, OPERATOR = a_principal(), a_principal("admin", id="local:root")


@dataclass
class World:
    """A gate before `drop`, with a permission that asks for a yes."""

    journal: MemoryJournal = field(default_factory=MemoryJournal)
    echo: Echo = field(default_factory=Echo)
    settings: Settings = field(default_factory=Settings)
    permissions: Sequence[Permission] = (ASKING, HIDING)
    gateway: Gateway = field(init=False)

    def __post_init__(self) -> None:
        tools = [a_tool(self.echo, name="drop", reads=False), a_tool(self.echo, name="hidden", reads=False)]
        policy = Policy([Role(role="developer", permissions=tuple(self.permissions))])
        self.gateway = build_gateway(tools, policy, memory_stores(self.journal), self.settings)

    async def drop(self, arguments: Any = None, **more: Any) -> Outcome:
        return await self.gateway.call("drop", {} if arguments is None else arguments, CALLER, **more)

    async def approve(self, outcome: Outcome, yes: bool = True, reason: str | None = None) -> str:
        yes_id = pending(outcome)
        await self.gateway.approvals.decide(yes_id, yes, OPERATOR, "operator", reason)
        return yes_id

    async def told(self) -> list[str]:
        """The types of the audit's events, oldest first."""
        return [entry.body["type"] for entry in reversed(await self.journal.read("audit"))]


@dataclass
class Person:
    """Answers what it is asked."""

    answer: bool | None
    asked: list[Question] = field(default_factory=list)

    async def __call__(self, question: Question) -> bool | None:
        self.asked.append(question)
        return self.answer


def pending(outcome: Outcome) -> str:
    assert outcome.problem is not None
    assert outcome.problem.code == "approval_needed"
    return str(outcome.problem.details["pending"])


def code(outcome: Outcome) -> str | None:
    return outcome.problem.code if outcome.problem else None


async def test_nobody_is_there_to_be_asked_so_the_call_waits_and_passes_once_when_it_is_approved() -> None:
    world = World()

    first = await world.drop({"table": "a"})
    again = await world.drop({"table": "a"})
    yes = await world.approve(first)
    passed = await world.drop({"table": "a"})
    after = await world.drop({"table": "a"})

    assert first.problem is not None
    assert first.problem.message == (
        f"drop needs a person's yes for exactly this call. It waits as {yes}: an operator answers with "
        f"`toolgate approvals approve {yes}` or POST /v1/approvals/{yes}; then make the same call again"
    )
    assert (pending(again), first.refused, first.effect, first.rule) == (yes, True, "none", "dev.asks")
    assert passed.ok
    assert passed.notes["approve"] == {"id": yes, "by": "local:root", "how": "operator"}
    assert pending(after) != yes
    assert [call.approval for call in world.echo.seen] == [yes]


async def test_the_audit_tells_who_asked_who_said_yes_and_what_it_let_through() -> None:
    world = World()
    await world.approve(await world.drop())
    passed = await world.drop()

    newest_first = [entry.body for entry in await world.journal.read("audit")]
    outcome, intent, used, granted, denied, requested = newest_first

    assert [event["type"] for event in newest_first] == [
        "call.outcome",
        "call.intent",
        "approval.used",
        "approval.granted",
        "call.denied",
        "approval.requested",
    ]
    yes = passed.notes["approve"]["id"]
    assert {event["details"]["id"] for event in (requested, granted, used)} == {yes}
    assert [event["principal"]["id"] for event in (requested, granted, used)] == ["local:ada", "local:root", "local:ada"]
    assert (intent["approval"], used["details"]["call"]) == (yes, intent["call"])
    assert (denied["notes"]["approve"], outcome["notes"]["approve"]) == ({"id": yes}, {"id": yes, "by": "local:root", "how": "operator"})


async def test_the_person_at_the_client_is_asked_and_the_call_goes_on() -> None:
    world, person = World(), Person(True)

    outcome = await world.drop({"table": "a"}, ask=person)
    again = await world.drop({"table": "a"}, ask=person)

    [first, second] = person.asked
    assert (outcome.ok, again.ok, len(world.echo.seen)) == (True, True, 2)
    assert first.text.startswith("local:ada wants to call drop, which may destroy or overwrite something.")
    assert first.id != second.id
    assert outcome.notes["approve"] == {"id": first.id, "by": "local:ada", "how": "terminal"}


async def test_a_no_is_an_end_and_is_not_asked_again() -> None:
    world, person = World(), Person(False)

    refused = await world.drop(ask=person)
    again = await world.drop(ask=person)

    assert len(person.asked) == 1
    assert refused.problem == again.problem
    assert refused.problem is not None
    assert (refused.problem.code, refused.problem.message, refused.problem.details) == (
        "not_permitted",
        "local:ada said no to this call of drop. Do not repeat it; do something else or ask why",
        {"rule": "dev.asks"},
    )
    assert world.echo.seen == []


async def test_an_operators_reason_reaches_the_caller() -> None:
    world = World()
    await world.approve(await world.drop(), False, "it is Friday")

    refused = await world.drop(ask=Person(True))

    assert refused.problem is not None
    assert refused.problem.message.startswith("local:root said no to this call of drop: it is Friday.")


async def test_no_answer_leaves_the_question_waiting() -> None:
    world = World()

    outcome = await world.drop(ask=Person(None))
    await world.approve(outcome)

    assert (await world.drop()).ok


async def test_where_only_operators_may_say_yes_the_person_at_the_client_is_not_asked() -> None:
    world, person = World(settings=Settings(approvals=Approvals(by="operator"))), Person(True)

    outcome = await world.drop(ask=person)

    assert (code(outcome), person.asked) == ("approval_needed", [])


@pytest.mark.parametrize("claimed", ["0" * 32, "another's"])
async def test_who_names_a_yes_is_let_through_by_that_one_only(claimed: str) -> None:
    world = World()
    yes = await world.approve(await world.drop({"n": 1}))
    other = await world.approve(await world.drop({"n": 2}))

    wrong = await world.drop({"n": 1}, approval=other if claimed == "another's" else claimed)
    right = await world.drop({"n": 1}, approval=yes)
    used = await world.drop({"n": 1}, approval=yes)

    assert wrong.problem is not None
    assert wrong.problem.message.startswith("the approval ")
    assert right.ok
    assert (code(used), len(world.echo.seen)) == ("approval_needed", 1)


async def test_a_yes_that_nobody_needs_is_not_passed_on_as_if_it_were_one() -> None:
    world = World(permissions=[Permission(id="dev.allows", tools="*")])

    outcome = await world.drop(approval="f" * 32)

    assert outcome.ok
    assert [call.approval for call in world.echo.seen] == [None]
    assert await world.told() == ["call.intent", "call.outcome"]


async def test_a_tool_that_the_caller_may_not_know_of_asks_nobody() -> None:
    world, person = World(), Person(True)

    hidden = await world.gateway.call("hidden", {}, CALLER, ask=person)
    nowhere = await world.gateway.call("nowhere", {}, CALLER, ask=person)

    assert (code(hidden), code(nowhere), person.asked) == ("unknown_tool", "unknown_tool", [])
    assert await world.gateway.approvals.list() == []
    assert "approval.requested" not in await world.told()


async def test_arguments_that_do_not_fit_are_not_asked_about() -> None:
    person = Person(True)
    tool = a_tool(name="drop", reads=False, schema={"type": "object", "required": ["table"]})
    gateway = build_gateway([tool], Policy([Role(role="developer", permissions=(ASKING,))]), memory_stores(), Settings())

    outcome = await gateway.call("drop", {}, CALLER, ask=person)

    assert (code(outcome), person.asked) == ("invalid_arguments", [])


async def test_of_calls_made_at_once_with_one_yes_one_passes() -> None:
    world = World()
    await world.approve(await world.drop())

    outcomes = await asyncio.gather(*(world.drop() for _ in range(10)))

    assert sorted(str(code(outcome)) for outcome in outcomes) == ["None", *["approval_needed"] * 9]
    assert len(world.echo.seen) == 1


async def test_of_two_dialogs_about_one_question_one_yes_counts() -> None:
    world, both = World(), asyncio.Barrier(2)

    async def ask(_question: Question) -> bool:
        await both.wait()
        return True

    outcomes = await asyncio.gather(world.drop(ask=ask), world.drop(ask=ask))

    assert sorted(str(code(outcome)) for outcome in outcomes) == ["None", "approval_needed"]
    assert len(world.echo.seen) == 1


async def test_a_yes_is_given_back_when_a_later_step_refuses() -> None:
    limits = Limits(calls=(CallLimit(calls=1, per=60),))
    world = World(settings=Settings(limits=limits))
    await world.approve(await world.drop({"n": 1}))
    await world.approve(await world.drop({"n": 2}))

    first, limited = await world.drop({"n": 1}), await world.drop({"n": 2})

    assert (code(first), code(limited)) == (None, "limit_reached")
    assert limited.notes["approve"]["by"] == "local:root"
    assert [each.state for each in await world.gateway.approvals.list()] == ["approved"]
    assert (await world.told())[-3:] == ["approval.used", "approval.returned", "call.limited"]


@pytest.mark.parametrize(
    ("error", "given_back"),
    [
        (Suspended("it rests", 30.0), True),
        (EgressBlocked("not there"), True),
        (UpstreamFailed("it broke", 500), False),
        (TimedOut("too slow"), False),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_yes_is_given_back_only_where_nothing_can_have_happened(error: ToolgateError, given_back: bool) -> None:
    async def run(_call: Call) -> Outcome:
        raise error

    tool = a_tool(run, name="drop", reads=False, remote=False)
    gateway = build_gateway([tool], Policy([Role(role="developer", permissions=(ASKING,))]), memory_stores(), Settings())

    await gateway.call("drop", {}, CALLER, ask=Person(True))

    assert [each.state for each in await gateway.approvals.list()] == ["approved"] * given_back


async def test_what_an_approved_call_does_inside_itself_needs_no_further_yes() -> None:
    inner = Echo()

    async def compose(call: Call) -> Outcome:
        return await gateway.call("drop", {"n": 1}, call.principal, parent=call)

    tools = [a_tool(compose, name="compose", reads=False), a_tool(inner, name="drop", reads=False)]
    gateway = build_gateway(tools, Policy([Role(role="developer", permissions=(ASKING,))]), memory_stores(), Settings())
    person = Person(True)

    outcome = await gateway.call("compose", {}, CALLER, ask=person)

    [question], [within] = person.asked, inner.seen
    assert outcome.ok
    assert within.approval == question.id
    assert outcome.notes["approve"]["id"] == question.id


async def test_an_approval_claimed_outside_covers_nothing_inside() -> None:
    inner = Echo()

    async def compose(call: Call) -> Outcome:
        return await gateway.call("drop", {"n": 1}, call.principal, parent=call)

    tools = [a_tool(compose, name="compose", reads=False), a_tool(inner, name="drop", reads=False)]
    rules = (Permission(id="composes", tools="compose"), replace_tools(ASKING, "drop"))
    gateway = build_gateway(tools, Policy([Role(role="developer", permissions=rules)]), memory_stores(), Settings())

    outcome = await gateway.call("compose", {}, CALLER, approval="f" * 32)

    assert (code(outcome), inner.seen) == ("approval_needed", [])


def replace_tools(permission: Permission, tools: str) -> Permission:
    return permission.model_copy(update={"tools": tools})


async def test_another_policy_makes_an_earlier_yes_worthless() -> None:
    world = World()
    await world.approve(await world.drop())

    stricter = Permission(id="dev.also", tools="other", effect="deny")
    world.gateway.live.current = Policy([Role(role="developer", permissions=(ASKING, stricter))])

    assert code(await world.drop()) == "approval_needed"


async def test_another_caller_or_tenant_cannot_use_a_yes() -> None:
    world = World()
    yes = await world.approve(await world.drop())

    for other in (a_principal(id="local:bob"), replace(CALLER, tenant="acme"), replace(CALLER, acting_for=("local:bob",))):
        for claimed in (None, yes):
            assert code(await world.gateway.call("drop", {}, other, approval=claimed)) == "approval_needed"

    assert (await world.drop()).ok


async def test_what_a_call_would_wait_for_can_be_asked_before_it_is_made() -> None:
    world = World()

    waiting = await world.gateway.asks("drop", {"table": "a"}, CALLER)
    hidden = await world.gateway.asks("hidden", {}, CALLER)
    refused = await world.drop({"table": "a"})

    assert waiting is not None
    approval, question = waiting
    assert (approval.state, approval.id, question.id, hidden) == ("pending", pending(refused), approval.id, None)
    assert world.echo.seen == []


async def test_a_user_owns_the_questions_of_its_agent_and_finds_them() -> None:
    roles = [Role(role=name, permissions=(p,)) for name, p in (("developer", ASKING), ("delegate", Permission(id="d.all", tools="*")))]
    gateway = build_gateway([a_tool(name="drop", reads=False)], Policy(roles), memory_stores(), Settings())

    outcome = await gateway.call("drop", {}, CALLER.delegate())
    mine, others = await gateway.approvals.list(CALLER), await gateway.approvals.list(a_principal(id="local:eve"))

    assert [each.id for each in mine] == [pending(outcome)]
    assert gateway.approvals.owns(CALLER, mine[0])
    assert others == []
