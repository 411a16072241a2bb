from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.internal.hub import Declined, Hub
from tests.internal.service import a_service
from toolgate.internal.actions import TEMPLATES, check
from toolgate.internal.trouble import Trouble
from toolgate.testing import a_call, a_tool

RUN = {"id": 7, "head_sha": "a" * 40, "html_url": "https://github.com/ada/engine/actions/runs/7"}


@dataclass
class Actions(Hub):
    """A hub with one workflow, `preview.yml`, whose runs go through `states`."""

    states: list[Mapping[str, Any]] = field(default_factory=lambda: [{"status": "completed", "conclusion": "success"}])
    urls: tuple[str | None, ...] = ("https://login.preview.example.org",)
    details: bool = True
    started: list[Mapping[str, Any]] = field(default_factory=list)

    def do_dispatch_workflow(self, *, workflow_id: str, ref: str, inputs: Mapping[str, Any], return_run_details: bool) -> Any:
        if workflow_id != "preview.yml":
            raise Declined(404, "Not Found")
        if "odd" in inputs:
            raise Declined(422, 'Unexpected inputs provided: ["odd"]')
        self.started.append({"ref": ref, **inputs})
        return {"workflow_run_id": 7, "html_url": RUN["html_url"]} if return_run_details and self.details else None

    def do_get_workflow_run(self, *, run_id: int) -> Any:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return {**RUN, "id": run_id, **state}

    def do_list_deployments(self, *, environment: str, sha: str, per_page: int) -> Any:
        return [{"id": 1, "sha": sha, "environment": environment}]

    def do_list_deployment_statuses(self, *, deployment_id: int, per_page: int) -> Any:
        return [{"id": 2, "state": "success", "environment_url": url} for url in self.urls]


WANTED: dict[str, Any] = {"workflow": "preview.yml", "ref": "login"}


@pytest.mark.parametrize("template", TEMPLATES)
async def test_a_template_becomes_a_pull_request_once(template: str) -> None:
    hub = Hub()
    service = a_service(hub)

    first = await service.post("/v1/actions/workflows", name="tests.yml", template=template)
    second = await service.post("/v1/actions/workflows", name="tests.yml", template=template)

    assert (first[0], first[1]["status"], second[1]["status"]) == (200, "created", "existing")
    assert (first[1]["path"], first[1]["branch"], first[1]["remarks"]) == (".github/workflows/tests.yml", "workflow-tests", [])
    assert second[1]["number"] == first[1]["number"]


@pytest.mark.parametrize("content", ["a: [", "- a", "on: push", "on: push\njobs: {}", "on: push\njobs: {a: {steps: []}}"])
async def test_what_is_no_workflow_is_refused_before_anything_is_written(content: str) -> None:
    hub = Hub()

    status, answer = await a_service(hub).post("/v1/actions/workflows", name="x.yml", content=content)

    assert (status, answer["code"]) == (422, "not_a_workflow")
    assert hub.writes() == []


def test_a_reviewer_is_told_what_to_look_at() -> None:
    remarks = check("on: [pull_request_target]\njobs: {a: {runs-on: x, steps: [{uses: some/action@main}]}}")

    assert [word for remark in remarks for word in ("permissions", "pull_request_target", "some/action@main") if word in remark] == [
        "permissions",
        "pull_request_target",
        "some/action@main",
    ]
    with pytest.raises(Trouble, match="neither `runs-on` nor `uses`"):
        check("on: push\njobs: {a: {}}")


async def test_a_preview_is_started_awaited_and_found() -> None:
    hub = Actions()

    status, answer = await a_service(hub).post("/v1/actions/previews", **WANTED, inputs={"size": "small"})

    assert status == 200
    assert answer == {
        "status": "succeeded",
        "run_id": 7,
        "run_url": RUN["html_url"],
        "conclusion": "success",
        "environment": "preview",
        "preview_url": "https://login.preview.example.org",
    }
    assert hub.started == [{"ref": "login", "size": "small"}]


@pytest.mark.parametrize(
    ("state", "status"),
    [({"status": "completed", "conclusion": "failure"}, "failed"), ({"status": "in_progress", "conclusion": None}, "running")],
)
async def test_a_run_that_failed_or_is_under_way_has_no_preview_and_can_be_asked_after(state: Mapping[str, Any], status: str) -> None:
    hub = Actions(states=[state])
    call = a_call(a_tool(timeout=5.0))  # too short to wait for anything

    first = await a_service(hub).post("/v1/actions/previews", call, **WANTED)
    again = await a_service(hub).post("/v1/actions/previews", call, **WANTED, run_id=7)

    assert [one["status"] for _, one in (first, again)] == [status, status]
    assert [one["preview_url"] for _, one in (first, again)] == [None, None]
    assert len(hub.started) == 1


@pytest.mark.parametrize(
    ("hub", "changes", "status", "code"),
    [
        (Actions(), {"workflow": "none.yml"}, 404, "unknown_workflow"),
        (Actions(), {"inputs": {"odd": 1}}, 422, "not_dispatchable"),
        (Actions(details=False), {}, 502, "run_unknown"),
    ],
)
async def test_what_cannot_be_started_says_what_would_work(hub: Actions, changes: Mapping[str, Any], status: int, code: str) -> None:
    answered, answer = await a_service(hub).post("/v1/actions/previews", **{**WANTED, **changes})

    assert (answered, answer["code"]) == (status, code)


async def test_an_address_that_is_none_is_not_given() -> None:
    _, answer = await a_service(Actions(urls=(None, "javascript:alert(1)"))).post("/v1/actions/previews", **WANTED)

    assert answer["preview_url"] is None
