"""list_issues: short lines, no pull requests, page by page."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.internal.hub import SITE, Hub
from tests.internal.service import ORIGIN, Service, a_service
from toolgate.egress.wire import Request
from toolgate.internal.listing import asked_in_query, filters
from toolgate.testing import a_call, a_tool

LIST = "/v1/issues"


def a_hub(issues: int, pulls: frozenset[int] = frozenset()) -> Hub:
    hub = Hub()
    for number in range(1, issues + 1):
        hub.do_create_issue(title=f"T{number}", body=f"<!-- toolgate:{'odd' if number % 2 else 'even'}/k{number} -->")
        if number in pulls:
            hub.issues[-1]["pull_request"] = {"url": "x"}
    return hub


async def numbers(service: Service, **query: str) -> tuple[list[int], str | None]:
    _, answer = await service.get(LIST, None, **query)
    return [issue["number"] for issue in answer["issues"]], answer["next_cursor"]


def test_a_query_becomes_values_and_then_the_arguments_of_the_tool() -> None:
    asked = asked_in_query({"state": "all", "labels": "bug,help wanted", "milestone": "3", "limit": "7", "assignee": "*"})

    assert asked == {"state": "all", "labels": ["bug", "help wanted"], "milestone": 3, "limit": 7, "assignee": "*"}
    assert filters(asked) == {
        "state": "all",
        "sort": "updated",
        "direction": "desc",
        "labels": "bug,help wanted",
        "milestone": "3",
        "assignee": "*",
    }
    assert filters({}) == {"state": "open", "sort": "updated", "direction": "desc"}


async def test_an_issue_is_one_short_line() -> None:
    hub = Hub()
    hub.do_create_issue(title="T", body="Long\n\n<!-- toolgate:b/a -->", labels=["bug"], assignees=["ada"], milestone=3)
    hub.do_create_issue(title="Other")

    _, answer = await a_service(hub).get(LIST)

    assert answer == {
        "issues": [
            {
                "number": 2,
                "title": "Other",
                "state": "open",
                "url": f"{SITE}/issues/2",
                "labels": [],
                "assignees": [],
                "milestone": None,
                "comments": 0,
                "updated_at": "2026-11-20T09:00:02Z",
                "batch": None,
                "key": None,
            },
            {
                "number": 1,
                "title": "T",
                "state": "open",
                "url": f"{SITE}/issues/1",
                "labels": ["bug"],
                "assignees": ["ada"],
                "milestone": "M3",
                "comments": 0,
                "updated_at": "2026-11-20T09:00:01Z",
                "batch": "b",
                "key": "a",
            },
        ],
        "next_cursor": None,
    }


async def test_only_issues_of_a_batch_are_listed_where_one_is_named() -> None:
    assert await numbers(a_service(a_hub(5, frozenset({3}))), batch="odd") == ([5, 1], None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 250), st.sets(st.integers(1, 250)), st.integers(1, 100))
def test_page_after_page_every_issue_comes_once_and_none_is_left_out(issues: int, pulls: set[int], limit: int) -> None:
    service = a_service(a_hub(issues, frozenset(pulls)))

    async def read() -> list[list[int]]:
        pages: list[list[int]] = []
        query: dict[str, str] = {}
        while True:
            page, cursor = await numbers(service, limit=str(limit), **query)
            pages.append(page)
            if cursor is None:
                return pages
            query = {"cursor": cursor}

    pages = anyio.run(read)

    assert [number for page in pages for number in page] == [number for number in range(issues, 0, -1) if number not in pulls]
    assert all(len(page) == limit for page in pages[:-1])


async def test_a_search_for_a_rare_batch_stops_after_a_bounded_number_of_pages_and_can_be_continued() -> None:
    hub = a_hub(2005)
    hub.issues[0]["body"] = "<!-- toolgate:rare/a -->"
    service = a_service(hub)

    first = await numbers(service, batch="rare")
    read = len(hub.calls)
    second = await numbers(service, batch="rare", cursor="21.0")

    assert (first, read) == (([], "21.0"), 20)
    assert second == ([1], None)


@pytest.mark.parametrize("cursor", ["0.1", "1", "1.x", "-1.0", "1.0.0", "99999999.0"])
async def test_a_cursor_that_is_none_of_ours_is_refused(cursor: str) -> None:
    hub = a_hub(1)

    status, problem = await a_service(hub).get(LIST, cursor=cursor)

    assert (status, problem["code"], hub.calls) == (422, "unknown_cursor", [])


async def test_a_limit_that_was_reached_is_told_with_the_time_to_come_back() -> None:
    service = a_service(Hub(fault=lambda at, tool: "limited"))

    status, problem = await service.get(LIST)
    response = await service.send(Request("GET", f"{ORIGIN}{LIST}?owner=ada&repo=engine"), a_call())

    assert (status, problem["code"], problem["retry_after"]) == (403, "limit_reached", 15.0)
    assert response.header("retry-after") == "15"


async def test_an_answer_that_is_no_list_has_failed() -> None:
    class Odd(Hub):
        def do_list_issues(self, **asked: Any) -> Any:
            return {"message": "maintenance"}

    status, problem = await a_service(Odd()).get(LIST, a_call(a_tool(timeout=5.0)))

    assert (status, problem) == (
        502,
        {"code": "upstream_failed", "message": "github_list_issues did not answer with a list", "tool": "github_list_issues"},
    )
