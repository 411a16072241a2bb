"""create_pull_request: from files to an open pull request, the branch being the name by which a repeat is known."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from toolgate.internal.commit import Wanted, push, tip_of
from toolgate.internal.files import read_changes
from toolgate.internal.github import GitHub, odd
from toolgate.internal.issue import without
from toolgate.internal.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Pull:
    """An open pull request, as far as it is used here."""

    number: int
    url: str
    body: str
    labels: tuple[str, ...]
    assignees: tuple[str, ...]
    reviewers: tuple[str, ...]


async def create_pull_request(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: what is asked for contradicts itself or does not exist, the branch moved on (409), or GitHub failed.
            Sent again, it goes on where it stopped.
    """
    changes = read_changes(asked.get("files", ()))
    branch, base = asked["branch"], asked.get("base") or await _default_branch(github)
    if branch == base:
        raise Trouble("contradiction", f"branch and base are both {branch!r}; give the changes a branch of their own")
    tip = await tip_of(github, branch)
    if tip is None and not changes:
        raise Trouble("unknown_branch", f"there is no branch {branch!r}; give files to make it, or a branch that exists")
    pull = await _open(github, branch, base) if tip else None
    if asked.get("dry_run"):
        return _result("planned", pull, branch, base, None, [])
    wanted = Wanted(branch, base, asked.get("commit_message", asked["title"]), changes)
    commit = await push(github, wanted, tip) if changes else None
    status = "existing"
    if pull is None:
        status, pull = await _create(github, branch, base, asked)
    return _result(status, pull, branch, base, commit, await _finish(github, pull, asked, again=status == "existing"))


async def _default_branch(github: GitHub) -> str:
    answer = await github.ask("get_repository")
    if not isinstance(answer, Mapping) or not isinstance(name := answer.get("default_branch"), str):
        raise odd("get_repository", "a repository")
    return name


async def _open(github: GitHub, branch: str, base: str) -> Pull | None:
    """The open pull request of the branch; GitHub allows one for each base."""
    async for page in github.pages("list_pull_requests", most=1, state="open", head=f"{github.owner}:{branch}", base=base):
        for answer in page:
            return _pull(answer, "list_pull_requests")
    return None


async def _create(github: GitHub, branch: str, base: str, asked: Mapping[str, Any]) -> tuple[str, Pull]:
    wanted: dict[str, Any] = {"title": asked["title"], "head": branch, "base": base, "body": closing(asked.get("body", ""), asked)}
    wanted |= {"draft": True} if asked.get("draft") else {}
    try:
        return "created", _pull(await github.ask("create_pull_request", **wanted), "create_pull_request")
    except Trouble as trouble:
        # Another process may have opened it since we looked.
        if not trouble.invalid or (pull := await _open(github, branch, base)) is None:
            raise
        return "existing", pull


def closing(body: str, asked: Mapping[str, Any]) -> str:
    """`body` with GitHub's words for those issues of `closes` that it does not close already."""
    numbers = [number for number in asked.get("closes", ()) if not _closes(body, number)]
    if not numbers:
        return body
    told = ", ".join(f"closes #{number}" for number in numbers)
    return f"{body.rstrip()}\n\n{told.capitalize()}".lstrip()


def _closes(body: str, number: int) -> bool:
    return re.search(rf"\b(close[sd]?|fix(e[sd])?|resolve[sd]?):?\s+#{number}(?!\w)", body, re.IGNORECASE) is not None


async def _finish(github: GitHub, pull: Pull, asked: Mapping[str, Any], *, again: bool) -> list[Trouble]:
    """Set what is not set yet; what could not be done."""
    troubles = []
    for step in (_set_body, _add_labels, _add_assignees, partial(_ask_reviewers, again=again)):
        try:
            await step(github, pull, asked)
        except Trouble as trouble:
            troubles.append(trouble)
    return troubles


async def _set_body(github: GitHub, pull: Pull, asked: Mapping[str, Any]) -> None:
    body = closing(pull.body, asked)
    if body != pull.body:
        await github.ask("update_pull_request", pull_number=pull.number, body=body)


async def _add_labels(github: GitHub, pull: Pull, asked: Mapping[str, Any]) -> None:
    if labels := without(asked.get("labels", ()), pull.labels):
        await github.ask("add_issue_labels", issue_number=pull.number, labels=labels)


async def _add_assignees(github: GitHub, pull: Pull, asked: Mapping[str, Any]) -> None:
    if not (logins := without(asked.get("assignees", ()), pull.assignees)):
        return
    answer = await github.ask("add_issue_assignees", issue_number=pull.number, assignees=logins)
    passed_over = without(logins, _logins(answer, "assignees"))
    if passed_over:
        message = f"{', '.join(passed_over)} cannot be assigned in {github.owner}/{github.repo}"
        raise Trouble("not_assignable", message, tool="github_add_issue_assignees")


async def _ask_reviewers(github: GitHub, pull: Pull, asked: Mapping[str, Any], *, again: bool) -> None:
    logins = without(asked.get("reviewers", ()), pull.reviewers)
    if logins and again:  # asking those who have answered would ask them anew
        async for page in github.pages("list_pull_request_reviews", pull_number=pull.number):
            logins = without(logins, [(review.get("user") or {}).get("login", "") for review in page])
    if logins:
        await github.ask("request_pull_request_reviewers", pull_number=pull.number, reviewers=logins)


def _logins(answer: Any, key: str) -> tuple[str, ...]:
    return tuple(user["login"] for user in answer.get(key) or ()) if isinstance(answer, Mapping) else ()


def _pull(answer: Any, tool: str) -> Pull:
    try:
        return Pull(
            number=int(answer["number"]),
            url=str(answer["html_url"]),
            body=answer.get("body") or "",
            labels=tuple(label["name"] for label in answer.get("labels") or ()),
            assignees=_logins(answer, "assignees"),
            reviewers=_logins(answer, "requested_reviewers"),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        raise odd(tool, "a pull request") from None


def _result(status: str, pull: Pull | None, branch: str, base: str, commit: str | None, troubles: list[Trouble]) -> dict[str, Any]:
    return {
        "status": status,
        "number": pull.number if pull else None,
        "url": pull.url if pull else None,
        "branch": branch,
        "base": base,
        "commit": commit,
        "problems": [trouble.as_json() for trouble in troubles],
    }
