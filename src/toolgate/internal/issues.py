"""create_issues: a task list becomes linked issues, each exactly once however often it is sent.

Every issue carries a hidden marker made of batch and key, in the same request that creates it, so there is no moment
at which an issue exists and is not known as ours. A call first reads the repository's list (search lags behind it)
and makes only what is missing; then it links, again only what is missing. Whatever breaks off is finished by the same
call sent again.

What is not promised: two processes that work on one batch at the same time may both find an issue missing and both make
it, since GitHub has no "create unless it exists"; within one process a lock stands before that (`locks.py`). An issue
is not found again once its marker is deleted, or once it is no longer among the newest 2,000 issues and pull requests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from toolgate.internal.batch import Batch, Item, check, ordered, read_batch, related
from toolgate.internal.github import GitHub
from toolgate.internal.issue import Issue, is_pull_request, read_issue
from toolgate.internal.linking import Linked, Linking
from toolgate.internal.marker import marked
from toolgate.internal.mention import with_mentions
from toolgate.internal.trouble import Trouble

Status = Literal["created", "existing", "planned", "failed", "skipped"]
STATUSES: tuple[Status, ...] = ("created", "existing", "planned", "failed", "skipped")


@dataclass(frozen=True, slots=True)
class Made:
    """How it went with one item, before links."""

    status: Status
    issue: Issue | None = None
    trouble: Trouble | None = None


async def create_issues(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: the list contradicts itself, or the repository cannot be read. Nothing was created then.
    """
    batch = read_batch(asked)
    check(batch)
    steps = 2 * len(batch.items)
    found, targets = await _look(github, batch)
    if batch.dry_run:
        there = {item.key: found.get(item.key) for item in batch.items}
        planned = {key: Made("existing" if issue else "planned", issue) for key, issue in there.items()}
        links = {item.key: tuple(Linked(link, "planned") for link in item.links) for item in batch.items}
        return report(batch, planned, links)
    made: dict[str, Made] = {}
    for item in ordered(batch.items):
        numbers = _numbers(batch, item, {key: one.issue for key, one in made.items()} | found | targets)
        made[item.key] = await _make(github, batch, item, found.get(item.key), numbers)
        await github.tell(len(made), steps, f"{item.key}: {made[item.key].status}")
    issues = {key: one.issue for key, one in made.items() if one.issue is not None}
    fresh = frozenset(key for key, one in made.items() if one.status == "created")
    linking = Linking(github, batch, issues | targets, fresh)
    return report(batch, made, await linking.link(lambda key, done: github.tell(len(made) + done, steps, f"{key}: linked")))


async def _look(github: GitHub, batch: Batch) -> tuple[dict[str, Issue], dict[str, Issue]]:
    """What exists already: issues of the batch by key, and those that links lead to by their `#number`."""
    wanted = {batch.marker(item): item.key for item in batch.items}
    found: dict[str, Issue] = {}
    seen: dict[int, Issue] = {}
    async for page in github.pages("list_issues", state="all", sort="created", direction="desc"):
        for answer in page:
            issue = read_issue(answer, "list_issues")
            seen[issue.number] = issue
            key = wanted.get(issue.marker) if issue.marker and not is_pull_request(answer) else None
            # Of two with one marker the older one counts: whatever links there are lead to it.
            if key is not None and (key not in found or issue.number < found[key].number):
                found[key] = issue
        if len(found) == len(wanted):
            break
    targets = {number: seen[number] for number in batch.external if number in seen}
    for number in batch.external:
        if number not in targets:
            targets[number] = await _target(github, number)
    return found, {f"#{number}": issue for number, issue in targets.items()}


async def _target(github: GitHub, number: int) -> Issue:
    try:
        return read_issue(await github.ask("get_issue", issue_number=number), "get_issue")
    except Trouble as trouble:
        if not trouble.absent:
            raise
        raise Trouble("unknown_target", f"there is no issue #{number} in {github.owner}/{github.repo} to link to") from None


def _numbers(batch: Batch, item: Item, known: Mapping[str, Issue | None]) -> tuple[int, ...]:
    """What the text shall mention, where all of it is known by now; else it is added later, in one line."""
    targets = [known.get(to) for to in related(batch.items).get(item.key, ())]
    numbers = tuple(issue.number for issue in targets if issue is not None)
    return numbers if len(numbers) == len(targets) else ()


async def _make(github: GitHub, batch: Batch, item: Item, found: Issue | None, mentions: tuple[int, ...]) -> Made:
    if found is not None:
        return Made("existing", found)
    body = with_mentions(marked(item.body, batch.marker(item)), {"Related": mentions})
    wanted: dict[str, Any] = {"title": item.title, "body": body}
    wanted |= {"labels": list(item.labels)} if item.labels else {}
    wanted |= {"assignees": list(item.assignees)} if item.assignees else {}
    wanted |= {"milestone": item.milestone} if item.milestone is not None else {}
    try:
        return Made("created", read_issue(await github.ask("create_issue", **wanted), "create_issue"))
    except Trouble as trouble:
        return Made("failed" if trouble.tried else "skipped", trouble=trouble)


def report(batch: Batch, made: Mapping[str, Made], links: Mapping[str, tuple[Linked, ...]]) -> dict[str, Any]:
    """The description's `BatchResult`."""
    counts = Counter(one.status for one in made.values())
    return {
        "dry_run": batch.dry_run,
        "counts": {status: counts[status] for status in STATUSES},
        "issues": [_result(item, made[item.key], links.get(item.key, ())) for item in batch.items],
    }


def _result(item: Item, made: Made, links: tuple[Linked, ...]) -> dict[str, Any]:
    return {
        "key": item.key,
        "status": made.status,
        "number": made.issue.number if made.issue else None,
        "url": made.issue.url if made.issue else None,
        "links": [linked.as_json() for linked in links],
        "error": made.trouble.as_json() if made.trouble else None,
    }
