"""Files onto a branch as one commit: tree, commit, and last the branch, so that nothing is seen half done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from toolgate.internal.files import Change, tree
from toolgate.internal.github import GitHub, odd
from toolgate.internal.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a branch stands."""

    commit: str
    tree: str


async def tip_of(github: GitHub, branch: str) -> Tip | None:
    """None: there is no such branch. Raises Trouble for any other reason."""
    try:
        answer = await github.ask("get_branch", branch=branch)
    except Trouble as trouble:
        if trouble.absent:
            return None
        raise
    try:
        return Tip(answer["commit"]["sha"], answer["commit"]["commit"]["tree"]["sha"])
    except (KeyError, TypeError):
        raise odd("get_branch", "a branch") from None


@dataclass(frozen=True, slots=True)
class Wanted:
    branch: str
    base: str
    message: str
    changes: tuple[Change, ...]


async def push(github: GitHub, wanted: Wanted, tip: Tip | None) -> str | None:
    """Make the branch hold the files.

    Args:
        tip: where the branch stands; None: it does not exist, and starts where the base stands.

    Returns:
        The commit that was made; None: the branch held them already.

    Raises:
        Trouble: there is no base, or the branch moved on meanwhile (409).
    """
    start = tip or await tip_of(github, wanted.base)
    if start is None:
        raise Trouble("unknown_base", f"there is no branch {wanted.base!r} to start from", status=HTTPStatus.NOT_FOUND)
    made = await _tree(github, wanted.changes, start)
    if made == start.tree:
        if tip is None:
            raise Trouble("nothing_to_propose", f"{wanted.base!r} holds these files already, so there is nothing to propose")
        return None
    commit = await _sha(github, "create_commit", message=wanted.message, tree=made, parents=[start.commit])
    try:
        if tip is None:
            await github.ask("create_ref", ref=f"refs/heads/{wanted.branch}", sha=commit)
        else:
            await github.ask("update_ref", ref=f"heads/{wanted.branch}", sha=commit)
    except Trouble as trouble:
        if not trouble.invalid:
            raise
        raise _in_the_way(wanted.branch, trouble, made=tip is None) from None
    return commit


async def _tree(github: GitHub, changes: tuple[Change, ...], start: Tip) -> str:
    gone = [change.path for change in changes if change.content is None]
    absent = {path for path in gone if not await _exists(github, path, start.commit)}
    entries = tree(changes, absent)
    return await _sha(github, "create_tree", base_tree=start.tree, tree=entries) if entries else start.tree


async def _exists(github: GitHub, path: str, commit: str) -> bool:
    try:
        answer = await github.ask("get_file_contents", path=path, ref=commit)
    except Trouble as trouble:
        if trouble.absent:
            return False
        raise
    if isinstance(answer, list):
        raise Trouble("contradiction", f"{path!r} is a folder; name the files in it that are to be deleted")
    return True


async def _sha(github: GitHub, tool: str, **arguments: Any) -> str:
    answer = await github.ask(tool, **arguments)
    if not isinstance(answer, Mapping) or not isinstance(sha := answer.get("sha"), str):
        raise odd(tool, "a sha")
    return sha


def _in_the_way(branch: str, trouble: Trouble, *, made: bool) -> Trouble:
    what = "appeared meanwhile, or one of a similar path is in the way" if made else "has moved on, or is protected"
    message = f"the branch {branch!r} {what}; send the same again, or choose another branch. {trouble.message}"
    return Trouble("branch_in_the_way", message, status=HTTPStatus.CONFLICT, tool=trouble.tool)
