"""Whose a name is that several servers have for something of theirs, which a client would tell apart by nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping

from toolgate.upstream.definition import skeleton

log = logging.getLogger("toolgate.upstream")

Name = tuple[str, str]
"""An integration, and what it calls something."""


class Holders:
    """The first in order has a name, unless another has it already: what a client calls does not become another server's."""

    def __init__(self, kind: str) -> None:
        """
        Args:
            kind: of what is called so, in a word.
        """
        self.refused: Mapping[str, Mapping[str, str]] = {}
        """By integration: its names that are not served because of another one, and why."""
        self._kind = kind
        self._held: Mapping[str, str] = {}
        """The integrations of the names that are served."""

    def settle(self, offered: Mapping[str, Collection[str]], others: Iterable[Name], accepted: Mapping[str, Collection[str]]) -> None:
        """Find out which names are refused.

        Args:
            offered: by integration, in order.
            others: that nobody here may have.
            accepted: by integration, names that are pinned for it.
        """
        taken = {name.casefold(): (holder, name) for holder, name in others}
        for integration, names in accepted.items():
            # What is accepted for one server is no other's name while its tool is kept back, or gone.
            for name in set(names).difference(offered[integration]):
                taken.setdefault(name.casefold(), (integration, name))
        for integration, names in offered.items():
            for name in names:
                if self._held.get(name) == integration:
                    taken.setdefault(name.casefold(), (integration, name))
        alike = {skeleton(name): holder for name, holder in taken.items()}
        refused: dict[str, dict[str, str]] = {}
        for integration, names in offered.items():
            mine = refused[integration] = {}
            for name in names:
                twin = taken.setdefault(name.casefold(), (integration, name))
                double = alike.setdefault(skeleton(name), (integration, name))
                if twin[0] != integration:
                    mine[name] = f"{twin[0]} has a {self._kind} {twin[1]} already"
                elif double[0] != integration and name not in accepted.get(integration, ()):
                    mine[name] = f"it looks like {double[1]} of {double[0]}"
            before = self.refused.get(integration, {})
            for name, why in mine.items():
                if before.get(name) != why:
                    log.warning("%s: %s is not served: %s; a `prefix` tells them apart", integration, name, why)
        self.refused = refused
        self._held = {name: integration for integration, names in offered.items() for name in names if name not in refused[integration]}
