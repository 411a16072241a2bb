"""run_workflow: start a workflow of n8n or Activepieces by its webhook, and wait for what comes of it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import anyio
import orjson

from toolgate.backends import Workflow
from toolgate.calls import key
from toolgate.egress.wire import Request, Response, Sender
from toolgate.internal.desk import Desk
from toolgate.internal.outside import json_of, send
from toolgate.internal.trouble import Trouble
from toolgate.times import retry_after

Status = Literal["started", "running", "finished", "failed"]
NAMES = {"n8n": "n8n", "activepieces": "Activepieces"}
ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
ID_KEYS = ("executionId", "execution_id", "runId", "run_id", "flowRunId", "id")
"""Where a webhook's answer may say which run it started."""
OF_N8N: Mapping[str, Status] = {"success": "finished", "error": "failed", "crashed": "failed", "canceled": "failed"}
"""n8n's execution states; `new`, `running`, `waiting` and whatever may come are running."""
OF_ACTIVEPIECES: Mapping[str, Status] = {
    "SUCCEEDED": "finished", "FAILED": "failed", "TIMEOUT": "failed", "INTERNAL_ERROR": "failed", "QUOTA_EXCEEDED": "failed",
    "MEMORY_LIMIT_EXCEEDED": "failed", "STOPPED": "failed", "CANCELED": "failed",
}  # fmt: skip
STARTED = {"message": "Workflow was started"}
"""n8n's whole answer where the webhook responds immediately."""
SYNC = "/sync"
"""Activepieces: the webhook that answers with the flow's own response."""
PAUSES = (0.5, 1.0, 2.0, 3.0)
"""Seconds between questions after a run, the last again and again."""
KEPT = 2.0
"""Seconds of the call's time in which the answer is told."""
KIND = "workflow.run"
"""The kind of record that says who has started a run."""
REMEMBERED = 7 * 86_400.0
"""Seconds in which its caller may ask after a run."""


@dataclass(frozen=True)
class Workflows:
    sender: Sender
    declared: Mapping[str, Workflow]


async def list_workflows(desk: Desk, _asked: Mapping[str, Any]) -> dict[str, Any]:
    workflows = desk.backends.workflows
    assert workflows is not None
    return {"workflows": [{"name": name, "kind": one.kind, "description": one.description} for name, one in workflows.declared.items()]}


