"""review_pull_request: one review, of which no remark is lost to a wrong line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from toolgate.internal.diff import Shown, Side, shown
from toolgate.internal.github import GitHub, odd
from toolgate.internal.marker import digest, marked, named
from toolgate.internal.trouble import Trouble

EVENTS = {"approve": "APPROVE", "request_changes": "REQUEST_CHANGES", "comment": "COMMENT"}
SIDES: Mapping[Side, str] = {"new": "RIGHT", "old": "LEFT"}
FILE_PAGES = 30  # GitHub stops at 3,000 files


@dataclass(frozen=True, slots=True)
class Remark:
    path: str
    line: int
    body: str
    start: int | None = None
    """First line of a range; None: `line` alone."""
    side: Side = "new"
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A remark and where it goes."""

    remark: Remark
    reason: str | None = None
    """Why it moves into the summary; None: it stays at its line."""


async def review_pull_request(github: GitHub, asked: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        Trouble: what is asked for contradicts itself, there is a newer commit (409), or GitHub did not take the review.
    """
    remarks = read_remarks(asked)
    if asked["verdict"] != "approve" and "summary" not in asked:
        raise Trouble("summary_needed", f"the verdict {asked['verdict']} needs a summary; say in it what the author shall do")
    number, mark = asked["number"], named("review", asked.get("key") or _key(asked))
    head = await _head(github, number)
    if asked.get("expected_head", head) != head:
        message = f"#{number} has a newer commit than the one you read: {head}. Read the changes again, then review them"
        raise Trouble("moved_on", message, status=HTTPStatus.CONFLICT)
    placed = place(remarks, await _diff(github, number) if remarks else {})
    if (before := await _submitted(github, number, head, mark)) is not None:
        return _result("existing", before, head, placed)
    if asked.get("dry_run"):
        return _result("planned", {}, head, placed)
    try:
        return _result("submitted", await _submit(github, asked, head, mark, placed), head, placed)
    except Trouble as trouble:
        if not trouble.invalid or all(one.reason for one in placed):
            raise
        # GitHub counts the diff otherwise than its patches show. It has taken nothing, so all of it can be said in the summary.
        moved = [Placed(one.remark, one.reason or "GitHub did not take the remarks on lines") for one in placed]
        return _result("submitted", await _submit(github, asked, head, mark, moved), head, moved)


def read_remarks(asked: Mapping[str, Any]) -> list[Remark]:
    """
    Raises:
        Trouble: a range ends before it starts, or a suggestion is for deleted lines.
    """
    remarks = []
    for comment in asked.get("comments", ()):
        start, line = comment.get("start_line"), comment["line"]
        where = f"{comment['path']!r}, line {line}"
        if start is not None and start > line:
            raise Trouble("contradiction", f"{where}: start_line is {start}, after the line; a range goes from start_line to line")
        if "suggestion" in comment and comment.get("side") == "old":
            raise Trouble("contradiction", f"{where}: deleted lines cannot be replaced; make suggestions for the new side")
        start = None if start == line else start
        remarks.append(Remark(comment["path"], line, comment["body"], start, comment.get("side", "new"), comment.get("suggestion")))
    return remarks


def place(remarks: Iterable[Remark], files: Mapping[str, Mapping[Side, Shown]]) -> list[Placed]:
    """Each remark at its line, or in the summary where the diff does not show the line."""
    return [Placed(remark, _refusal(remark, files)) for remark in remarks]


def _refusal(remark: Remark, files: Mapping[str, Mapping[Side, Shown]]) -> str | None:
    if remark.path not in files:
        return "the file is not in the diff"
    return files[remark.path][remark.side].refusal(remark.start, remark.line, remark.side)


def summary(text: str, placed: Sequence[Placed]) -> str:
    """The summary with the remarks that have no line."""
    moved = [f"**{_where(one.remark)}**\n\n{one.remark.body}{_offer(one.remark, 'text')}" for one in placed if one.reason]
    return "\n\n".join([text.rstrip(), *moved]).strip()


def _where(remark: Remark) -> str:
    lines = f"lines {remark.start}-{remark.line}" if remark.start is not None else f"line {remark.line}"
    return f"`{remark.path}`, {'old ' if remark.side == 'old' else ''}{lines}"


def _offer(remark: Remark, language: str) -> str:
    """The suggestion as a block, whose fence is longer than any within it."""
    if remark.suggestion is None:
        return ""
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", remark.suggestion)), default=0))
    text = remark.suggestion if remark.suggestion.endswith("\n") or not remark.suggestion else f"{remark.suggestion}\n"
    return f"\n\n{fence}{language}\n{text}{fence}"


def on_line(remark: Remark) -> dict[str, Any]:
    """The remark as github_create_pull_request_review takes it."""
    side = SIDES[remark.side]
    start = {} if remark.start is None else {"start_line": remark.start, "start_side": side}
    return {"path": remark.path, "line": remark.line, "side": side, "body": remark.body + _offer(remark, "suggestion"), **start}


def _key(asked: Mapping[str, Any]) -> str:
    return digest(asked["verdict"], asked.get("summary", ""), asked.get("comments", ()))


async def _head(github: GitHub, number: int) -> str:
    answer = await github.ask("get_pull_request", pull_number=number)
    try:
        return str(answer["head"]["sha"])
    except (KeyError, TypeError):
        raise odd("get_pull_request", "a pull request") from None


async def _diff(github: GitHub, number: int) -> dict[str, Mapping[Side, Shown]]:
    files: dict[str, Mapping[Side, Shown]] = {}
    async for page in github.pages("list_pull_request_files", most=FILE_PAGES, pull_number=number):
        files |= {str(file.get("filename")): shown(file.get("patch")) for file in page}
    return files


async def _submitted(github: GitHub, number: int, head: str, mark: str) -> Mapping[str, Any] | None:
    """The review of this commit that carries the mark."""
    async for page in github.pages("list_pull_request_reviews", pull_number=number):
        for review in page:
            if review.get("commit_id") == head and mark in (review.get("body") or ""):
                return dict(review)
    return None


async def _submit(github: GitHub, asked: Mapping[str, Any], head: str, mark: str, placed: Sequence[Placed]) -> Mapping[str, Any]:
    wanted: dict[str, Any] = {
        "pull_number": asked["number"],
        "commit_id": head,
        "event": EVENTS[asked["verdict"]],
        "body": marked(summary(asked.get("summary", ""), placed), mark),
    }
    if lines := [on_line(one.remark) for one in placed if not one.reason]:
        wanted["comments"] = lines
    answer = await github.ask("create_pull_request_review", **wanted)
    return answer if isinstance(answer, Mapping) else {}


def _result(status: str, review: Mapping[str, Any], head: str, placed: Sequence[Placed]) -> dict[str, Any]:
    return {
        "status": status,
        "review_id": review.get("id"),
        "url": review.get("html_url"),
        "commit": head,
        "comments": [
            {"path": one.remark.path, "line": one.remark.line, "status": "moved" if one.reason else "placed", "reason": one.reason}
            for one in placed
        ],
    }
