"""submit_job, get_job and cancel_job: any tool that the caller may call, called through the gate while the caller goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import anyio

from toolgate.calls import UNSET, Outcome, Progress, changed
from toolgate.internal.desk import Desk
from toolgate.internal.jobs import ENDED, LARGEST, Work, outcome_of
from toolgate.stores import Record


async def submit_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    # Its own time, and nobody at the other end: the call that submitted it has been answered.
    parent = changed(desk.call, deadline=None, progress=None, ask=None, client=None, idempotency_key=None)
    work = Work(asked["tool"], asked.get("arguments", {}), desk.call.principal, parent)

    async def run(progress: Progress) -> Outcome:
        return await desk.gateway.call(work.tool, work.arguments, work.principal, parent=parent, id=work.call, progress=progress)

    return told(await desk.backends.jobs.start(work, run))


async def get_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    wait = min(asked.get("wait", 0.0), desk.seconds_left() - 1)
    until = time.monotonic() + wait
    while True:
        record = await desk.backends.jobs.get(desk.call.principal, asked["id"])
        if record.body["status"] in ENDED or time.monotonic() >= until:
            return told(record)
        await anyio.sleep(min(0.25, max(0.01, until - time.monotonic())))


async def cancel_job(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    return told(await desk.backends.jobs.cancel(desk.call.principal, asked["id"]))


def told(record: Record) -> dict[str, Any]:
    """A job as the description's `Job`."""
    body = record.body
    status = "cancelling" if body["status"] == "running" and body.get("cancelling") else body["status"]
    said = {"id": record.id, "tool": body["tool"], "status": status, "created": body["created"], "updated": body["updated"]}
    if "progress" in body:
        said["progress"] = body["progress"]
    if "cost" in body:
        said["cost_usd"] = body["cost"] / 1_000_000
    outcome = outcome_of(record)
    return said if outcome is None else {**said, **_ended(outcome, truncated=body.get("truncated", False))}


def _ended(outcome: Outcome, *, truncated: bool) -> dict[str, Any]:
    if outcome.problem is not None:
        return {"problem": {"code": outcome.problem.code, "message": outcome.problem.message}, "effect": outcome.effect}
    text = outcome.text
    if outcome.structured is not UNSET and len(text) <= LARGEST:
        return {"result": {"structured": outcome.structured}}
    return {"result": {"text": text, "truncated": truncated}}
