"""Word of changes, for whoever wants it: which lists are others now, and which resource has another content."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

log = logging.getLogger("toolgate")


@dataclass(frozen=True, slots=True)
class Change:
    what: Literal["tools", "resources", "prompts", "resource"]
    """A list, or one resource."""
    uri: str | None = None
    """Of that resource."""
    integration: str | None = None
    """Whose that resource is."""
    client: str | None = None
    """The key of the client that this is told; None: all that want to hear of it."""


class News:
    def __init__(self) -> None:
        self._readers: list[Callable[[Change], None]] = []

    def publish(self, change: Change) -> None:
        for read in tuple(self._readers):
            try:
                read(change)
            except Exception:
                log.exception("one of the readers failed; the others read on")

    @contextmanager
    def read(self, reader: Callable[[Change], None]) -> Iterator[None]:
        """Have `reader` hear of every change until the block ends. It must not wait."""
        self._readers.append(reader)
        try:
            yield
        finally:
            self._readers.remove(reader)
