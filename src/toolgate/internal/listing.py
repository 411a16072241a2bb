"""list_issues: one short line an issue, with the batch and key that create_issues gave it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from toolgate.internal.github import PAGES, GitHub
from toolgate.internal.issue import Issue, is_pull_request, read_issue
from toolgate.internal.trouble import Trouble

LIMIT = 50
"""Issues to return where nobody says how many; the description's default."""
NUMBERS = frozenset({"limit", "milestone"})
LISTS = frozenset({"labels"})


class Cursor(NamedTuple):
    """Where the next entry stands in GitHub's list."""

    page: int = 1
    entry: int = 0

    def __str__(self) -> str:
        return f"{self.page}.{self.entry}"


def asked_in_query(query: Mapping[str, str]) -> dict[str, Any]:
    """A query as the values that its description gives types to."""
    return {name: int(text) if name in NUMBERS else text.split(",") if name in LISTS else text for name, text in query.items()}


async def list_issues(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the list cannot be read, or the cursor is none of ours.
    """
    start = read_cursor(asked["cursor"]) if "cursor" in asked else Cursor()
    limit = asked.get("limit", LIMIT)
    found: list[dict[str, Any]] = []
    at = start.page
    async for page in github.pages("list_issues", first=start.page, **filters(asked)):
        for entry, answer in enumerate(page):
            if at == start.page and entry < start.entry:
                continue
            if len(found) == limit:
                return {"issues": found, "next_cursor": str(Cursor(at, entry))}
            issue = read_issue(answer, "list_issues")
            if not is_pull_request(answer) and asked.get("batch") in (None, issue.marker and issue.marker.batch):
                found.append(line(issue))
        at += 1
    # So many pages were read and not one more: there may be others.
    return {"issues": found, "next_cursor": str(Cursor(at)) if at - start.page == PAGES else None}


def read_cursor(text: str) -> Cursor:
    found = re.fullmatch(r"([1-9]\d{0,5})\.(\d{1,3})", text)
    if found is None:
        raise Trouble("unknown_cursor", "cursor is not one of ours; send next_cursor of the answer before, or none to start anew")
    return Cursor(int(found[1]), int(found[2]))


def filters(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of github_list_issues."""
    wanted: dict[str, Any] = {"state": asked.get("state", "open"), "sort": "updated", "direction": "desc"}
    wanted |= {"labels": ",".join(asked["labels"])} if asked.get("labels") else {}
    wanted |= {"assignee": asked["assignee"]} if "assignee" in asked else {}
    wanted |= {"milestone": str(asked["milestone"])} if "milestone" in asked else {}
    return wanted


def line(issue: Issue) -> dict[str, Any]:
    """The description's `ListedIssue`."""
    marker = issue.marker
    return {
        "number": issue.number,
        "title": issue.title,
        "state": issue.state,
        "url": issue.url,
        "labels": list(issue.labels),
        "assignees": list(issue.assignees),
        "milestone": (issue.said.get("milestone") or {}).get("title"),
        "comments": issue.said.get("comments", 0),
        "updated_at": issue.said.get("updated_at"),
        "batch": marker.batch if marker else None,
        "key": marker.key if marker else None,
    }
