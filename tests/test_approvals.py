"""A yes is for one call of one caller, for a time, and once, whoever looks from wherever."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, get_args

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate import documents
from toolgate.approvals import Approval, Approvals
from toolgate.audit.event import Type
from toolgate.audit.keys import Keys
from toolgate.calls import Call, Principal
from toolgate.errors import LimitReached, NotPermitted, UnknownApproval
from toolgate.policy.decide import decide
from toolgate.policy.rules import Policy, Role
from toolgate.settings import Approvals as Waits
from toolgate.settings import Audit, Settings
from toolgate.stores import Stores, open_stores
from toolgate.stores.memory import MemoryJournal, MemoryRecords, memory_ledger
from toolgate.testing import FakeClock, a_call, a_principal, a_tool

TOOL = a_tool(name="drop", reads=False, fingerprint="f1")
OPERATOR = a_principal("admin", id="local:root")


@dataclass
class World:
    clock: FakeClock = field(default_factory=lambda: FakeClock(1000.0))
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    settings: Settings = field(default_factory=Settings)
    stores: Stores = field(init=False)

    def __post_init__(self) -> None:
        self.stores = Stores(self.journal, MemoryRecords(self.clock), memory_ledger(), keys=Keys(b"k" * 32))

    def book(self) -> Approvals:
        """As another worker would open it."""
        return Approvals(self.stores, self.settings, self.clock)

    async def events(self) -> list[str]:
        """Oldest first."""
        return [entry.body["type"] for entry in reversed(await self.journal.read("audit"))]


def a_wish(**changes: Any) -> Call:
    return replace(a_call(TOOL, {"table": "people", "n": 1}, obligations=("approve",), policy="p1"), **changes)


def ada(**changes: Any) -> Principal:
    return replace(a_principal(), **changes)


async def approved(world: World, call: Call) -> Approval:
    waiting = await world.book().of(call)
    return await world.book().decide(waiting.id, True, OPERATOR, "operator")


async def test_a_question_waits_under_one_id_however_often_the_call_is_made() -> None:
    world = World()

    first = await world.book().of(a_wish())
    again = await world.book().of(a_wish())

    assert (
        first
        == again
        == Approval(
            id=first.id,
            state="pending",
            tenant="default",
            caller="local:ada",
            acting_for=(),
            tool="drop",
            fingerprint="f1",
            digest=world.stores.keys.digest("default", b'{"n":1,"table":"people"}'),
            policy="p1",
            arguments={"values": {"n": 1, "table": "people"}},
            asked=1000.0,
            expires=1900.0,
            version=1,
        )
    )
    assert await world.events() == ["approval.requested"]


async def test_a_yes_is_used_once_and_the_next_such_call_asks_anew_under_another_id() -> None:
    world, call = World(), a_wish()
    yes = await approved(world, call)

    there = await world.book().of(call)
    used = await world.book().use(there, call)
    again = await world.book().use(there, call)
    next_one = await world.book().of(call)

    assert (there.state, there.by, there.how) == ("approved", "local:root", "operator")
    assert used is not None
    assert again is None
    assert (next_one.state, next_one.id == yes.id, next_one.id[:24] == yes.id[:24]) == ("pending", False, True)
    assert await world.events() == ["approval.requested", "approval.granted", "approval.used", "approval.requested"]
    with pytest.raises(UnknownApproval):
        await world.book().decide(yes.id, True, OPERATOR, "operator")


@pytest.mark.parametrize("how", ["client", "operator"])
async def test_a_yes_does_not_cross_a_no_that_was_said_just_before(how: Any) -> None:
    world, call = World(), a_wish()
    waiting = await world.book().of(call)
    await world.book().decide(waiting.id, False, ada(id="local:eve"), how)
    world.clock.now += 2

    with pytest.raises(NotPermitted, match=r"^local:eve said no to this call 2 s before; look again, and say yes in 8 s"):
        await world.book().decide(waiting.id, True, OPERATOR, "operator")
    world.clock.now += 8
    there = await world.book().decide(waiting.id, True, OPERATOR, "operator")

    assert there.state == "approved"
    assert await world.events() == ["approval.requested", "approval.denied", "approval.granted"]


async def test_who_said_no_may_think_better_of_it_at_once() -> None:
    world, call = World(), a_wish()
    waiting = await world.book().of(call)
    await world.book().decide(waiting.id, False, OPERATOR, "operator")

    assert (await world.book().decide(waiting.id, True, OPERATOR, "operator")).state == "approved"


OTHERS: list[Call] = [
    a_wish(principal=ada(id="local:bob")),
    a_wish(principal=ada(tenant="acme")),
    a_wish(principal=ada(acting_for=("local:bob",))),
    a_wish(tool=replace(TOOL, name="drop2")),
    a_wish(tool=replace(TOOL, fingerprint="f2")),
    a_wish(policy="p2"),
    a_wish(arguments={"table": "people", "n": 2}),
    a_wish(arguments={"table": "people"}),
    a_wish(arguments={"table": "people", "n": 1.0}),
    a_wish(arguments={"table": "people", "n": "1"}),
    a_wish(arguments={"table": "people", "n": 1, "m": None}),
]


@pytest.mark.parametrize("other", OTHERS)
async def test_no_other_call_finds_a_yes(other: Call) -> None:
    world = World()
    yes = await approved(world, a_wish())

    found = await world.book().of(other)

    assert (found.state, found.id[:24] == yes.id[:24]) == ("pending", False)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same: 1 is not true, and not 1.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(*pair) for pair in zip(one, other, strict=True))
    return repr(one) == repr(other)


@given(json_values, json_values)
async def test_arguments_have_one_yes_exactly_when_they_are_the_same(one: Any, other: Any) -> None:
    world = World()
    yes = await approved(world, a_wish(arguments={"value": one}))

    found = await world.book().of(a_wish(arguments={"value": other}))

    assert (found.id == yes.id) is same(one, other)


@pytest.mark.parametrize(
    ("one", "other"), [(2**70, str(2**70)), ("a\ud800", "a?"), ([2**70], [str(2**70)]), (10**4000, "a very large number")]
)
async def test_what_json_cannot_hold_is_not_taken_for_something_else(one: Any, other: Any) -> None:
    world = World()
    yes = await approved(world, a_wish(arguments={"value": one}))

    found = await world.book().of(a_wish(arguments={"value": other}))

    assert found.id[:24] != yes.id[:24]


async def test_another_key_finds_no_yes_of_before() -> None:
    world = World()
    yes = await approved(world, a_wish())
    world.stores = replace(world.stores, keys=Keys(b"another" + b"k" * 25))

    found = await world.book().of(a_wish())

    assert (found.state, found.id[:24] == yes.id[:24]) == ("pending", False)


@pytest.mark.parametrize("answered", [True, False])
async def test_what_waited_too_long_is_over_and_asked_anew(answered: bool) -> None:
    world, call = World(), a_wish()
    first = await approved(world, call) if answered else await world.book().of(call)

    world.clock.now += 899.0
    in_time = await world.book().of(call)
    world.clock.now += 1.0
    late = await world.book().of(call)

    assert (in_time.id, late.id == first.id, late.state) == (first.id, False, "pending")
    assert (await world.events())[-2:] == ["approval.expired", "approval.requested"]


async def test_an_answer_that_comes_too_late_is_none() -> None:
    world = World()
    waiting = await world.book().of(a_wish())
    world.clock.now += 900.0

    with pytest.raises(UnknownApproval):
        await world.book().decide(waiting.id, True, OPERATOR, "operator")

    assert await world.events() == ["approval.requested", "approval.expired"]


async def test_a_yes_that_is_late_between_finding_and_using_is_not_used() -> None:
    world, call = World(), a_wish()
    yes = await approved(world, call)
    world.clock.now += 900.0

    assert await world.book().use(yes, call) is None


@pytest.mark.parametrize("id", ["", "x", "0" * 32, "0" * 24, "\ud800" * 32])
async def test_an_id_that_nothing_waits_under_cannot_be_answered(id: str) -> None:
    world = World()
    waiting = await world.book().of(a_wish())

    for wrong in (id, waiting.id[:24] + "00000000", waiting.id[:24], waiting.id + "0"):
        with pytest.raises(UnknownApproval):
            await world.book().decide(wrong, True, OPERATOR, "operator")

    assert (await world.book().of(a_wish())).state == "pending"


async def test_an_operator_may_think_better_of_it_until_the_call_is_made() -> None:
    world, call = World(), a_wish()
    yes = await approved(world, call)

    no = await world.book().decide(yes.id, False, OPERATOR, "operator", "not on a Friday")

    assert await world.book().use(yes, call) is None
    assert (no.state, no.reason) == ("denied", "not on a Friday")
    assert await world.events() == ["approval.requested", "approval.granted", "approval.denied"]


async def test_the_person_at_the_client_cannot_undo_an_operators_no() -> None:
    world, call = World(), a_wish()
    waiting = await world.book().of(call)
    await world.book().decide(waiting.id, False, OPERATOR, "operator")

    answered = await world.book().decide(waiting.id, True, call.principal, "client")

    assert (answered.state, answered.by) == ("denied", "local:root")


async def test_a_yes_given_back_counts_again_and_once() -> None:
    world, call = World(), a_wish()
    used = await world.book().use(await approved(world, call), call)
    assert used is not None

    await world.book().give_back(used, call)
    there = await world.book().of(call)

    assert there.state == "approved"
    assert await world.book().use(there, call) is not None
    assert (await world.events())[-2:] == ["approval.returned", "approval.used"]


async def test_of_many_calls_at_once_one_gets_the_yes_and_one_question_is_asked() -> None:
    world, call = World(), a_wish()
    taken: list[Approval | None] = []

    async def ask() -> None:
        asked.append(await world.book().of(call))

    async def take() -> None:
        taken.append(await world.book().use(await world.book().of(call), call))

    asked: list[Approval] = []
    await at_once(ask, 20)
    await world.book().decide(asked[0].id, True, OPERATOR, "operator")
    await at_once(take, 20)

    assert {each.id for each in asked} == {asked[0].id}
    assert len([each for each in taken if each]) == 1
    assert (await world.events()).count("approval.used") == 1


async def at_once(work: Callable[[], Coroutine[Any, Any, None]], times: int) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            tasks.start_soon(work)


async def test_a_caller_sees_what_waits_of_its_own_and_an_operator_everything() -> None:
    world = World()
    mine = await world.book().of(a_wish())
    world.clock.now += 1
    bobs = await world.book().of(a_wish(principal=ada(id="local:bob")))
    elsewhere = await world.book().of(a_wish(principal=ada(tenant="acme")))
    await world.book().use(await approved(world, call := a_wish(arguments={})), call)

    assert list(await world.book().list(ada())) == [mine]
    assert list(await world.book().list(ada(tenant="acme"))) == [elsewhere]
    assert {each.id for each in await world.book().list()} == {mine.id, bobs.id, elsewhere.id}


async def test_looking_finds_what_has_expired_and_writes_it_down_once() -> None:
    world = World()
    await world.book().of(a_wish())
    world.clock.now += 900

    assert list(await world.book().list()) == []
    assert list(await world.book().list()) == []
    assert await world.events() == ["approval.requested", "approval.expired"]


async def test_a_caller_may_let_only_so_many_questions_wait() -> None:
    world = World(settings=Settings(approvals=Waits(waiting=2)))
    await world.book().of(a_wish(arguments={"n": 1}))
    world.clock.now += 100
    await world.book().of(a_wish(arguments={"n": 2}))

    with pytest.raises(LimitReached) as refused:
        await world.book().of(a_wish(arguments={"n": 3}))

    assert refused.value.retry_after == 800
    assert (await world.book().of(a_wish(arguments={"n": 2}))).state == "pending"
    assert (await world.book().of(a_wish(principal=ada(id="local:bob")))).state == "pending"
    world.clock.now += 800
    assert (await world.book().of(a_wish(arguments={"n": 3}))).state == "pending"


SECRET = {"type": "object", "properties": {"pin": {"type": "string", "format": "password"}}}


@pytest.mark.parametrize(("keeps", "kept"), [("values", {"values": {"pin": "[redacted]"}}), ("names", {"names": ["pin"]})])
async def test_neither_book_nor_question_nor_audit_holds_a_secret(keeps: Any, kept: Mapping[str, Any]) -> None:
    world = World(settings=Settings(audit=Audit(arguments=keeps)))
    call = a_wish(tool=a_tool(name="pay", reads=False, schema=SECRET), arguments={"pin": "hunter2"})

    waiting = await world.book().of(call)
    question = world.book().question(call, waiting)

    assert waiting.arguments == kept
    assert question.text == (
        'local:ada wants to call pay, which may destroy or overwrite something.\n\nArguments: {"pin":"[redacted]"}\n\n'
        "A yes counts once, for exactly this call, within 15 minutes."
    )
    assert "hunter2" not in repr(await world.journal.read("audit")) + repr(await world.stores.records.list("approval"))


async def test_a_question_shows_no_character_that_hides_or_turns_others_and_says_when_it_is_cut() -> None:
    world = World()
    call = a_wish(arguments={"a": "x\u202ey\u200b\n", "b": ["long"] * 1000})

    text = world.book().question(call, await world.book().of(call)).text

    assert 'Arguments: {"a":"x\\u202ey\\u200b\\n","b":["long"' in text
    assert "… (cut; 7030 characters in all)" in text


WORKER = """
import asyncio, sys
from pathlib import Path
from toolgate.gateway import build_gateway
from toolgate.policy.rules import Permission, Policy, Role
from toolgate.settings import Settings
from toolgate.stores import open_stores
from toolgate.testing import a_principal, a_tool

