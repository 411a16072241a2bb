"""`toolgate tools evaluate`: how well tools are found, measured on questions whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from toolgate.cli.output import emit, say, show
from toolgate.documents import parse
from toolgate.search.recall import Recall, examination, macro, recall


def evaluate(files: Sequence[Path], *, as_json: bool) -> None:
    """Print recall for each of `files` and, of several, their macro average.

    Raises:
        BadDocument: a file has another format.
    """
    read = [(path, examination(parse(path.read_bytes(), name=str(path), strict=False), name=str(path))) for path in files]
    rows = [(str(path), len(one.documents), len(one.questions), recall(one)) for path, one in read]
    mean = macro([found for *_, found in rows])
    if as_json:
        each = [{"file": name, "tools": tools, "queries": queries, **_shown(found)} for name, tools, queries, found in rows]
        emit({"files": each, "macro": _shown(mean)})
        return
    for name, tools, queries, found in rows:
        show(f"{name}: {tools} tools, {queries} queries: {_told(found)}")
    if len(rows) > 1:
        show(f"macro over {len(rows)} files: {_told(mean)}")
    say("percent of the right tools among the first 1, 5 and 10")


def _shown(found: Recall) -> dict[str, float]:
    return {name.replace("at_", "recall_at_"): round(value, 2) for name, value in asdict(found).items()}


def _told(found: Recall) -> str:
    return f"R@1 {found.at_1:.1f}, R@5 {found.at_5:.1f}, R@10 {found.at_10:.1f}"
