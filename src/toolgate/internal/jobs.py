"""submit_job, get_job and cancel_job: any tool that the caller may call, called through the gate while the caller goes on.

A job's record is durable and its owner's own; what is under way is not: when its process ends, the job is `interrupted`, and
whether it had an effect is for the audit to say. It is not made again by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import anyio
from anyio.abc import TaskGroup

from toolgate.calls import UNSET, Call, Outcome, Text, changed, key, new_id
from toolgate.internal.desk import Desk
from toolgate.internal.trouble import Trouble
from toolgate.stores import Record, Stores

log = logging.getLogger("toolgate")
KIND = "job"
KEPT = 7 * 86_400.0
"""Seconds after its last change in which a job can be asked after."""
MOST = 10
"""Jobs of one owner under way at the same time."""
LARGEST = 256 * 1024
"""Characters of a result that are kept; of a longer one its beginning."""
LOOKS = 2.0
"""Seconds between two looks at whether another process wants it cancelled."""
ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})


@dataclass
class Jobs:
    """Jobs under way in this process."""

    stores: Stores
    tasks: TaskGroup
    scopes: dict[str, anyio.CancelScope] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, str] = field(default_factory=dict)
    """What those that an agent's run has submitted draw their money from, by job."""

    def go_on(self, session: str) -> bool:
        """Whether jobs of that session are under way."""
        return session in self.sessions.values()

    async def start(self, desk: Desk, tool: str, arguments: Mapping[str, Any]) -> Record:
        """
        Raises:
            Trouble: so many of the owner's are under way.
        """
        owner = owner_of(desk.call)
        if sum(one == owner for one in self.owners.values()) >= MOST:
            why = f"{MOST} of your jobs are under way; wait for one, or cancel it"
            raise Trouble("too_many_jobs", why, status=HTTPStatus.CONFLICT, retry_after=5, tried=False)
        job, now = new_id(), time.time()
        self.owners[job] = owner  # before anything is waited for, so that many at once are counted too
        if desk.call.session is not None:
            self.sessions[job] = desk.call.session
        try:
            await self.stores.lives.join()
            there = {"created": now, "updated": now, "instance": self.stores.lives.instance}
            body = {"owner": owner, "tool": tool, "status": "running", **there}
            await self.stores.records.put(KIND, job, body, expires=now + KEPT)
        except BaseException:
            self._forget(job)
            raise
        self.tasks.start_soon(self._carry_out, job, desk, tool, arguments)
        return Record(job, 1, body)

    async def get(self, call: Call, id: str) -> Record:
        """
        Raises:
            Trouble: there is no such job, or it is somebody else's, which is not told apart.
        """
        record = await self.stores.records.get(KIND, id)
        if record is None or record.body["owner"] != owner_of(call):
            raise Trouble("unknown_job", "you have no job of that id; jobs are kept for a week", status=HTTPStatus.NOT_FOUND)
        if record.body["status"] == "running" and not await self._runs(record):
            return await self.change(id, status="interrupted")
        return record

    async def cancel(self, call: Call, id: str) -> Record:
        record = await self.get(call, id)
        if record.body["status"] in ENDED:
            return record
        record = await self.change(id, cancelling=True)
        if scope := self.scopes.get(id):
            scope.cancel()
        return record

    async def change(self, id: str, **changes: Any) -> Record:
        """Change a job's record, whatever else changes in it at the same time; one that has ended stays as it is."""
        while True:
            record = await self.stores.records.get(KIND, id)
            assert record is not None
            if record.body["status"] in ENDED:
                return record
            now = time.time()
            body = {**record.body, **changes, "updated": now}
            if await self.stores.records.put(KIND, id, body, replaces=record.version, expires=now + KEPT):
                return Record(id, record.version + 1, body)

    async def _runs(self, record: Record) -> bool:
        instance = record.body["instance"]
        if instance == self.stores.lives.instance:
            return record.id in self.owners
        return await self.stores.lives.alive(instance)

    async def _carry_out(self, id: str, desk: Desk, tool: str, arguments: Mapping[str, Any]) -> None:
        ended: dict[str, Any] | None = None
        try:
            async with anyio.create_task_group() as tasks:
                self.scopes[id] = tasks.cancel_scope
                tasks.start_soon(self._watch, id)
                ended = await self._called(id, desk, tool, arguments)
                tasks.cancel_scope.cancel()
        finally:
            self.scopes.pop(id, None)
            with anyio.move_on_after(2.0, shield=True):
                if ended is None:  # its owner wanted it cancelled, or this process ends
                    record = await self.stores.records.get(KIND, id)
                    ended = {"status": "cancelled" if record is not None and record.body.get("cancelling") else "interrupted"}
                await self.change(id, **ended)
            self._forget(id)

    def _forget(self, id: str) -> None:
        self.owners.pop(id, None)
        self.sessions.pop(id, None)

    async def _called(self, id: str, desk: Desk, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        async def progress(done: float, total: float | None, sentence: str | None) -> None:
            await self.change(id, progress={"done": done, "total": total, "sentence": sentence})

        # Its own time, and nobody at the other end: the call that submitted it has been answered.
        parent = changed(desk.call, deadline=None, progress=None, ask=None, client=None, idempotency_key=None)
        try:
            return result_of(await desk.call_tool(tool, arguments, desk.call.principal, parent=parent, progress=progress))
        except Exception:  # a bug ends its job and no others
            log.exception("the job %s ended by a bug", id)
            problem = {"code": "internal_error", "message": "it ended by a fault of Toolgate; the log says more"}
            return {"status": "failed", "problem": problem, "effect": "unknown"}

    async def _watch(self, id: str) -> None:
        while True:
            await anyio.sleep(LOOKS)
            record = await self.stores.records.get(KIND, id)
            if record is not None and record.body.get("cancelling"):
                self.scopes[id].cancel()


def owner_of(call: Call) -> str:
    """Names whose a job is, in a way that no other tenant and user have."""
    return key(call.principal.tenant, call.principal.user)


def result_of(outcome: Outcome) -> dict[str, Any]:
    """How a call ended, as the job's record keeps it."""
    if outcome.problem is not None:
        problem = {"code": outcome.problem.code, "message": outcome.problem.message}
        return {"status": "failed", "problem": problem, "effect": outcome.effect}
    text = "\n".join(one.text for one in outcome.content if isinstance(one, Text))
    small = outcome.structured is not UNSET and len(text) <= LARGEST
    result = {"structured": outcome.structured} if small else {"text": text[:LARGEST], "truncated": len(text) > LARGEST}
    return {"status": "done", "result": result, "cost": outcome.cost}


async def submit_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    jobs = desk.backends.jobs
    assert jobs is not None
    return told(await jobs.start(desk, asked["tool"], asked.get("arguments", {})))


async def get_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    jobs = desk.backends.jobs
    assert jobs is not None
    wait = min(asked.get("wait", 0.0), desk.seconds_left() - 1)
    until = time.monotonic() + wait
    while True:
        record = await jobs.get(desk.call, asked["id"])
        if record.body["status"] in ENDED or time.monotonic() >= until:
            return told(record)
        await anyio.sleep(min(0.25, max(0.01, until - time.monotonic())))


async def cancel_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    jobs = desk.backends.jobs
    assert jobs is not None
    return told(await jobs.cancel(desk.call, asked["id"]))


def told(record: Record) -> dict[str, Any]:
    body = record.body
    status = "cancelling" if body["status"] == "running" and body.get("cancelling") else body["status"]
    shown = {key: body[key] for key in ("progress", "result", "problem", "effect") if key in body}
    cost = {} if "cost" not in body else {"cost_usd": body["cost"] / 1_000_000}
    return {
        "id": record.id,
        "tool": body["tool"],
        "status": status,
        "created": body["created"],
        "updated": body["updated"],
        **shown,
        **cost,
    }
