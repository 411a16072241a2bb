"""Which operations an entry of `include`, `exclude` or `expose` names."""

from __future__ import annotations

import re
from functools import cache

from toolgate.integration import Exclusion, Selection
from toolgate.openapi.operation import Operation


def selected(operation: Operation, selection: Selection, *names: str) -> bool:
    """Whether any entry names the operation, by tag, operationId, `METHOD /path` or one of its tool `names`."""
    if not set(selection.tags).isdisjoint(operation.tags):
        return True
    return named(selection, operation.operation_id or "", operation.key, *names)


def named(selection: Selection, *names: str) -> bool:
    """Whether an entry fits one of `names`."""
    return any(_pattern(entry).fullmatch(name) for entry in selection.operations for name in names if name)


def excluded(operation: Operation, exclusion: Exclusion, *names: str) -> bool:
    return (exclusion.deprecated and operation.deprecated) or selected(operation, exclusion, *names)


def idle_entries(operations: list[Operation], selection: Selection, names: dict[str, tuple[str, ...]]) -> list[str]:
    """Entries that name no operation at all: most likely a misspelling.

    Args:
        names: the tool names of each operation, by its key.
    """
    tags = {tag for operation in operations for tag in operation.tags}
    known = {name for operation in operations for name in (operation.operation_id or "", operation.key, *names[operation.key])}
    idle = [entry for entry in selection.operations if not any(_pattern(entry).fullmatch(name) for name in known)]
    return [tag for tag in selection.tags if tag not in tags] + idle


@cache
def _pattern(entry: str) -> re.Pattern[str]:
    """`*` is any text, `?` any character; everything else is meant as it stands."""
    escaped = re.escape(entry).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(re.sub(r"(\.\*)+", ".*", escaped), re.DOTALL)
