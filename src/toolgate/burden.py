"""How much work a JSON Schema from outside makes of one value, before any value is held against it.

A validator looks at a value once for each way that leads to it. Ways multiply where alternatives refer to alternatives, and
with each level of a value where what recurs has several of itself for one place: forty such levels are a trillion looks, and
nothing ends a validator once it runs. So the ways are counted beforehand, and with them the levels that a value may have.

    closure    the subschemas that are held against a value itself: behind `$ref`, `anyOf`, `if` …, as often as they are
    step       from there to those that are held against one member or item of it, counted for the same name together

Places that only other values have, a list's items and an object's members, are never counted together.

Ways to one place are few where a value is deep, and a value may have a million places: so both together are bounded too, for
schemas that are heavier than those of the world are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count
from typing import Any
from urllib.parse import unquote

from toolgate.pointer import referred

MOST = 4000
"""Looks at one place, which take 0.1 ms; 527 tools of MCP servers take 13 at most, 1,512 operations of GitHub and the GSA 24."""
DEEPEST = 64
"""Levels that are counted: what grows has passed any bound by then, and arguments have no more."""
WORK = 100_000
"""Steps that are taken to count, 0.3 s at most; of 1,512 operations of GitHub and the GSA none takes more than 2,128."""
CHAIN = 200
"""Subschemas that lead to one another for one value; each takes some frames of Python's stack."""
LIGHT = 25
"""Looks at one place that need no bound on the places: 4 MiB of arguments have two million, and take a second."""
LOOKS = 10_000_000
"""At all places together, which take 0.1 s to 0.5 s."""
BACKTRACKS = 10_000
"""Steps back that a pattern may take, 0.2 ms at most; by the validator's own bound it would be 25 ms."""
PATTERN = 5000
"""Looks that such a pattern takes."""
BACKTRACKING = re.compile(r"\(\?<?[=!>]|\\[1-9kK]|[*+?}]\+")
"""Patterns that look around or refer back; others take time in proportion to what they are held against."""
COMBINING = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else")
ITEM, OTHER, NAME = -1, -2, -3
"""Steps to an item, to a member that no schema names, and to the name of one; others are a member's name or an item's number."""
OF_ITEMS = ("additionalItems", "unevaluatedItems", "contains")
DATA = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose values are no schemas, whatever they look like."""
OF_OTHERS = ("additionalProperties", "unevaluatedProperties")

ANY: Mapping[str, Any] = {}

Step = int | str


class TooHard(ValueError):
    """No value can be held against the schema in reasonable time, or nobody can tell; the words say why."""


@dataclass(frozen=True)
class Bounds:
    """Of the values that can be held against one schema."""

    levels: int | None
    """How deep a value may be; None: as deep as it likes."""
    looks: tuple[int, ...]
    """At one place, by level; the last for all below."""

    def broken(self, value: Any) -> str | None:
        """What `value` has too much of, as the end of a sentence; None: nothing."""
        places, looks = [value], 0
        for deep in count():
            looks += len(places) * self.looks[min(deep, len(self.looks) - 1)]
            if looks > LOOKS:
                return "more parts than can be looked through, each as often as the schema has ways to it"
            places = [place for place in places if type(place) is dict or type(place) is list]
            if not places:
                return None
            if deep == self.levels:
                return f"more than {self.levels} levels, and are nested too deep to be looked through"
            places = list(chain.from_iterable(place.values() if type(place) is dict else place for place in places))
        raise AssertionError("a value ends")


def bounds(schema: Mapping[str, Any]) -> Bounds | None:
    """Of the values that can be held against `schema`; None: any value can.

    Raises:
        TooHard: not even a single value can.
    """
    burden = Burden(schema)
    levels = next((deep for deep, looks in enumerate(burden.looks()) if looks > MOST), None)
    looks = tuple(burden.looks(weighed=True))[: None if levels is None else levels + 1]
    return None if levels is None and max(looks) <= LIGHT else Bounds(levels, looks)


class Burden:
    """What is counted of one schema. Raises TooHard for one that refers in a way that is not followed."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._anchors: dict[str, Any] = {}
        self._closures: dict[int, Counter[int]] = {}
        self._steps: dict[int, list[Counter[int]]] = {}
        self._schemas: dict[int, Mapping[str, Any]] = {}
        self._open: set[int] = set()
        self._work = 0
        self._find_anchors(root, DEEPEST * 4)

    def looks(self, *, weighed: bool = False) -> Iterator[int]:
        """The most looks at one place of a value, 0 levels below the whole of it, 1, 2 …, until they grow no more.

        Raises:
            TooHard: they are more than `MOST` for the whole already.
        """
        top = self._known(self._root)
        looks, waiting = {top: self._looks(top, weighed)}, [top]
        while waiting:
            for step in self._next(waiting.pop()):
                for each in step:
                    if each not in looks:  # not by a difference of keys, which goes through all of them
                        looks[each] = self._looks(each, weighed)
                        waiting.append(each)
        ways = {each: [tuple(step.items()) for step in self._next(each)] for each in looks}
        for _ in range(min(DEEPEST, WORK // (1 + sum(len(step) for steps in ways.values() for step in steps)))):
            yield looks[top]
            before = looks
            looks = {each: max((sum(n * before[to] for to, n in step) for step in steps), default=0) for each, steps in ways.items()}
            if not any(looks.values()) or looks == before:
                return
        yield MOST + 1  # so it is taken to grow where nobody has counted any more

    def _looks(self, entry: int, weighed: bool) -> int:
        closure = self._closure(entry)
        return sum(times * _weight(self._schemas[part]) for part, times in closure.items()) if weighed else closure.total()

    def _closure(self, entry: int) -> Counter[int]:
        found = self._closures.get(entry)
        if found is None:
            if entry in self._open:
                raise TooHard("its schema refers to itself without end")
            if len(self._open) > CHAIN:
                raise TooHard(f"its schema refers on more than {CHAIN} times for one value")
            self._open.add(entry)
            found = Counter({entry: 1})
            for each in self._beside(self._schemas[entry]):
                closure = self._closure(each)
                self._take(len(closure))
                found.update(closure)
                if found.total() > MOST:
                    raise TooHard(f"its schema has alternatives within alternatives: one value is looked at more than {MOST} times")
            self._open.discard(entry)
            self._closures[entry] = found
        return found

    def _next(self, entry: int) -> list[Counter[int]]:
        """For each step: the schemas that it leads to."""
        found = self._steps.get(entry)
        if found is None:
            parts = [(self._schemas[part], times) for part, times in self._closure(entry).items()]
            steps: set[Step] = {ITEM, OTHER, NAME}
            for part, _ in parts:
                steps.update(_mapping(part, "properties"), range(len(_tuple(part))))
            self._take(len(steps) * len(parts))
            different: dict[frozenset[tuple[int, int]], Counter[int]] = {}
            for step in steps:
                to: Counter[int] = Counter()
                for part, times in parts:
                    for each in self._at(part, step):
                        self._take(1)
                        to[each] += times
                if to:
                    different[frozenset(to.items())] = to
            found = self._steps[entry] = list(different.values())
        return found

    def _beside(self, schema: Mapping[str, Any]) -> Iterator[int]:
        """What is held against the same value."""
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in schema:
                yield from self._each(self._target(schema[keyword]))
        for keyword in COMBINING:
            yield from self._each(schema.get(keyword))
        for keyword in ("dependentSchemas", "dependencies"):
            yield from self._each([value for value in _mapping(schema, keyword).values() if isinstance(value, Mapping)])

    def _at(self, schema: Mapping[str, Any], step: Step) -> Iterator[int]:
        """What is held against an item, a member or a name."""
        if isinstance(step, int) and step >= ITEM:
            first = _tuple(schema)
            yield from self._each(first[step] if 0 <= step < len(first) else schema.get("items") if _one(schema) else None)
            for keyword in OF_ITEMS:
                yield from self._each(schema.get(keyword))
        elif step == NAME:
            yield from self._each(schema.get("propertyNames"))
        else:
            named = _mapping(schema, "properties")
            if isinstance(step, str) and step in named:
                yield from self._each(named[step])
            else:
                for keyword in OF_OTHERS:
                    yield from self._each(schema.get(keyword))
            for each in _mapping(schema, "patternProperties").values():
                yield self._known(each if isinstance(each, Mapping) else ANY)

    def _each(self, value: Any) -> Iterator[int]:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping):
                yield self._known(each)

    def _take(self, work: int) -> None:
        self._work += work
        if self._work > WORK:
            raise TooHard("its schema is too large for its ways to be counted")

    def _known(self, schema: Mapping[str, Any]) -> int:
        self._schemas[id(schema)] = schema  # which keeps it, and so its id
        return id(schema)

    def _target(self, reference: Any) -> Any:
        own = self._root.get("$id")
        said = reference.removeprefix(own) if isinstance(reference, str) and isinstance(own, str) else reference
        if not isinstance(said, str) or said[:1] not in ("#", ""):
            raise TooHard("its schema refers to something else than a part of itself")
        if said[:2] not in ("#/", "#", ""):
            return self._anchors.get(unquote(said[1:]))
        self._take(len(said) // 16)
        return referred(self._root, said or "#")

    def _find_anchors(self, node: Any, deep: int) -> None:
        if deep == 0:
            raise TooHard("its schema is nested too deep")
        if isinstance(node, Mapping):
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(node.get(keyword), str):
                    self._anchors.setdefault(node[keyword], node)
            if node is not self._root and isinstance(node.get("$id"), str):
                raise TooHard("a part of its schema has an $id of its own")
            for keyword, each in node.items():
                if keyword not in DATA:
                    self._find_anchors(each, deep - 1)
        elif isinstance(node, list):
            for each in node:
                self._find_anchors(each, deep - 1)


def _mapping(schema: Mapping[str, Any], keyword: str) -> Mapping[str, Any]:
    value = schema.get(keyword)
    return value if isinstance(value, Mapping) else {}


def _tuple(schema: Mapping[str, Any]) -> list[Any]:
    """The schemas of the first items, each its own: `prefixItems`, or a list in `items` before 2020-12."""
    for keyword in ("prefixItems", "items"):
        if isinstance(schema.get(keyword), list):
            found: list[Any] = schema[keyword]
            return found
    return []


def _one(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema.get("items"), Mapping)


def _weight(schema: Mapping[str, Any]) -> int:
    """Looks that its own words take, where one does not do."""
    enum, pattern = schema.get("enum"), schema.get("pattern")
    weight = 1
    if isinstance(enum, list) and any(isinstance(each, dict | list) for each in enum):  # then it is looked through one by one
        weight += len(enum)
    patterns = [pattern, *_mapping(schema, "patternProperties")]
    weight += PATTERN * sum(isinstance(each, str) and BACKTRACKING.search(each) is not None for each in patterns)
    return weight + sum(len(_mapping(schema, keyword)) for keyword in ("dependentRequired", "dependentSchemas", "dependencies"))
