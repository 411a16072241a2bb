"""The agent: starts runs, takes them up again, and tells of them.

A run is a call to the gate's eyes, and everything that it does is done within it, by a principal that may do no more than
its user: deeper by one, under its deadline, drawing on its budget. `drive` goes through one run step by step.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import jsonschema_rs

from toolgate.agent import turns
from toolgate.agent.batch import Person, Unanswered
from toolgate.agent.bill import events_of
from toolgate.agent.drive import NO_RESULTS, NOTHING_KNOWN, Drive, Hear, Known
from toolgate.agent.events import Event, Finished
from toolgate.agent.facts import Asked, Fact, Resumed
from toolgate.agent.purse import Purse, budgeted, unbound
from toolgate.agent.runs import Run, Runs, Task
from toolgate.agent.turns import Limits
from toolgate.burden import TooHard, bounds
from toolgate.calls import Call, Outcome, Principal, Tool
from toolgate.errors import Busy, InvalidArguments, NotPermitted, UnknownRun
from toolgate.gateway import Gateway
from toolgate.llm.messages import Image
from toolgate.llm.pictures import bounded
from toolgate.llm.provider import Provider
from toolgate.money import micros
from toolgate.settings import Settings
from toolgate.stores import Stores


@dataclass(frozen=True)
class Agent:
    """What runs have in common."""

    gateway: Gateway
    models: Provider
    stores: Stores
    settings: Settings
    known: Known = NOTHING_KNOWN
    clock: Callable[[], float] = time.time
    """Seconds since 1970."""
    pipeline: str = ""
    """As of `Task.pipeline`, where `models` plans only such runs."""
    outermost: dict[str, Drive] = field(default_factory=dict)
    """Runs under way in this process that no other made, by id: those within draw on their purse and ask their person."""
    background: Callable[[str], bool] = lambda session: False
    """Whether jobs of the outermost run of that id are under way: they spend its money, and may outlive it."""
    outlived: dict[str, Run] = field(default_factory=dict)
    """Runs that ended while jobs of theirs were under way, by id."""

    @property
    def runs(self) -> Runs:
        """The book of them."""
        return Runs(self.stores, self.settings.agent.keep)

    @property
    def limits(self) -> Limits:
        """What a run may use where nobody says otherwise."""
        of = self.settings.agent
        cost = None if of.cost is None else micros(of.cost)
        return Limits(cost, of.tokens, of.steps, of.calls, of.seconds, of.depth, of.parallel)

    async def run(
        self,
        task: Task,
        user: Principal,
        hear: Hear,
        *,
        person: Person | None = None,
        unanswered: Unanswered = "wait",
        seen: bool = True,
        parent: Call | None = None,
        images: Sequence[Image] = (),
    ) -> Finished:
        """Do `task` for `user`, or as much of it as goes.

        Args:
            hear: is told what happens while it happens; the last is what is returned.
            person: asks whoever is there; None: nobody is.
            seen: somebody sees an answer while it is said; else it is heard once it is whole.
            parent: the call within which it is done, where an agent or another tool of ours asks for it.
            images: pictures that belong to the task.

        Raises:
            NotPermitted: it would be deeper within calls than runs may be.
            InvalidArguments: the schema for its answer is none, or refers to elsewhere; there are too many pictures.
            AuditUnavailable: it cannot be written down.
        """
        _check_schema(task)
        if parent is not None and parent.depth + 1 > task.limits.depth:
            raise NotPermitted(f"an agent's calls would be {parent.depth + 1} deep, and {task.limits.depth} are allowed", "agent.depth")
        tainted = task.tainted or (parent is not None and parent.tainted)
        task, pictures = replace(task, pictures=len(images), tainted=tainted), bounded(images)
        run = await self.runs.begin(task, user, *((parent.session, parent.id) if parent else (None,)))
        drive = self._drive(run, user, hear, person, unanswered, seen)
        return await self._driven(drive, Asked(self.clock(), task.text, pictures), parent)

    async def resume(
        self,
        id: str,
        user: Principal,
        hear: Hear,
        *,
        text: str | None = None,
        images: Sequence[Image] = (),
        change: Callable[[Task], Task] = lambda task: task,
        results: Mapping[str, str] = NO_RESULTS,
        person: Person | None = None,
        unanswered: Unanswered = "wait",
        seen: bool = True,
    ) -> Finished:
        """Go on with a run where it stopped. After the end of a budget it has a new one.

        Args:
            text: what its user says besides; None: nothing. A run that is done goes on only by that.
            images: pictures that belong to the text.
            change: what is different of the task from now on.
            results: of calls that the run waits for its program to make, by id.
            seen: as of `run`.

        Raises:
            UnknownRun: there is none, or it is not `user`'s.
            Busy: it is under way.
            InvalidArguments: there would be too many pictures in it, or those of its task are lost; or as of `run`.
        """
        runs = self.runs
        run = await self._stopped(id, user, more=text is not None)
        await runs.join()
        facts, number = await runs.facts(run, pictures=True)
        asked = bool(turns.after(facts).messages)
        if not asked and run.task.pictures:
            raise InvalidArguments(f"the run {id} ended before its {run.task.pictures} pictures were written down; give the task again")
        if images:
            bounded([*turns.after(facts).images, *images])
        task = change(run.task)
        _check_schema(task)
        theirs = {spec.name for spec in run.task.theirs}
        run = await runs.put(replace(run, status=None, instance=runs.instance, updated=self.clock(), task=task))
        drive = self._drive(run, user, hear, person, unanswered, seen, facts, number)
        if text is None and (ended := drive.state.ended) and ended.status == "done":
            return await drive.close()  # its process died between its last word and the book
        first: Fact = Resumed(self.clock()) if text is None else Asked(self.clock(), text, tuple(images))
        if not asked:  # its process died before it was written down what was asked
            first = Asked(self.clock(), task.text if text is None else text)
        awaited = {call.id: results[call.id] for call in drive.state.waiting if call.name in theirs and call.id in results}
        return await self._driven(drive, first, None, awaited)

    async def _stopped(self, id: str, user: Principal, *, more: bool) -> Run:
        """A run that may be taken up; raises as `resume`.

        Args:
            more: something more is said.
        """
        run = await self.runs.get(id, user)
        if await self.runs.under_way(run):
            raise Busy(f"the run {id} is under way")
        if run.owner != user.user:
            raise UnknownRun(f"the run {id} is {run.owner}'s, who alone can take it up")
        if run.task.pipeline != self.pipeline:
            raise NotPermitted(f"the run {id} is one of {run.task.pipeline or 'the agent'}, which takes it up", "agent.pipeline")
        if run.status == "done" and not more:
            raise NotPermitted(f"the run {id} is done; it goes on when you say something more", "agent.done")
        return run

    def _drive(
        self,
        run: Run,
        user: Principal,
        hear: Hear,
        person: Person | None,
        unanswered: Unanswered,
        seen: bool,
        facts: Sequence[Fact] = (),
        number: int = 0,
    ) -> Drive:
        """What goes on with `run` after `facts`; `number` is that of the next one."""
        ours = self.gateway, self.models, self.runs, self.settings
        return Drive(*ours, run, user, hear, person, unanswered, list(facts), number, self.known, seen, self.clock)

    @asynccontextmanager
    async def events(self, work: Callable[[Hear], Awaitable[Finished]]) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of a run as they happen: `async with agent.events(lambda hear: agent.run(task, user, hear)) as events`.

        The run goes on as they are read. To leave the block ends it, so that it can be taken up.
        """
        send, receive = anyio.create_memory_object_stream[Event](100)

        async def go() -> None:
            async with send:
                await work(send.send)

        async with receive, anyio.create_task_group() as tasks:
            tasks.start_soon(go)
            yield receive
            tasks.cancel_scope.cancel()

    async def replay(self, id: str, who: Principal) -> Sequence[Event]:
        """A run once more, as far as it was written down. Raises UnknownRun."""
        run = await self.runs.get(id, who)
        facts, _ = await self.runs.facts(run)
        return list(events_of(id, facts))

    async def _driven(self, drive: Drive, first: Fact, parent: Call | None, results: Mapping[str, str] = NO_RESULTS) -> Finished:
        run, user = drive.run, drive.user
        granted = turns.after([first], drive.state)
        outer = self.outermost.setdefault(run.session, drive)
        if outer is drive:
            drive.purse = Purse(run.task.limits, granted.allotted())
        else:
            drive.purse = outer.purse
            drive.person = drive.person or (outer.asked if outer.person else None)
            drive.unanswered = outer.unanswered
        try:
            await self._unbind()
            async with budgeted(run, granted.granted.cost, self.stores.ledger, self.gateway.live, user.tier, lambda: self._goes_on(run)):
                return await drive.to_the_end(first, _within(run, user.delegate(), parent), results)
        finally:
            if outer is drive:
                del self.outermost[run.session]

    def _goes_on(self, run: Run) -> bool:
        if goes_on := self.background(run.id):
            self.outlived[run.id] = run
        return goes_on

    async def _unbind(self) -> None:
        """Take back the bounds of runs whose last job has ended since; of those that are taken up again, not."""
        for run in [each for each in self.outlived.values() if not self.background(each.id)]:
            del self.outlived[run.id]
            if run.id not in self.outermost:
                await unbound(run, self.stores.ledger)


def _check_schema(task: Task) -> None:
    if task.schema is None:
        return
    try:
        jsonschema_rs.validator_for(dict(task.schema), offline=True)
        bounds(task.schema)
    except TooHard as error:
        raise InvalidArguments(str(error)) from None
    except (jsonschema_rs.ValidationError, ValueError) as error:
        raise InvalidArguments(f"schema: {str(error).splitlines()[0][:200]}; it is JSON Schema that stands alone") from None


def _within(run: Run, agent: Principal, parent: Call | None) -> Call:
    """The run as a call, within which its own are made.

    A person's yes to the call that asked for it, or its idempotency key, says nothing of what a model then comes to want.
    """
    if parent is None:
        return Call(THE_AGENT, {}, agent, run.id, session=run.session)
    return replace(parent, principal=agent, session=run.session, approval=None, idempotency_key=None)


async def _never(call: Call) -> Outcome:
    raise AssertionError(f"{call.tool.name} stands for a run and is not called itself")


THE_AGENT = Tool(name="agent", description="", schema={"type": "object"}, run=_never)
"""What a run is to the calls within it, where no other call asked for it."""
