"""Globs over tool names, and an index of them, so that one name need not be held against each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from fnmatch import translate
from functools import lru_cache
from typing import Generic, TypeVar

T = TypeVar("T")
Match = Callable[[str], re.Match[str] | None]
WILD = re.compile(r"[*?\[]")


def matches(glob: str, name: str) -> bool:
    """Whether `name` is one that `glob` means: `*`, `?` and `[...]` as in file names, case-sensitive."""
    return glob == "*" or _compiled(glob)(name) is not None


def is_wild(glob: str) -> bool:
    return WILD.search(glob) is not None


class Globs(Generic[T]):
    """Values by glob. Globs are kept by what precedes their first wildcard; a name's own beginnings are looked up."""

    def __init__(self, values: Iterable[tuple[str, T]]) -> None:
        self._exact: dict[str, list[T]] = defaultdict(list)
        self._by_start: dict[str, list[tuple[Match | None, T]]] = defaultdict(list)
        for glob, value in values:
            wild = WILD.search(glob)
            if wild is None:
                self._exact[glob].append(value)
            else:
                start, rest = glob[: wild.start()], glob[wild.start() :]
                self._by_start[start].append((None if rest == "*" else _compiled(glob), value))  # None: the start says all
        self._lengths = sorted({len(start) for start in self._by_start})

    def of(self, name: str) -> list[T]:
        """The values whose glob means `name`."""
        found = list(self._exact.get(name, ()))
        for length in self._lengths:
            if length > len(name):
                break
            found += [value for match, value in self._by_start.get(name[:length], ()) if match is None or match(name)]
        return found


@lru_cache(maxsize=4096)
def _compiled(glob: str) -> Match:
    return re.compile(translate(glob)).match
