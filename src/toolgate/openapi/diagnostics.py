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
