from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.internal.theirs import Activepieces, N8n
from tests.internal.world import ADMIN, an_app, run
from toolgate.calls import Outcome
from toolgate.standin import serving

LOOPBACK = ["127.0.0.0/8"]


async def ran(folder: Path, service: N8n | Activepieces, workflow: dict[str, Any], **asked: Any) -> Outcome:
    async with serving(service.app()) as url:
        declared = {key: value.replace("URL", url) if isinstance(value, str) else value for key, value in workflow.items()}
        async with an_app(folder, workflows={"go": {**declared, "allow_networks": LOOPBACK}}) as app:
            return await run(app, "run_workflow", name="go", **asked)


N8N = {"kind": "n8n", "url": "URL/webhook/go", "headers": {"X-N8N-API-KEY": "key"}}
FOLLOWED = {**N8N, "status_url": "URL/api/v1/executions/{id}"}
PIECES = {"kind": "activepieces", "url": "URL/api/v1/webhooks/flow"}


@pytest.mark.parametrize(
    ("service", "workflow", "asked", "expected"),
    [
        (N8n(answer={"sum": 3}), N8N, {}, ("finished", None, {"sum": 3})),
        (N8n(), N8N, {}, ("started", None, {"message": "Workflow was started"})),
        (Activepieces(answer={"sum": 3}), PIECES, {}, ("finished", None, {"sum": 3})),
        (Activepieces(), PIECES, {}, ("started", None, None)),
        (Activepieces(), PIECES, {"wait": False}, ("started", None, {})),
    ],
)
async def test_what_a_webhook_answers_says_whether_it_has_ended(
    tmp_path: Path, service: N8n | Activepieces, workflow: dict[str, Any], asked: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    outcome = await ran(tmp_path, service, workflow, input={"a": 1}, **asked)

    assert outcome.problem is None
    assert tuple(outcome.structured[key] for key in ("status", "run", "output")) == expected
    assert service.started == [{"a": 1}]


@pytest.mark.parametrize(("ending", "status"), [("success", "finished"), ("error", "failed"), ("canceled", "failed")])
async def test_a_run_is_followed_to_its_end(tmp_path: Path, ending: str, status: str) -> None:
    outcome = await ran(tmp_path, N8n(answer={"executionId": 7}, status=ending, looks=1), FOLLOWED)

    assert (outcome.structured["status"], outcome.structured["run"]) == (status, "7")


async def test_a_run_of_before_is_asked_after_by_who_started_it_and_nothing_is_started(tmp_path: Path) -> None:
    service = N8n(answer={"executionId": 7}, looks=0)
    async with serving(service.app()) as url:
        declared = {key: value.replace("URL", url) if isinstance(value, str) else value for key, value in FOLLOWED.items()}
        async with an_app(tmp_path, workflows={"go": {**declared, "allow_networks": LOOPBACK}}) as app:
            await run(app, "run_workflow", name="go", wait=False)
            mine, hers = [await run(app, "run_workflow", who, name="go", run="7") for who in (ADMIN, replace(ADMIN, id="local:eve"))]
            nobodys = await run(app, "run_workflow", name="go", run="8")

    assert (mine.structured["status"], len(service.started)) == ("finished", 1)
    for other in (hers, nobodys):
        assert other.problem is not None
        assert "you have started no such run" in other.problem.message


async def test_a_run_that_takes_longer_than_the_time_is_still_running(tmp_path: Path) -> None:
    outcome = await ran(tmp_path, N8n(answer={"executionId": "x"}, looks=99), {**FOLLOWED, "seconds": 0.3})

    assert outcome.structured == {"status": "running", "run": "x", "output": None}


@pytest.mark.parametrize(
    ("service", "workflow", "asked", "said"),
    [
        (N8n(active=False), N8N, {}, "has to be published or active"),
        (N8n(answer={"executionId": 7}, key="other"), FOLLOWED, {}, "n8n answered 401"),
        (N8n(), FOLLOWED, {"run": "../../x"}, "run is the id"),
        (N8n(), N8N, {"run": "7"}, "has no status_url"),
    ],
)
async def test_what_goes_wrong_is_told(tmp_path: Path, service: N8n, workflow: dict[str, Any], asked: dict[str, Any], said: str) -> None:
    outcome = await ran(tmp_path, service, workflow, **asked)

    assert outcome.problem is not None
    assert said in outcome.problem.message


async def test_workflows_are_listed_with_what_they_do_and_others_are_unknown(tmp_path: Path) -> None:
    declared = {"go": {"kind": "n8n", "url": "https://n8n.example/webhook/go", "description": "Goes."}}
    async with an_app(tmp_path, workflows=declared) as app:
        listed, unknown = await run(app, "list_workflows"), await run(app, "run_workflow", name="stop")

    assert listed.structured == {"workflows": [{"name": "go", "kind": "n8n", "description": "Goes."}]}
    assert unknown.problem is not None
    assert "go would work" in unknown.problem.message
