"""What the operator chose by tag or by name: whether something is served, whether it is listed, what it costs."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

from toolgate.integration import Integration, Selection, price_of
from toolgate.money import Price


@dataclass(frozen=True, slots=True)
class Called:
    """What an operation, or another server's tool, can be chosen by."""

    names: tuple[str, ...]
    """Of two that have a price, the first counts."""
    tags: tuple[str, ...] = ()
    deprecated: bool = False

    def fits(self, selection: Selection) -> bool:
        """Whether any entry names it."""
        if not set(selection.tags).isdisjoint(self.tags):
            return True
        return any(_pattern(entry).fullmatch(name) for entry in selection.operations for name in self.names if name)

    def wanted(self, integration: Integration) -> bool:
        include, exclude = integration.include, integration.exclude
        return (include is None or self.fits(include)) and not (exclude.deprecated and self.deprecated) and not self.fits(exclude)

    def listed(self, integration: Integration) -> bool:
        expose = integration.expose
        return self.fits(expose) if isinstance(expose, Selection) else expose == "list"

    def price(self, integration: Integration) -> Price | None:
        prices = integration.prices
        return next((price_of(prices[name]) for name in (*self.names, "default") if name in prices), None)


def idle_entries(selection: Selection, every: Collection[Called]) -> list[str]:
    """Entries that name nothing at all: most likely a misspelling."""
    tags = {tag for called in every for tag in called.tags}
    names = {name for called in every for name in called.names}
    idle = [entry for entry in selection.operations if not any(_pattern(entry).fullmatch(name) for name in names)]
    return [tag for tag in selection.tags if tag not in tags] + idle


@cache
def _pattern(entry: str) -> re.Pattern[str]:
    """`*` is any text, `?` any character; everything else is meant as it stands."""
    escaped = re.escape(entry).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(re.sub(r"(\.\*)+", ".*", escaped), re.DOTALL)
