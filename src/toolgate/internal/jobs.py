"""Calls that go on in the background: durable, each its owner's own, asked after and cancelled by an id that nobody guesses.

A job's record outlives the process that works at it; what is under way does not. When that process is gone, a job whose call
may be made again (`again` says which) is taken up by the next server that starts, at most a few times. Any other is
`interrupted`, and whether it had an effect is for the audit to say.

A job lasts longer than the request that asked for it, so its owner's credential is looked at again while it runs.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup

from toolgate.calls import Call, Outcome, Principal, Problem, Progress, Text, key, new_id
from toolgate.errors import NotIdentified, ToolgateError
from toolgate.internal.trouble import Trouble
from toolgate.stores import Record, Stores, every
from toolgate.stores.outcome import dumps, loads

if TYPE_CHECKING:
    from toolgate.internal.again import Anew

log = logging.getLogger("toolgate")
KIND = "job"
KEPT = 7 * 86_400.0
"""Seconds from its beginning in which a job can be asked after."""
MOST = 10
"""Jobs of one owner under way at the same time."""
LARGEST = 256 * 1024
"""Characters of an answer that are kept; of a longer one the beginning of its text."""
LOOKS = 2.0
"""Seconds between two looks at whether another process wants it cancelled, and whether its owner still is who it was."""
PAGE = 50
"""Records read at a time: those of jobs that have ended hold their answers."""
TIMES = 3
"""How often a job is taken up again: its call may be what ends the processes."""
OWNED = 8
"""Characters of an id that its owner's jobs have in common, so that they stand together; the other 24 are random."""
ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})

Run = Callable[[Progress], Awaitable[Outcome]]
"""Makes a job's call, and tells how far it is."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a job is to do."""

    tool: str
    arguments: Mapping[str, Any]
    principal: Principal
    parent: Call | None = None
    """The call that submitted it; None: it is itself what was asked for."""
    call: str = field(default_factory=new_id)
    """The id of the call that does it."""
    seconds: float = KEPT
    """From its beginning, in which it can be asked after."""

    @property
    def session(self) -> str | None:
        return self.parent.session if self.parent else None