POLICY = Policy([Role(role="developer", permissions=(Permission(id="asks", tools="*", obligations=("approve",)),))])

async def main() -> None:
    async with open_stores("sqlite", Path(sys.argv[1])) as stores:
        gateway = build_gateway([a_tool(name="drop", reads=False)], POLICY, stores, Settings())
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            made = [gateway.call("drop", {"table": line.strip()}, a_principal()) for _ in range(5)]
            outcomes = await asyncio.gather(*made)
            print(sum(outcome.ok for outcome in outcomes), flush=True)

asyncio.run(main())
"""


async def test_of_several_processes_that_want_one_yes_one_gets_it(tmp_path: Path) -> None:
    workers = [Popen([sys.executable, "-c", WORKER, str(tmp_path)], stdin=PIPE, stdout=PIPE, text=True) for _ in range(2)]
    try:
        with anyio.fail_after(60):
            for worker in workers:
                assert await said_by(worker) == "ready"
            passed = [await one_yes(tmp_path, workers, table) for table in ("a", "b", "c")]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()

    assert passed == [1, 1, 1]


async def one_yes(folder: Path, workers: Sequence[Popen[str]], table: str) -> int:
    """How many calls of the workers' pass with one yes, which was given in a third process: this one."""
    await wanted(workers[:1], table)
    async with open_stores("sqlite", folder) as stores:
        book = Approvals(stores, Settings())
        [waiting] = [each for each in await book.list() if each.arguments == {"values": {"table": table}}]
        await book.decide(waiting.id, True, OPERATOR, "operator")
    return await wanted(workers, table)


async def wanted(workers: Sequence[Popen[str]], table: str) -> int:
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(f"{table}\n")
        worker.stdin.flush()
    return sum([int(await said_by(worker)) for worker in workers])


async def said_by(worker: Popen[str]) -> str:
    assert worker.stdout is not None
    return (await anyio.to_thread.run_sync(worker.stdout.readline, abandon_on_cancel=True)).strip()


PAGE = (Path(__file__).parents[1] / "docs" / "approvals.md").read_text()


def test_the_page_tells_every_setting_and_its_example_asks_for_writes_alone() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    policy = Policy([Role(**documents.parse(example.encode(), name="approvals.md"))])
    clerk = a_principal("clerk")

    reading = decide(a_call(a_tool(name="github_list_issues"), principal=clerk), policy)
    writing = decide(a_call(a_tool(name="github_create_issue", reads=False), principal=clerk), policy)

    assert (reading.permitted, reading.obligations) == (True, ())
    assert (writing.permitted, writing.obligations) == (True, ("approve",))
    assert {name for name in Waits.model_fields if f"| `approvals.{name}` |" not in PAGE} == set()
    told = [name.removeprefix("approval.") for name in get_args(Type) if name.startswith("approval.")]
    assert [name for name in told if name not in PAGE] == []
