"""Refusals that come in floods: the first of each caller in a minute are lines of the audit, the rest is counted in one.

A refused call costs its caller nothing, and its line a disk. Without this whoever may show their face could fill it, after which
the gate refuses everybody.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from toolgate.calls import Principal

WINDOW = 60.0
"""Seconds over which the refusals of a caller are counted."""
GAP = 10.0
"""Seconds between two lines about one flood."""
KEPT = 4096
"""Callers who are counted; the one that was silent longest is forgotten first, unless something of it is untold."""
NAMED = 16
"""Tools that a line names."""
Tell = Callable[[Principal, Mapping[str, Any]], Awaitable[object]]
"""Writes a line about a caller's refusals. Raises AuditUnavailable."""


@dataclass(slots=True)
class Flood:
    """One caller's refusals."""

    until: float
    """When they are counted anew."""
    count: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    """Of those that are untold."""
    tools: Counter[str] = field(default_factory=Counter)
    due: float = 0.0
    """When the untold are told."""


class Floods:
    def __init__(self, tell: Tell, most: int, ticks: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            most: refusals of one caller in a minute that are lines of their own.
        """
        self._tell = tell
        self._most = most
        self._ticks = ticks
        self._floods: dict[Principal, Flood] = {}
        self.untold: dict[Principal, Flood] = {}
        """Floods of which something is to be told."""

    def take(self, principal: Principal, code: str, tool: str) -> bool:
        """Count a refusal. Whether it is one too many, so that it gets no line of its own."""
        now = self._ticks()
        flood = self._floods.pop(principal, None) or self.untold.get(principal)
        if flood is None or (flood.until <= now and principal not in self.untold):
            if len(self._floods) >= KEPT:
                self._floods.pop(next(iter(self._floods)))
            flood = Flood(now + WINDOW)
        elif flood.until <= now:
            flood.until, flood.count = now + WINDOW, 0
        self._floods[principal] = flood
        flood.count += 1
        if flood.count <= self._most:
            return False
        if principal not in self.untold:
            flood.due = now + GAP
            self.untold[principal] = flood
        flood.codes[code] += 1
        flood.tools[tool] += 1
        return True

    async def tell(self, *, everything: bool = False) -> None:
        """Write down what is due, or all that is untold.

        Raises:
            AuditUnavailable: it cannot be, and is told later.
        """
        now = self._ticks()
        for principal, flood in [each for each in self.untold.items() if everything or each[1].due <= now]:
            codes, tools = flood.codes, flood.tools
            del self.untold[principal]
            flood.codes, flood.tools = Counter(), Counter()
            named = dict(tools.most_common(NAMED))
            try:
                await self._tell(principal, {"count": codes.total(), "codes": dict(codes), "tools": named})
            except BaseException:
                flood.codes, flood.tools = flood.codes + codes, flood.tools + tools
                self.untold[principal] = flood
                raise
