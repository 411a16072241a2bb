"""update_issue: what is named changes, the rest stays, and a comment is left once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.internal.hub import SITE, Hub
from tests.internal.service import a_service
from toolgate.internal.change import planned, request
from toolgate.internal.issue import Issue

UPDATE = "/v1/issues:update"
NOW = Issue(
    number=12, id=1012, url="u", title="Old", body="Text\r\n\n<!-- toolgate:b/a -->", labels=("Bug", "p1"), assignees=("ada",), milestone=3
)


def a_hub() -> Hub:
    hub = Hub()
    hub.do_create_issue(title="Old", body="Text\n\n<!-- toolgate:b/a -->", labels=["Bug", "p1"], assignees=["ada"], milestone=3)
    return hub


def result(status: str, *changed: str, comment: str | None = None, problems: list[Any] | None = None) -> dict[str, Any]:
    url = f"{SITE}/issues/1"
    return {
        "status": status,
        "number": 1,
        "url": url,
        "changed": list(changed),
        "comment_url": comment and f"{url}#issuecomment-{comment}",
        "problems": problems or [],
    }


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({"title": "Old", "state": "open", "milestone": 3, "body": "Text"}, {}),
        ({"title": "New"}, {"title": "New"}),
        ({"body": "New"}, {"body": "New\n\n<!-- toolgate:b/a -->"}),
        ({"milestone": None}, {"milestone": None}),
        ({"add_labels": ["bug", "new"], "remove_labels": ["P1", "unset"]}, {"labels": ["Bug", "new"]}),
        ({"add_labels": ["BUG"], "remove_labels": ["unset"]}, {}),
        ({"remove_assignees": ["Ada"]}, {"assignees": []}),
        ({"add_assignees": ["grace"], "comment": "Hello"}, {"assignees": ["ada", "grace"]}),
    ],
)
def test_only_what_is_not_so_yet_is_written(asked: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert planned(NOW, asked) == wanted


def test_a_reason_goes_along_only_where_the_state_changes() -> None:
    closing = {"state": "closed", "reason": "not_planned"}

    assert request(planned(NOW, closing), closing) == {"state": "closed", "state_reason": "not_planned"}
    assert request({"title": "New"}, closing) == {"title": "New"}


async def test_an_issue_is_commented_and_closed_and_the_second_time_nothing_happens() -> None:
    hub = a_hub()
    service = a_service(hub)
    asked: dict[str, Any] = {"number": 1, "state": "closed", "reason": "completed", "add_labels": ["shipped"], "comment": "Done."}

    first = await service.post(UPDATE, **asked)
    second = await service.post(UPDATE, **asked)

    assert first == (200, result("changed", "state", "labels", "comment", comment="901"))
    assert second == (200, result("unchanged", comment="901"))
    assert hub.writes() == ["add_issue_comment", "update_issue"]
    changes = {"state": "closed", "state_reason": "completed", "labels": ["Bug", "p1", "shipped"]}
    assert hub.calls[3] == ("update_issue", {"owner": "ada", "repo": "engine", "issue_number": 1, **changes})
    assert hub.comments[0][1]["body"].startswith("Done.\n\n<!-- toolgate-comment:")


async def test_the_same_key_never_comments_twice_and_another_does() -> None:
    hub = a_hub()
    service = a_service(hub)

    for key, text in (("one", "Hello"), ("one", "Hello again"), ("two", "Hello")):
        await service.post(UPDATE, number=1, comment=text, key=key)

    assert [comment["body"] for _, comment in hub.comments] == [
        "Hello\n\n<!-- toolgate-comment:one -->",
        "Hello\n\n<!-- toolgate-comment:two -->",
    ]


async def test_a_dry_run_writes_nothing_and_tells_what_would_change() -> None:
    hub = a_hub()
    service = a_service(hub)

    assert await service.post(UPDATE, number=1, title="New", comment="Why", dry_run=True) == (200, result("planned", "title", "comment"))
    assert await service.post(UPDATE, number=1, title="Old", dry_run=True) == (200, result("unchanged"))
    assert hub.writes() == []


async def test_what_github_silently_left_as_it_was_is_not_called_changed() -> None:
    hub = a_hub()

    _, answer = await a_service(hub).post(UPDATE, number=1, title="New", add_assignees=["stranger"])

    message = "GitHub accepted the change of assignees and did not make it all: some of them may not be assignable here"
    problem = {"code": "ignored", "message": message, "tool": "github_update_issue"}
    assert answer == result("changed", "title", problems=[problem])


async def test_a_comment_that_fails_does_not_keep_the_rest_from_being_done() -> None:
    hub = a_hub()
    hub.fault = lambda at, tool: "refused" if tool == "add_issue_comment" else None

    status, answer = await a_service(hub).post(UPDATE, number=1, title="New", comment="Why")

    assert (status, answer["status"], answer["changed"]) == (200, "changed", ["title"])
    assert [problem["tool"] for problem in answer["problems"]] == ["github_add_issue_comment"]


async def test_where_nothing_could_be_done_the_refusal_is_the_answer() -> None:
    hub = a_hub()
    hub.fault = lambda at, tool: "refused" if tool == "update_issue" else None

    status, problem = await a_service(hub).post(UPDATE, number=1, title="New")

    assert (status, problem) == (
        403,
        {"code": "not_permitted", "message": "local:ada may not call github_update_issue", "tool": "github_update_issue"},
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"key": "one"},
        {"reason": "completed"},
        {"state": "open", "reason": "completed"},
        {"state": "closed", "reason": "reopened"},
        {"add_labels": ["Bug"], "remove_labels": ["bug"]},
        {"add_assignees": ["ada"], "remove_assignees": ["ada"]},
    ],
)
async def test_a_change_that_is_none_or_contradicts_itself_is_refused_unread(asked: dict[str, Any]) -> None:
    hub = a_hub()

    status, _ = await a_service(hub).post(UPDATE, number=1, **asked)

    assert (status, hub.calls) == (422, [])


async def test_an_issue_that_does_not_exist_is_said_to_be_missing() -> None:
    status, problem = await a_service(a_hub()).post(UPDATE, number=99, title="New")

    assert (status, problem["tool"]) == (404, "github_get_issue")
