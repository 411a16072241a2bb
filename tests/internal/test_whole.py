"""The whole way: our own tool, called through the gate, calls GitHub's tools through the gate, over HTTP."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.internal.hub import Hub
from tests.internal.service import WHERE
from toolgate import documents
from toolgate.app import App, open_app
from toolgate.calls import Outcome, Principal, Question
from toolgate.settings import Settings, bundled
from toolgate.standin import serving
from toolgate.testing import a_principal

ADMIN = a_principal("admin")
TASKS: dict[str, Any] = {
    "batch": "login",
    "issues": [
        # Over the 64 KiB of an answer that a model is shown, together with what else GitHub says of it.
        {"key": "form", "title": "Build the form", "body": "ü" * 60_000, "related": ["api"]},
        {"key": "api", "title": "Check passwords", "depends_on": ["form"], "parent": "epic"},
        {"key": "epic", "title": "Login"},
    ],
}


@asynccontextmanager
async def an_app(folder: Path, hub: Hub, policies: Path | None = None) -> AsyncIterator[App]:
    """The bundled integrations `github` and `internal`, GitHub's led to `hub` on loopback."""
    async with serving(hub.app()) as url:
        specs = folder / "tool-specs"
        for name in ("github", "internal"):
            shutil.copytree(bundled("tool-specs") / name, specs / name)
        file = specs / "github" / "integration.yaml"
        declaration = documents.parse(file.read_bytes(), name="integration.yaml")
        declaration |= {"base_url": url, "servers": [], "auth": {"type": "none"}, "allow_networks": ["127.0.0.0/8"]}
        file.write_text(json.dumps(declaration))
        async with open_app(Settings(tool_specs=(specs,), data_dir=folder / "state", store="memory", policies=policies)) as app:
            yield app


async def call(app: App, name: str, principal: Principal = ADMIN, **arguments: Any) -> Outcome:
    return await app.gateway.call(f"internal_{name}", {**WHERE, **arguments}, principal)


async def audited(app: App) -> list[Mapping[str, Any]]:
    """What was written of calls, oldest first."""
    return [entry.body for entry in reversed(await app.stores.journal.read("audit")) if entry.body["type"].startswith("call.")]


async def test_a_task_list_becomes_issues_once_and_every_inner_call_is_audited_below_it(tmp_path: Path) -> None:
    hub = Hub()
    async with an_app(tmp_path, hub) as app:
        first = await call(app, "create_issues", **TASKS)
        lines = await audited(app)
        second = await call(app, "create_issues", **TASKS)

    assert first.problem is None
    assert first.structured["counts"] == {"created": 3, "existing": 0, "planned": 0, "failed": 0, "skipped": 0}
    assert {link["status"] for item in first.structured["issues"] for link in item["links"]} == {"linked"}
    assert second.structured["counts"] == {"created": 0, "existing": 3, "planned": 0, "failed": 0, "skipped": 0}
    assert (len(hub.issues), hub.blockers) == (3, {2: [1]})
    [outer] = {line["call"] for line in lines if line["tool"]["name"] == "internal_create_issues"}
    inner = [line for line in lines if line["tool"]["name"].startswith("github_")]
    assert {line["tool"]["name"] for line in inner} == {
        "github_list_issues",
        "github_create_issue",
        "github_add_issue_blocker",
        "github_add_sub_issue",
        "github_update_issue",
    }
    assert {(line["depth"], line["parent"], line["principal"]["id"]) for line in inner} == {(1, outer, "local:ada")}


async def test_what_needs_a_yes_is_refused_before_github_hears_of_it(tmp_path: Path) -> None:
    hub = Hub()
    async with an_app(tmp_path, hub) as app:
        outcome = await call(app, "create_issues", a_principal("developer"), **TASKS)

    assert (outcome.refused, hub.calls) == (True, [])


async def test_one_yes_to_our_tool_covers_the_calls_that_it_makes(tmp_path: Path) -> None:
    hub, developer = Hub(), a_principal("developer")
    asked: list[Question] = []

    async def yes(question: Question) -> bool:
        asked.append(question)
        return True

    async with an_app(tmp_path, hub) as app:
        outcome = await app.gateway.call("internal_create_issues", {**WHERE, **TASKS}, developer, ask=yes)
        writes = [line for line in await audited(app) if line["tool"]["name"] == "github_create_issue" and line["type"] == "call.intent"]

    assert outcome.problem is None
    assert outcome.structured["counts"]["created"] == 3
    assert [line["approval"] for line in writes] == [asked[0].id] * 3
    assert len(asked) == 1


async def test_who_may_call_our_tool_and_not_githubs_gets_the_gates_refusal_for_each_item(tmp_path: Path) -> None:
    hub, policies = Hub(), tmp_path / "policies"
    shutil.copytree(bundled("policies"), policies)
    permission = {"id": "clerk.lists", "tools": "internal_create_issues", "operations": ["call"]}
    (policies / "roles" / "clerk.yaml").write_text(json.dumps({"role": "clerk", "inherits": ["developer"], "permissions": [permission]}))
    async with an_app(tmp_path, hub, policies) as app:
        outcome = await call(app, "create_issues", a_principal("clerk"), **TASKS)

    assert outcome.problem is None
    assert outcome.structured["counts"]["failed"] == 3
    assert {(item["error"]["code"], item["error"]["tool"]) for item in outcome.structured["issues"]} == {
        ("approval_needed", "github_create_issue")
    }
    assert hub.writes() == []


async def test_files_become_a_pull_request_that_is_reviewed_and_listed(tmp_path: Path) -> None:
    hub = Hub()
    hub.patches = [{"filename": "web/login.html", "patch": "@@ -0,0 +1 @@\n+<form></form>"}]
    files = [{"path": "web/login.html", "content": "<form></form>\n"}, {"path": "README.md", "content": None}]
    remarks = [{"path": "web/login.html", "line": 1, "body": "Label it."}, {"path": "web/login.html", "line": 9, "body": "Where?"}]
    async with an_app(tmp_path, hub) as app:
        pull = await call(app, "create_pull_request", branch="feature/login", title="Login", files=files, labels=["login"])
        review = await call(app, "review_pull_request", number=1, verdict="comment", summary="Fine.", comments=remarks)
        hub.do_create_issue(title="An issue", labels=["a b", "c"])
        changed = await call(app, "update_issue", number=2, state="closed", reason="completed", comment="Done.")
        listed = await call(app, "list_issues", state="closed", labels=["a b", "c"], limit=5)

    assert (pull.problem, review.problem, changed.problem, listed.problem) == (None, None, None, None)
    assert hub.files("feature/login") == {"web/login.html": ("100644", "<form></form>\n")}
    assert [comment["status"] for comment in review.structured["comments"]] == ["placed", "moved"]
    assert changed.structured["changed"] == ["state", "comment"]
    assert [issue["number"] for issue in listed.structured["issues"]] == [2]


async def test_a_contradiction_comes_back_as_a_problem_that_says_what_would_work(tmp_path: Path) -> None:
    async with an_app(tmp_path, Hub()) as app:
        outcome = await call(app, "create_issues", batch="b", issues=[{"key": "a", "title": "A", "depends_on": ["z"]}])

    assert outcome.problem is not None
    assert "'a' names 'z' in depends_on, which no issue of the list has as its key" in outcome.problem.message