async def run_workflow(desk: Desk, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: there is no such workflow or no such run of the caller's, it is not active, or its server did not answer well.
    """
    workflows = desk.backends.workflows
    assert workflows is not None
    workflow = workflows.declared.get(asked["name"])
    if workflow is None:
        raise Trouble("unknown_workflow", f"no workflow is called so; {', '.join(workflows.declared)} would work")
    if run := asked.get("run"):
        await _check_owner(desk, asked["name"], workflow, run)
        return await _followed(desk, workflows.sender, workflow, run)
    waits = asked.get("wait", True)
    response = await _start(desk, workflows.sender, workflow, asked.get("input", {}), waits=waits)
    output = json_of(response)
    told: dict[str, Any] = {"status": _ended(workflow, response, output, waits), "run": _run(output), "output": _output(response, output)}
    if told["run"] is not None and workflow.status_url is not None:
        await _remember(desk, asked["name"], told["run"])
    if told["status"] == "finished" or not waits or workflow.status_url is None or told["run"] is None:
        return told
    return await _followed(desk, workflows.sender, workflow, told["run"])


async def _remember(desk: Desk, name: str, run: str) -> None:
    """Write down that the run is the caller's."""
    await desk.backends.stores.records.put(KIND, _owned(desk, name, run), {"workflow": name}, expires=time.time() + REMEMBERED)


async def _check_owner(desk: Desk, name: str, workflow: Workflow, run: str) -> None:
    """Servers count their runs, so that anybody could guess those of others, whose whole data they tell.

    Raises:
        Trouble: the caller has started no such run.
    """
    meant = workflow.status_url is not None and ID.fullmatch(run)
    if meant and await desk.backends.stores.records.get(KIND, _owned(desk, name, run)) is None:
        raise Trouble("unknown_run", "you have started no such run of this workflow; runs can be asked after for a week")


def _owned(desk: Desk, name: str, run: str) -> str:
    who = desk.call.principal
    return key(who.tenant, who.user, name, run)


async def _start(desk: Desk, sender: Sender, workflow: Workflow, given: Any, *, waits: bool) -> Response:
    url = workflow.url
    if workflow.kind == "activepieces" and waits and workflow.status_url is None and not url.endswith(SYNC):
        url += SYNC
    headers = (("Content-Type", "application/json"), ("Idempotency-Key", desk.call.once), *_headers(workflow))
    request = Request("POST", url, headers, orjson.dumps(given))
    response = await _sent(desk, sender, workflow, request)
    if response.status == HTTPStatus.NOT_FOUND:
        why = f"{NAMES[workflow.kind]} knows no such webhook; the workflow has to be published or active"
        raise Trouble("workflow_inactive", why, status=HTTPStatus.BAD_GATEWAY, upstream=response.status)
    return _good(workflow, response)


async def _followed(desk: Desk, sender: Sender, workflow: Workflow, run: str) -> dict[str, Any]:
    """Ask after a run until it has ended or the time is up: then it is still `running`, and may be asked after again."""
    if workflow.status_url is None:
        raise Trouble("not_followed", "this workflow has no status_url, so nobody can say what became of its runs")
    if not ID.fullmatch(run):
        raise Trouble("bad_run", "run is the id that an earlier answer gave")
    request = Request("GET", workflow.status_url.replace("{id}", run), (("Accept", "application/json"), *_headers(workflow)))
    status: Status = "running"
    output: Any = None
    asked = 0
    with anyio.move_on_after(min(workflow.seconds, desk.seconds_left() - KEPT)):
        while status == "running":
            response = _good(workflow, await _sent(desk, sender, workflow, request))
            output = json_of(response)
            status = _status(workflow, output)
            if status == "running":
                await desk.tell(asked, None, "the workflow runs")
                await anyio.sleep(PAUSES[min(asked, len(PAUSES) - 1)])
                asked += 1
    return {"status": status, "run": run, "output": None if status == "running" else output}


async def _sent(desk: Desk, sender: Sender, workflow: Workflow, request: Request) -> Response:
    seconds = min(workflow.seconds, desk.seconds_left() - KEPT)
    return await send(sender, request, NAMES[workflow.kind], networks=workflow.allow_networks, seconds=seconds)


def _good(workflow: Workflow, response: Response) -> Response:
    if response.status < 300:
        return response
    raise Trouble(
        "upstream_failed",
        f"{NAMES[workflow.kind]} answered {response.status}",
        status=HTTPStatus.BAD_GATEWAY,
        upstream=response.status,
        retry_after=retry_after(response.header("retry-after")),
    )


def _headers(workflow: Workflow) -> tuple[tuple[str, str], ...]:
    return tuple((name, value.get_secret_value()) for name, value in workflow.headers.items() if value is not None)


def _ended(workflow: Workflow, response: Response, output: Any, waits: bool) -> Status:
    """What a webhook's answer means: some answer when the run begins, others when it has ended, with what came of it."""
    if workflow.kind == "n8n":
        return "started" if output == STARTED or (workflow.status_url is not None and _run(output) is not None) else "finished"
    return "finished" if waits and workflow.status_url is None and response.status == HTTPStatus.OK else "started"


def _status(workflow: Workflow, output: Any) -> Status:
    said = output.get("status") if isinstance(output, Mapping) else None
    if workflow.kind == "n8n" and said is None and isinstance(output, Mapping) and output.get("finished") is True:
        return "finished"
    return (OF_N8N if workflow.kind == "n8n" else OF_ACTIVEPIECES).get(said if isinstance(said, str) else "", "running")


def _run(output: Any) -> str | None:
    if not isinstance(output, Mapping):
        return None
    found = next((output[key] for key in ID_KEYS if isinstance(output.get(key), (str, int))), None)
    return str(found) if found is not None and ID.fullmatch(str(found)) else None


def _output(response: Response, output: Any) -> Any:
    return output if output is not None else response.body.decode(errors="replace") or None
