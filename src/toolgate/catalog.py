"""Tools by name. Two of one name are refused at load, never silently shadowed.

Who may see which tool is asked of the policy, not kept here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from toolgate.calls import Tool
from toolgate.errors import Misconfigured


class Catalog:
    """An immutable, ordered set of tools; the order is by name, so that lists are deterministic."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        """
        Raises:
            Misconfigured: two tools have the same name, compared without case; the message names both sources.
        """
        seen: dict[str, Tool] = {}
        for tool in tools:
            twin = seen.setdefault(tool.name.casefold(), tool)
            if twin is not tool:
                raise Misconfigured(f"two tools are called {tool.name!r}: one from {twin.integration}, one from {tool.integration}")
        self._tools = {tool.name: tool for tool in sorted(seen.values(), key=lambda tool: tool.name)}

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)
