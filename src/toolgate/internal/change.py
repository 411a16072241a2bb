"""update_issue: single labels and assignees come and go, the rest stays; a comment is left once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolgate.internal.github import GitHub
from toolgate.internal.issue import Issue, folded, read_issue, without
from toolgate.internal.marker import digest, kept, marked, named
from toolgate.internal.trouble import Trouble

REASONS = {"completed": "closed", "not_planned": "closed", "reopened": "open"}
ADDRESS = frozenset({"owner", "repo", "number", "key", "dry_run", "reason"})
"""What is sent with every change and is none."""
FIELDS = ("title", "body", "state", "milestone", "labels", "assignees")


async def update_issue(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the change contradicts itself, the issue cannot be read, or nothing of the change could be done.
    """
    check(asked)
    number = asked["number"]
    issue = read_issue(await github.ask("get_issue", issue_number=number), "get_issue")
    wanted = planned(issue, asked)
    written = await _written(github, number, asked)
    if asked.get("dry_run"):
        would = [*wanted, *(["comment"] if "comment" in asked and written is None else [])]
        return _result("planned" if would else "unchanged", issue, would, written, [])
    troubles: list[Trouble] = []
    changed: list[str] = []
    if "comment" in asked and written is None:
        try:
            written = await _comment(github, number, asked)
            changed.append("comment")
        except Trouble as trouble:
            troubles.append(trouble)
    if wanted:
        try:
            issue = read_issue(await github.ask("update_issue", issue_number=number, **request(wanted, asked)), "update_issue")
            ignored = left_as_it_was(wanted, issue)
            changed = [*(field for field in wanted if field not in ignored), *changed]
            troubles += [_ignored(field) for field in ignored]
        except Trouble as trouble:
            troubles.append(trouble)
    if troubles and not changed:
        raise troubles[0]
    return _result("changed" if changed else "unchanged", issue, changed, written, troubles)


def check(asked: Mapping[str, Any]) -> None:
    """
    Raises:
        Trouble: the change contradicts itself, or is none.
    """
    if not asked.keys() - ADDRESS:
        raise Trouble("nothing_asked", "no change is named; give a title, body, state, milestone, labels, assignees or a comment")
    reason = asked.get("reason")
    if reason is not None and asked.get("state") != REASONS[reason]:
        raise Trouble("contradiction", f"the reason {reason} goes with the state {REASONS[reason]}; give both or neither")
    for what in ("labels", "assignees"):
        both = folded(asked.get(f"add_{what}", ())) & folded(asked.get(f"remove_{what}", ()))
        if both:
            raise Trouble("contradiction", f"add_{what} and remove_{what} name the same; each {what[:-1]} either comes or goes")


def planned(issue: Issue, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is not yet as it was asked for, by field."""
    wanted = {field: asked[field] for field in ("title", "state", "milestone") if field in asked}
    if "body" in asked:
        wanted["body"] = kept(issue.body, asked["body"])
    for field, now in (("labels", issue.labels), ("assignees", issue.assignees)):
        wanted[field] = [*without(now, asked.get(f"remove_{field}", ())), *without(asked.get(f"add_{field}", ()), now)]
    return {field: wanted[field] for field in FIELDS if field in wanted and not _equal(wanted[field], getattr(issue, field))}


def request(wanted: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted` as github_update_issue takes it."""
    return {**wanted, "state_reason": asked["reason"]} if "state" in wanted and "reason" in asked else dict(wanted)


def left_as_it_was(wanted: Mapping[str, Any], issue: Issue) -> list[str]:
    """The fields that GitHub took and did not change."""
    return [field for field, value in wanted.items() if not _equal(value, getattr(issue, field))]


def _equal(wanted: Any, now: Any) -> bool:
    if isinstance(now, tuple):
        return folded(wanted) == folded(now)
    if isinstance(wanted, str) and isinstance(now, str):  # GitHub may keep the line ends of a browser
        return wanted.replace("\r\n", "\n").strip() == now.replace("\r\n", "\n").strip()
    return bool(wanted == now)


def _mark(asked: Mapping[str, Any]) -> str:
    return named("comment", asked.get("key") or digest(asked["comment"]))


async def _written(github: GitHub, number: int, asked: Mapping[str, Any]) -> str | None:
    """The URL of the comment, if an earlier call left it."""
    if "comment" not in asked:
        return None
    async for page in github.pages("list_issue_comments", issue_number=number):
        for comment in page:
            if _mark(asked) in (comment.get("body") or ""):
                return str(comment.get("html_url"))
    return None


async def _comment(github: GitHub, number: int, asked: Mapping[str, Any]) -> str | None:
    answer = await github.ask("add_issue_comment", issue_number=number, body=marked(asked["comment"], _mark(asked)))
    return answer.get("html_url") if isinstance(answer, Mapping) else None


def _ignored(field: str) -> Trouble:
    why = "may not be assignable here" if field == "assignees" else "may lack the right to push"
    who = "some of them" if field == "assignees" else "the token"
    return Trouble("ignored", f"GitHub accepted the change of {field} and did not make it all: {who} {why}", tool="github_update_issue")


def _result(status: str, issue: Issue, changed: list[str], comment: str | None, troubles: list[Trouble]) -> dict[str, Any]:
    return {
        "status": status,
        "number": issue.number,
        "url": issue.url,
        "changed": changed,
        "comment_url": comment,
        "problems": [trouble.as_json() for trouble in troubles],
    }
