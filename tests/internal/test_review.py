"""review_pull_request: one review, of which no remark is lost to a wrong line."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.internal.hub import SITE, Fault, Hub
from tests.internal.service import a_service
from toolgate.internal.review import Placed, Remark, on_line, summary

REVIEW = "/v1/pull-requests:review"
PATCH = "@@ -1,2 +1,3 @@\n one\n-two\n+zwei\n+drei"


def a_hub(**more: Any) -> Hub:
    """One open pull request, number 1, of the file `a.py`."""
    hub = Hub(**more)
    hub.refs["fix"] = hub._commit(hub._tree({}), [hub.refs["main"]])
    hub.do_create_pull_request(title="Fix", head="fix", base="main")
    hub.patches = [{"filename": "a.py", "patch": PATCH}, {"filename": "logo.png"}]
    return hub


def asked(**more: Any) -> dict[str, Any]:
    return {"number": 1, "verdict": "request_changes", "summary": "Nearly.", "key": "r1", **more}


def result(hub: Hub, status: str, review: int | None = 80, comments: list[Any] | None = None) -> dict[str, Any]:
    url = review and f"{SITE}/pull/1#pullrequestreview-{review}"
    return {"status": status, "review_id": review, "url": url, "commit": hub.refs["fix"], "comments": comments or []}


def test_a_remark_goes_to_its_line_with_its_suggestion() -> None:
    assert on_line(Remark("a.py", 3, "Why?")) == {"path": "a.py", "line": 3, "side": "RIGHT", "body": "Why?"}
    assert on_line(Remark("a.py", 2, "Why?", side="old")) == {"path": "a.py", "line": 2, "side": "LEFT", "body": "Why?"}
    assert on_line(Remark("a.py", 3, "So:", start=2, suggestion="x = 1")) == {
        "path": "a.py",
        "line": 3,
        "side": "RIGHT",
        "body": "So:\n\n```suggestion\nx = 1\n```",
        "start_line": 2,
        "start_side": "RIGHT",
    }
    assert on_line(Remark("a.py", 3, "So:", suggestion="```\n"))["body"] == "So:\n\n````suggestion\n```\n````"
    assert on_line(Remark("a.py", 3, "Delete:", suggestion=""))["body"] == "Delete:\n\n```suggestion\n```"


def test_a_remark_that_has_no_line_stands_in_the_summary() -> None:
    placed = [Placed(Remark("a.py", 3, "Here")), Placed(Remark("b.py", 9, "There", start=7, suggestion="x"), "the file is not in the diff")]

    assert summary("Nearly.\n", placed) == "Nearly.\n\n**`b.py`, lines 7-9**\n\nThere\n\n```text\nx\n```"
    assert summary("", placed[:1]) == ""


async def test_remarks_are_placed_or_moved_and_one_review_is_submitted() -> None:
    hub = a_hub()
    comments = [
        {"path": "a.py", "line": 2, "body": "German?", "suggestion": "two"},
        {"path": "a.py", "line": 9, "body": "Too far"},
        {"path": "a.py", "line": 2, "side": "old", "body": "Was good"},
        {"path": "logo.png", "line": 1, "body": "Blurred"},
        {"path": "b.py", "line": 1, "body": "Elsewhere"},
    ]

    status, answer = await a_service(hub).post(REVIEW, **asked(comments=comments))

    def told(path: str, line: int, reason: str | None = None) -> dict[str, Any]:
        return {"path": path, "line": line, "status": "moved" if reason else "placed", "reason": reason}

    assert (status, answer) == (
        200,
        result(
            hub,
            "submitted",
            comments=[
                told("a.py", 2),
                told("a.py", 9, "line 9 is not in the diff, which shows lines 1-3"),
                told("a.py", 2),
                told("logo.png", 1, "line 1 is not in the diff, which shows no lines"),
                told("b.py", 1, "the file is not in the diff"),
            ],
        ),
    )
    [review] = hub.reviews
    assert (review["state"], review["commit_id"]) == ("REQUEST_CHANGES", hub.refs["fix"])
    assert review["comments"] == [
        {"path": "a.py", "line": 2, "side": "RIGHT", "body": "German?\n\n```suggestion\ntwo\n```"},
        {"path": "a.py", "line": 2, "side": "LEFT", "body": "Was good"},
    ]
    assert review["body"] == (
        "Nearly.\n\n**`a.py`, line 9**\n\nToo far\n\n**`logo.png`, line 1**\n\nBlurred\n\n**`b.py`, line 1**\n\nElsewhere"
        "\n\n<!-- toolgate-review:r1 -->"
    )


async def test_the_same_review_is_submitted_once_a_commit() -> None:
    hub = a_hub()
    service = a_service(hub)

    first = await service.post(REVIEW, **asked())
    again = await service.post(REVIEW, **asked())
    hub.pulls[1]["head"]["sha"] = hub.refs["fix"] = "a" * 40
    newer = await service.post(REVIEW, **asked())

    assert (first[1]["status"], again[1]["status"], newer[1]["status"]) == ("submitted", "existing", "submitted")
    assert [review["commit_id"] for review in hub.reviews] == [first[1]["commit"], "a" * 40]


async def test_without_a_key_the_content_tells_reviews_apart() -> None:
    hub = a_hub()
    service = a_service(hub)

    for text in ("One.", "One.", "Two."):
        await service.post(REVIEW, number=1, verdict="comment", summary=text)

    assert [review["body"].partition("\n")[0] for review in hub.reviews] == ["One.", "Two."]


async def test_an_approval_needs_no_words() -> None:
    hub = a_hub()

    assert await a_service(hub).post(REVIEW, number=1, verdict="approve") == (200, result(hub, "submitted"))
    assert hub.reviews[0]["state"] == "APPROVE"


async def test_a_dry_run_submits_nothing() -> None:
    hub = a_hub()

    assert await a_service(hub).post(REVIEW, **asked(dry_run=True)) == (200, result(hub, "planned", None))
    assert hub.reviews == []


async def test_remarks_that_github_does_not_take_on_lines_move_into_the_summary() -> None:
    hub = a_hub()

    _, answer = await a_service(hub).post(REVIEW, **asked(comments=[{"path": "a.py", "line": 3, "body": "unresolvable"}]))

    assert answer["comments"] == [{"path": "a.py", "line": 3, "status": "moved", "reason": "GitHub did not take the remarks on lines"}]
    assert [(review["comments"], "unresolvable" in review["body"]) for review in hub.reviews] == [([], True)]


async def test_a_newer_commit_than_the_one_that_was_read_is_a_conflict() -> None:
    hub = a_hub()

    status, problem = await a_service(hub).post(REVIEW, **asked(expected_head="b" * 40))

    assert (status, problem["code"], hub.reviews) == (409, "moved_on", [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"summary": None},
        {"comments": [{"path": "a.py", "line": 1, "start_line": 2, "body": "x"}]},
        {"comments": [{"path": "a.py", "line": 1, "side": "old", "body": "x", "suggestion": "y"}]},
    ],
)
async def test_a_review_that_contradicts_itself_is_refused_unread(wrong: dict[str, Any]) -> None:
    hub = a_hub()
    sent = {name: value for name, value in asked(**wrong).items() if value is not None}

    status, _ = await a_service(hub).post(REVIEW, **sent)

    assert (status, hub.calls) == (422, [])


FAULTS = st.lists(st.sampled_from([None, None, "refused", "limited", "before", "after"]), max_size=15)


@settings(max_examples=100, deadline=None)
@given(FAULTS)
def test_sent_until_done_there_is_one_review(faults: list[Fault | None]) -> None:
    hub = a_hub(fault=lambda at, tool: faults[at] if at < len(faults) else None)

    async def send_until_done() -> None:
        service = a_service(hub)
        for _ in range(30):
            status, _ = await service.post(REVIEW, **asked(comments=[{"path": "a.py", "line": 3, "body": "x"}]))
            if status == 200:
                return
        raise AssertionError("never done")

    anyio.run(send_until_done)

    assert len(hub.reviews) == 1
