"""A task list as values: what is asked for, whether it makes sense, and in which order it is done. No calls here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal, NamedTuple

from toolgate.internal.marker import Marker
from toolgate.internal.trouble import Trouble

Kind = Literal["depends_on", "related", "parent"]


class Link(NamedTuple):
    kind: Kind
    to: str
    """A key of the list, or an issue that exists, as `#7`."""


@dataclass(frozen=True, slots=True)
class Item:
    """One issue to be."""

    key: str
    title: str
    body: str = ""
    labels: tuple[str, ...] = ()
    assignees: tuple[str, ...] = ()
    milestone: int | None = None
    depends_on: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    parent: str | None = None

    @property
    def links(self) -> tuple[Link, ...]:
        parents = () if self.parent is None else (Link("parent", self.parent),)
        return (*(Link("depends_on", to) for to in self.depends_on), *(Link("related", to) for to in self.related), *parents)


@dataclass(frozen=True, slots=True)
class Batch:
    name: str
    items: tuple[Item, ...]
    dry_run: bool = False

    @property
    def external(self) -> tuple[int, ...]:
        """Numbers of the issues outside the list that links lead to."""
        return tuple(sorted({int(link.to[1:]) for item in self.items for link in item.links if link.to.startswith("#")}))

    def marker(self, item: Item) -> Marker:
        return Marker(self.name, item.key)


def read_batch(asked: Mapping[str, Any]) -> Batch:
    """The description's `IssueBatch`, already held against its schema; what is said for all is said for each."""
    labels, milestone = asked.get("labels", ()), asked.get("milestone")
    items = tuple(
        Item(
            key=item["key"],
            title=item["title"],
            body=item.get("body", ""),
            labels=tuple(dict.fromkeys([*labels, *item.get("labels", ())])),
            assignees=tuple(item.get("assignees", ())),
            milestone=item.get("milestone", milestone),
            depends_on=tuple(item.get("depends_on", ())),
            related=tuple(item.get("related", ())),
            parent=item.get("parent"),
        )
        for item in asked["issues"]
    )
    return Batch(asked["batch"], items, asked.get("dry_run", False))


def check(batch: Batch) -> None:
    """
    Raises:
        Trouble: a key stands twice, a link leads nowhere or to itself, or links go in a circle.
    """
    keys = [item.key for item in batch.items]
    if twice := next((key for key in keys if keys.count(key) > 1), None):
        raise Trouble("duplicate_key", f"the key {twice!r} stands twice; give every issue of the list a key of its own")
    for item in batch.items:
        for kind, to in item.links:
            if to == item.key:
                raise Trouble("self_link", f"{item.key!r} names itself in {kind}; name another issue, or none")
            if not to.startswith("#") and to not in keys:
                raise Trouble("unknown_target", f"{item.key!r} names {to!r} in {kind}, which no issue of the list has as its key")
    _no_circle({item.key: item.depends_on for item in batch.items}, "wait for each other (depends_on)")
    _no_circle({item.key: (item.parent,) for item in batch.items if item.parent}, "are part of each other (parent)")


def _no_circle(graph: Mapping[str, Sequence[str]], how: str) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise Trouble("circle", f"these {how} in a circle: {circle}; take one of the links away") from None


def ordered(items: Sequence[Item]) -> tuple[Item, ...]:
    """In the order of the list, but each after those it depends on."""
    by_key = {item.key: item for item in items}
    placed: dict[str, Item] = {}

    def place(item: Item) -> None:
        for to in item.depends_on:
            if to in by_key and to not in placed:
                place(by_key[to])
        placed.setdefault(item.key, item)

    for item in items:
        place(item)
    return tuple(placed.values())


def related(items: Iterable[Item]) -> dict[str, tuple[str, ...]]:
    """What the text of each item shall mention, by key: related is said by one side and so of both."""
    pairs = list(_pairs(items))
    return {item: tuple(dict.fromkeys(to for key, to in pairs if key == item)) for item in dict.fromkeys(key for key, _ in pairs)}


def _pairs(items: Iterable[Item]) -> Iterator[tuple[str, str]]:
    for item in items:
        for to in item.related:
            yield item.key, to
            if not to.startswith("#"):
                yield to, item.key
