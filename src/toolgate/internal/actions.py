"""create_workflow and deploy_preview: GitHub Actions, written as a pull request and run to their end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

import anyio

from toolgate import documents
from toolgate.errors import BadDocument
from toolgate.internal.github import GitHub, odd
from toolgate.internal.pulls import create_pull_request
from toolgate.internal.trouble import Trouble

FOLDER = ".github/workflows"
TEMPLATES: Mapping[str, tuple[str, str, str]] = {
    "python": ("actions/setup-python@v6\n        with: {python-version: '3.13'}", "pip install -e . pytest", "pytest"),
    "node": ("actions/setup-node@v6\n        with: {node-version: '24'}", "npm ci", "npm test"),
}
"""What sets the language up, what installs, and what tests."""
FLOATING = re.compile(r"@(main|master|latest|HEAD)$")
PAUSES = (2.0, 3.0, 5.0)
"""Seconds between questions after a run, the last again and again."""
NEWEST = 20
"""Deployments looked at for the one of a run."""


async def create_workflow(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the text is no workflow, or what `create_pull_request` raises.
    """
    content = asked.get("content") or _written(asked)
    remarks = check(content)
    path, stem = f"{FOLDER}/{asked['name']}", asked["name"].rpartition(".")[0]
    body = asked.get("body") or f"Adds `{path}`." + "".join(f"\n- {remark}" for remark in remarks)
    wanted = {
        "title": asked.get("title") or f"Add the workflow {stem}",
        "body": body,
        "branch": asked.get("branch") or f"workflow-{stem}",
        "files": [{"path": path, "content": content}],
        **{key: asked[key] for key in ("base", "dry_run") if key in asked},
    }
    return {**await create_pull_request(github, wanted), "path": path, "content": content, "remarks": remarks}


def check(content: str) -> list[str]:
    """What whoever reviews a workflow should look at.

    Raises:
        Trouble: it is none.
    """
    try:
        value = documents.parse(content.encode(), name="content")
    except BadDocument as error:
        raise Trouble("not_a_workflow", f"{error}") from None
    jobs = value.get("jobs") if isinstance(value, Mapping) else None
    if not isinstance(jobs, Mapping) or not jobs or "on" not in value:
        raise Trouble("not_a_workflow", "a workflow is a mapping with `on`, what starts it, and `jobs`, at least one")
    for name, job in jobs.items():
        if not isinstance(job, Mapping) or not ({"runs-on", "uses"} & job.keys()):
            raise Trouble("not_a_workflow", f"the job {name!r} has neither `runs-on` nor `uses`")
    remarks = []
    if "permissions" not in value and any("permissions" not in job for job in jobs.values()):
        remarks.append("it has no `permissions`, so its token may do whatever the repository's default lets it")
    started = value["on"]
    if "pull_request_target" in (started if isinstance(started, (Mapping, list)) else [started]):
        remarks.append("`pull_request_target` runs with secrets on behalf of strangers; never check their code out in it")
    steps = [step for job in jobs.values() for step in (job.get("steps") or ()) if isinstance(step, Mapping)]
    used = [str(step["uses"]) for step in steps if "uses" in step]
    remarks += [f"`{one}` follows a branch that its owner may change at any time" for one in used if FLOATING.search(one)]
    return remarks


def _written(asked: Mapping[str, Any]) -> str:
    template = asked.get("template", "")
    if template not in TEMPLATES:
        raise Trouble("contradiction", f"give content, or one of the templates {', '.join(TEMPLATES)}")
    setup, install, test = TEMPLATES[template]
    return f"""\
name: tests
on:
  push: {{branches: [main]}}
  pull_request:
permissions: {{contents: read}}
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v6
      - uses: {setup}
      - run: {install}
      - run: {test}
"""


async def deploy_preview(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Start the workflow that deploys previews, or go on with a run, and say where the preview is.

    Raises:
        Trouble: the workflow or ref does not exist, or GitHub failed.
    """
    run = asked.get("run_id") or await _started(github, asked)
    told = await _awaited(github, run) if asked.get("wait", True) else await github.ask("get_workflow_run", run_id=run)
    if not isinstance(told, Mapping):
        raise odd("get_workflow_run", "a run")
    status = status_of(told)
    environment = asked.get("environment", "preview")
    url = await _deployed(github, environment, told.get("head_sha")) if status == "succeeded" else None
    return {
        "status": status,
        "run_id": run,
        "run_url": told.get("html_url"),
        "conclusion": told.get("conclusion"),
        "environment": environment,
        "preview_url": url,
    }


async def _started(github: GitHub, asked: Mapping[str, Any]) -> int:
    workflow, ref = asked["workflow"], asked["ref"]
    try:
        answer = await github.ask(
            "dispatch_workflow", workflow_id=workflow, ref=ref, inputs=asked.get("inputs", {}), return_run_details=True
        )
    except Trouble as trouble:
        if trouble.absent:
            message = f"there is no workflow {workflow!r}, or no branch or tag {ref!r}; github_list_workflows lists workflows"
            raise Trouble("unknown_workflow", message, status=HTTPStatus.NOT_FOUND) from None
        if trouble.invalid:
            message = f"{workflow!r} cannot be started by hand: it needs `on: workflow_dispatch`, and inputs that it declares"
            raise Trouble("not_dispatchable", message) from None
        raise
    run = answer.get("workflow_run_id") if isinstance(answer, Mapping) else None
    if not isinstance(run, int):
        raise Trouble(
            "run_unknown",
            "GitHub started the workflow and did not say which run it is; find it with github_list_workflow_runs, then send its run_id",
            status=HTTPStatus.BAD_GATEWAY,
        )
    return run


async def _awaited(github: GitHub, run: int) -> Any:
    """The run once it has ended, or as it is when the time is up."""
    asked = 0
    while True:
        told = await github.ask("get_workflow_run", run_id=run)
        pause = PAUSES[min(asked, len(PAUSES) - 1)]
        if not isinstance(told, Mapping) or status_of(told) != "running" or github.seconds_left() < pause + 5:
            return told
        asked += 1
        await github.tell(asked, asked + 1, f"the run is {told.get('status')}")
        await anyio.sleep(pause)


def status_of(run: Mapping[str, Any]) -> Literal["running", "succeeded", "failed"]:
    if run.get("status") != "completed":
        return "running"
    return "succeeded" if run.get("conclusion") == "success" else "failed"


async def _deployed(github: GitHub, environment: str, sha: Any) -> str | None:
    """Where the newest deployment of the commit to the environment can be seen; None: it says nowhere."""
    found = await github.ask("list_deployments", environment=environment, **({"sha": sha} if isinstance(sha, str) else {}), per_page=NEWEST)
    for deployment in found if isinstance(found, list) else ():
        if not isinstance(deployment, Mapping) or not isinstance(deployment.get("id"), int):
            continue
        statuses = await github.ask("list_deployment_statuses", deployment_id=deployment["id"], per_page=NEWEST)
        for status in statuses if isinstance(statuses, list) else ():
            url = status.get("environment_url") if isinstance(status, Mapping) else None
            if isinstance(url, str) and url.startswith(("https://", "http://")):
                return url
    return None