@dataclass(eq=False)
class Job:
    """A job under way in this process."""

    id: str
    work: Work
    run: Run
    counted: bool
    """Among those that its owner may have at the same time."""
    kept: bool = False
    """It has a record: somebody may ask after it."""
    outcome: Outcome | None = None
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: bool = False
    """Its call is; how it ended may not be written down yet."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """And that is."""

    @property
    def owner(self) -> str:
        return owner_of(self.work.principal)


@dataclass
class Jobs:
    """Jobs under way in this process, and the records of all."""

    stores: Stores
    tasks: TaskGroup
    again: Anew | None = None
    """None: this process takes up nothing, and looks at no credential."""
    under_way: dict[str, Job] = field(default_factory=dict)

    def go_on(self, session: str) -> bool:
        """Whether jobs of that session are under way: they draw their money from it."""
        return any(job.work.session == session for job in self.under_way.values())

    async def start(self, work: Work, run: Run) -> Record:
        """
        Raises:
            Trouble: so many of the owner's are under way.
        """
        job = self.begin(work, run, counted=True)
        try:
            return await self.keep(job)
        except BaseException:
            job.scope.cancel()
            raise

    def begin(self, work: Work, run: Run, *, counted: bool) -> Job:
        """Begin work of which nobody can ask yet: `keep` makes a job of it.

        Raises:
            Trouble: it counts, and so many of the owner's are under way.
        """
        job = Job(owner_of(work.principal)[:OWNED] + new_id()[OWNED:], work, run, counted=False)
        if counted:
            self._count(job)
        self._go(job)
        return job

    async def keep(self, job: Job) -> Record:
        """Give a job its record. It is durable once this returns.

        Raises:
            Trouble: it is not counted yet, and so many of its owner's are under way.
        """
        if not job.counted:
            self._count(job)
        await self.stores.lives.join()
        now = time.time()
        body: dict[str, Any] = {"owner": job.owner, "tool": job.work.tool, "status": "running", "created": now, "updated": now}
        body["instance"] = self.stores.lives.instance
        if self.again is not None and self.again.may(job.work):
            body["again"] = {**self.again.kept(job.work), "times": 0}
        expires = now + job.work.seconds
        await self.stores.records.put(KIND, job.id, body, expires=expires)
        job.kept = True
        if job.over:  # meanwhile
            return await self._end(job) or Record(job.id, 1, body, expires)
        return Record(job.id, 1, body, expires)

    async def get(self, who: Principal, id: str) -> Record:
        """
        Raises:
            Trouble: there is no such job, or it is somebody else's, which is not told apart.
        """
        record = await self.stores.records.get(KIND, id)
        if record is None or record.body["owner"] != owner_of(who):
            raise Trouble("unknown_job", "you have no job of that id; jobs are kept for a week", status=HTTPStatus.NOT_FOUND)
        return await self._as_it_stands(record)

    async def of(self, who: Principal, *, after: str = "", limit: int) -> Sequence[Record]:
        """The first `limit` jobs of `who`'s with an id above `after`, by id."""
        owner = owner_of(who)
        found: list[Record] = []
        async for record in every(self.stores.records, KIND, owner[:OWNED], after=after, page=limit):
            if record.body["owner"] == owner:
                found.append(await self._as_it_stands(record))
                if len(found) == limit:
                    break
        return found

    async def cancel(self, who: Principal, id: str) -> Record:
        record = await self.get(who, id)
        if record.body["status"] in ENDED:
            return record
        record = await self.change(id, cancelling=True) or record
        if job := self.under_way.get(id):
            job.scope.cancel()
        return record

    async def change(self, id: str, **changes: Any) -> Record | None:
        """Change a job's record, whatever else changes in it at the same time; one that has ended stays as it is.

        What its owner has cancelled ends as cancelled, also where its call was faster. None: it is not kept any more.
        """
        while (record := await self.stores.records.get(KIND, id)) is not None:
            if record.body["status"] in ENDED:
                return record
            body = {**record.body, **changes, "updated": time.time()}
            if body["status"] in ENDED:
                body.pop("again", None)
                if body.get("cancelling"):
                    body["status"] = "cancelled"
            if await self.stores.records.put(KIND, id, body, replaces=record.version, expires=record.expires):
                return Record(id, record.version + 1, body, record.expires)
        return None

    async def take_up(self) -> None:
        """Go on with every job whose process is gone, where it may be made again."""
        try:
            async for record in every(self.stores.records, KIND, page=PAGE):
                await self._as_it_stands(record)
        except ToolgateError as error:  # those that are left are taken up when somebody asks after them
            log.warning("not every job that was interrupted could be taken up: %s", error)

    async def _as_it_stands(self, record: Record) -> Record:
        """The record, taken up or interrupted where its process is gone."""
        if record.body["status"] != "running" or await self._runs(record):
            return record
        if "again" not in record.body:
            return await self.change(record.id, status="interrupted") or record
        if self.again is None:  # a server that starts will see to it
            return Record(record.id, record.version, {**record.body, "status": "interrupted"}, record.expires)
        return await self._taken_up(record, self.again)

    async def _taken_up(self, record: Record, again: Anew) -> Record:
        kept = record.body["again"]
        if record.body.get("cancelling"):
            return await self.change(record.id, status="cancelled") or record
        found = await again.anew(record.body["tool"], kept) if kept["times"] < TIMES else None
        if found is None:
            return await self.change(record.id, status="interrupted") or record
        if record.id in self.under_way:  # meanwhile
            return record
        job = self.under_way[record.id] = Job(record.id, *found, counted=True, kept=True)  # before its record names this process
        claimed = False
        times = {"again": {**kept, "times": kept["times"] + 1}}
        body = {**record.body, **times, "instance": self.stores.lives.instance, "updated": time.time()}
        try:
            await self.stores.lives.join()
            claimed = await self.stores.records.put(KIND, record.id, body, replaces=record.version, expires=record.expires)
        finally:
            if not claimed:  # another process was faster
                del self.under_way[record.id]
        if claimed:
            log.info("the job %s of %s is taken up again", record.id, record.body["tool"])
            self._go(job)
        return await self.stores.records.get(KIND, record.id) or record

    async def _runs(self, record: Record) -> bool:
        instance = record.body["instance"]
        if instance == self.stores.lives.instance:
            return record.id in self.under_way
        return await self.stores.lives.alive(instance)

    def _count(self, job: Job) -> None:
        if sum(one.counted and one.owner == job.owner for one in self.under_way.values()) >= MOST:
            why = f"{MOST} of your jobs are under way; wait for one, or cancel it"
            raise Trouble("too_many_jobs", why, status=HTTPStatus.CONFLICT, retry_after=5, tried=False)
        job.counted = True

    def _go(self, job: Job) -> None:
        self.under_way[job.id] = job
        self.tasks.start_soon(self._carry_out, job)

    async def _carry_out(self, job: Job) -> None:
        try:
            with job.scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._watch, job)
                    job.outcome = await self._called(job)
                    tasks.cancel_scope.cancel()
        finally:
            job.over = True
            with anyio.move_on_after(2.0, shield=True), suppress(ToolgateError):  # that it cannot be written, the journal says
                if job.kept:
                    await self._end(job)
            self.under_way.pop(job.id, None)
            job.ended.set()

    async def _end(self, job: Job) -> Record | None:
        """Write down how it ended."""
        if job.outcome is not None:
            return await self.change(job.id, **ended(job.outcome))
        record = await self.stores.records.get(KIND, job.id)
        if record is None or record.body.get("cancelling"):
            return await self.change(job.id, status="cancelled")
        # This process ends. Where the call may be made again, the record says so to the next one.
        return record if "again" in record.body else await self.change(job.id, status="interrupted")

    async def _called(self, job: Job) -> Outcome:
        async def progress(done: float, total: float | None, sentence: str | None) -> None:
            if job.kept:
                await self.change(job.id, progress={"done": done, "total": total, "sentence": sentence})

        try:
            return await job.run(progress)
        except Exception:  # a bug ends its job and no others
            log.exception("the job %s ended by a bug", job.id)
            return Outcome(problem=Problem("internal_error", "it ended by a fault of Toolgate; the log says more"), effect="unknown")

    async def _watch(self, job: Job) -> None:
        while True:
            await anyio.sleep(LOOKS)
            if self.again is not None and not await self.again.stands(job.work.principal):
                job.outcome = Outcome(problem=Problem(NotIdentified.code, REVOKED), effect="unknown")
                job.scope.cancel()
            record = await self.stores.records.get(KIND, job.id) if job.kept else None
            if record is not None and record.body.get("cancelling"):
                job.scope.cancel()


REVOKED = "the credential that it was submitted with was revoked or has expired, which ended it; the audit says what it did until then"


def owner_of(principal: Principal) -> str:
    """Names whose a job is, in a way that no other tenant and user have."""
    return key(principal.tenant, principal.user)


def ended(outcome: Outcome) -> dict[str, Any]:
    """How a call ended, as the job's record keeps it."""
    status = "failed" if outcome.problem is not None else "done"
    whole = dumps(outcome)
    if whole is not None and len(whole) <= LARGEST:
        return {"status": status, "outcome": whole.decode(), "cost": outcome.cost}
    text = outcome.text[:LARGEST].encode(errors="replace").decode()
    problem = outcome.problem and Problem(outcome.problem.code, outcome.problem.message)
    cut = dumps(Outcome((Text(text),), problem=problem, effect=outcome.effect)) or b""
    return {"status": status, "outcome": cut.decode(), "truncated": True, "cost": outcome.cost}


def outcome_of(record: Record) -> Outcome | None:
    """How a job's call ended; None: it has not, or nobody knows."""
    kept = record.body.get("outcome")
    return None if kept is None else loads(kept)
