"""What a description's reader repaired, simplified or had to leave out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One repair or loss."""

    level: Literal["info", "warning", "error"]
    """info: repaired without loss; warning: simplified; error: an operation, or more, was left out."""
    code: str
    """Stable, in kebab-case."""
    pointer: str
    """JSON pointer into the description, `` for the whole."""
    message: str
    """A sentence for whoever can mend the description."""


class Findings(list[Diagnostic]):
    """What a stage has found so far, in order."""

    def info(self, code: str, pointer: str, message: str) -> None:
        """Repaired without loss."""
        self.append(Diagnostic("info", code, pointer, message))

    def warning(self, code: str, pointer: str, message: str) -> None:
        """Simplified: something that the description says no longer counts."""
        self.append(Diagnostic("warning", code, pointer, message))

    def error(self, code: str, pointer: str, message: str) -> None:
        """An operation, or more, was left out."""
        self.append(Diagnostic("error", code, pointer, message))
