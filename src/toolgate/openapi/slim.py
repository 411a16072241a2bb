"""The schema that lists show: the full one, told in fewer words.

Whatever the full schema takes, the slim one takes too. The first levels leave out only what restricts nothing (titles,
examples, the rest of long descriptions), so both accept exactly the same. Past the budget, parts that lie deep are
shown as a bare type, the optional ones first; from there on the slim schema accepts more, and `describe_tool` has the
full one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any

import orjson

from toolgate.openapi import keywords
from toolgate.openapi.prose import plain, sentence, shorten
from toolgate.openapi.share import loosened

BUDGET = 14 * 1024
"""Bytes of a tool's advertised schema, as JSON; with name, title and description a tool stays under 16 KiB."""
DROPPED = frozenset({"title", "examples", "writeOnly"})
NOISE = frozenset({"int32", "int64", "float", "double"})
"""Formats that tell a model nothing that the type has not told."""
HINT = "full schema: describe_tool"


@dataclass(frozen=True, slots=True)
class Level:
    """How much is told."""

    description: int
    """Characters of a description."""
    depth: int | None = None
    """Levels of objects and arrays shown; None: all."""
    required_too: bool = False
    """Required parts are collapsed as well, not only optional ones."""
    values: int | None = None
    """Values of an enum shown; None: all. A longer one is told as its first values."""


LEVELS: Sequence[Level] = (
    Level(400),
    Level(160),
    Level(80),
    *(Level(160, depth) for depth in (5, 4, 3, 2)),
    *(Level(80, depth, required_too=True) for depth in (3, 2, 1)),
    Level(80, 1, required_too=True, values=20),
    Level(0, 1, required_too=True, values=5),
)


class Slimmer:
    """Slims the schemas of one description; remembers descriptions, which repeat by the hundred."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, int], str] = {}

    def slim(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A tool's input schema in at most BUDGET bytes, accepting at least what `schema` accepts."""
        # Words are seldom seven eighths of a schema: what is that much over the budget has to lose parts.
        hopeless = len(orjson.dumps(schema)) > 8 * BUDGET
        loose: dict[str, Any] = {}
        for level in LEVELS:
            if level.depth is None and hopeless:
                continue
            if level.depth is not None and not loose:
                loose = loosened(schema)
            slimmed = self.at(loose or schema, level)
            if len(orjson.dumps(slimmed)) <= BUDGET:
                return slimmed
        return _bare(schema)

    def at(self, schema: Mapping[str, Any], level: Level) -> dict[str, Any]:
        """`schema`, loosened where the level shows not all of it, with as much as `level` tells."""
        walk = _Walk(level, schema.get("$defs", {}), self)
        slimmed: dict[str, Any] = walk.known({key: value for key, value in schema.items() if key != "$defs"}, level.depth)
        if definitions := walk.definitions():
            slimmed["$defs"] = definitions
        return slimmed

    def text(self, text: str, limit: int) -> str:
        known = self._texts.get((text, limit))
        if known is None:
            known = self._texts[text, limit] = shorten(plain(text), limit)
        return known


@dataclass
class _Walk:
    """One walk over a tool's schema at one level."""

    level: Level
    all_definitions: Mapping[str, Any]
    slimmer: Slimmer
    waiting: list[tuple[int, int, str]] = field(default_factory=list)
    """A heap of definitions that are still to be shown: minus the levels left there, a running number, the name."""
    shown: dict[str, Any] = field(default_factory=dict)

    def definitions(self) -> dict[str, Any]:
        """The definitions that are referred to, those with most levels left first: each is shown once, at its best."""
        while self.waiting:
            rest, _, name = heappop(self.waiting)
            if name not in self.shown:
                self.shown[name] = True  # a reference back to it while it is walked
                self.shown[name] = self.schema(self.all_definitions[name], None if self.level.depth is None else -rest, required=True)
        return dict(sorted(self.shown.items()))

    def schema(self, schema: Any, rest: int | None, *, required: bool = False) -> Any:
        """
        Args:
            rest: levels left; None: no limit.
            required: the value has to be given, so that a model needs to know what it is.
        """
        if not isinstance(schema, dict):
            return schema
        if rest is not None and rest <= 0 and (rest < -3 or self.level.required_too or not required) and _has_parts(schema):
            return self._collapsed(schema)
        return self.known(schema, rest)

    def known(self, schema: Mapping[str, Any], rest: int | None) -> dict[str, Any]:
        """`schema` with its parts slimmed."""
        slimmed: dict[str, Any] = {}
        for key, value in schema.items():
            if key in DROPPED or (key == "format" and value in NOISE):
                continue
            if key == "description":
                if text := self.slimmer.text(value, self.level.description):
                    slimmed[key] = text
            elif key == "$ref":
                slimmed[key] = self._referred(value, rest)
            elif key != "enum" or self.level.values is None or len(value) <= self.level.values:
                slimmed[key] = self._part(key, value, schema, rest)
        if "enum" in schema and "enum" not in slimmed:
            slimmed["description"] = self._values(schema, schema["enum"])
        if slimmed.get("type") == "array":
            slimmed.setdefault("items", {})  # VS Code refuses a tool with an array that does not say what it is of
        return slimmed

    def _part(self, key: str, value: Any, schema: Mapping[str, Any], rest: int | None) -> Any:
        if key not in keywords.PARTS:
            return value
        below = rest if rest is None or key in keywords.IN_PLACE else rest - 1
        if key == "properties":
            needed = frozenset(schema.get("required", ()))
            return {name: self.schema(item, below, required=name in needed) for name, item in value.items()}
        return keywords.parts(key, value, lambda item: self.schema(item, below, required=key in keywords.LISTS))

    def _referred(self, reference: str, rest: int | None) -> str:
        name = reference.removeprefix("#/$defs/")
        if name not in self.shown:
            heappush(self.waiting, (-(rest or 0), len(self.waiting), name))
        return reference

    def _collapsed(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """`schema` as its type alone."""
        kind = schema.get("type")
        if kind is None and "$ref" in schema:
            target = self.all_definitions.get(schema["$ref"].removeprefix("#/$defs/"))
            kind = target.get("type") if isinstance(target, dict) else None
        said = self.slimmer.text(schema.get("description", ""), self.level.description // 2)
        bare: dict[str, Any] = {"type": kind} if kind else {}
        if kind == "array":
            bare["items"] = {}
        bare["description"] = f"{sentence(said)} ({HINT})" if said else HINT
        return bare

    def _values(self, schema: Mapping[str, Any], values: Sequence[Any]) -> str:
        said = self.slimmer.text(schema.get("description", ""), self.level.description)
        some = ", ".join(str(value)[:40] for value in values[: self.level.values])
        return f"{sentence(said)} One of {len(values)}: {some}, … ({HINT})".strip()


def _has_parts(schema: Mapping[str, Any]) -> bool:
    return "$ref" in schema or not keywords.PARTS.isdisjoint(schema)


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The last resort for thousands of arguments: the required ones by name, as many as fit, others by hearsay."""
    properties: dict[str, Any] = {}
    size = 400
    for name in schema.get("required", ()):
        size += 2 * len(name) + 10
        if size < BUDGET:
            properties[name] = {}
    bare: dict[str, Any] = {"type": "object", "description": f"{len(schema['properties'])} arguments; {HINT}", "properties": properties}
    return {**bare, "required": list(properties)} if properties else bare
