"""Files to write or delete as the entries of a git tree. Values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from toolgate.internal.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Change:
    path: str
    content: str | None
    """None: delete it."""
    executable: bool = False


def read_changes(files: Iterable[Mapping[str, Any]]) -> tuple[Change, ...]:
    """
    Raises:
        Trouble: a path stands twice, or is both a file and a folder.
    """
    changes = tuple(Change(file["path"], file["content"], file.get("executable", False)) for file in files)
    paths = [change.path for change in changes]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise Trouble("duplicate_path", f"{twice!r} stands twice in files; give each path once")
    no_folder_is_a_file({change.path for change in changes if change.content is not None})
    return changes


def no_folder_is_a_file(paths: Collection[str]) -> None:
    """
    Raises:
        Trouble: one of `paths` is above another.
    """
    folders = {"/".join(parts[:end]) for parts in (path.split("/") for path in paths) for end in range(1, len(parts))}
    if clash := min(folders.intersection(paths), default=None):
        raise Trouble("contradiction", f"{clash!r} is to be a file, and a folder of other files; it can be one of them")


def tree(changes: Iterable[Change], absent: Collection[str]) -> list[dict[str, Any]]:
    """Entries for github_create_tree; what is to be deleted and is `absent` already needs none."""
    return [_entry(change) for change in changes if change.content is not None or change.path not in absent]


def _entry(change: Change) -> dict[str, Any]:
    mode = "100755" if change.executable else "100644"
    told = {"sha": None} if change.content is None else {"content": change.content}
    return {"path": change.path, "mode": mode, "type": "blob", **told}
