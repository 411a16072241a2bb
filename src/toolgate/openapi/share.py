"""Fragments become one schema that stands alone: what recurs or is big and used often goes to `$defs`, the rest inline.

Recursion stays a reference. Everything used once, or no longer than a reference with its definition would be, is put
where it is used, so that a schema is as short as it can be without meaning anything else.

What would be too much is cut, and only that: a chain of references too long, more nodes than a tool may have, or
alternatives of alternatives (`s0: anyOf [s1, s1]`, `s1: anyOf [s2, s2]`, …), which are small to write down and take
for ever to check. A schema that is all of itself adds nothing to itself, so that loop is opened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from toolgate.openapi import keywords
from toolgate.openapi.graph import components
from toolgate.openapi.keywords import Schema
from toolgate.openapi.lift import MAX_DEPTH, MAX_NODES, Fragment, Lifter, Reference
from toolgate.pointer import unescape

SMALL = 120  # bytes; about what a reference and the head of a definition take
SMALL_NODES = 12  # what has more nodes is not small
MAX_ALTERNATIVES = 1000  # a guess; jsonschema-rs takes 40 us each to explain why none fits
MAX_NESTING = 40  # levels of inlined schemas; orjson refuses to write 255


def stand_alone(schema: dict[str, Any], fragments: Sequence[Fragment], lifter: Lifter) -> dict[str, Any]:
    """`schema`, made of the schemas of `fragments`, with all that they refer to."""
    cut = any(fragment.loose for fragment in fragments)
    if any(fragment.references for fragment in fragments):
        sharing = _Sharing(lifter)
        nodes = sum(fragment.nodes for fragment in fragments)
        depth = max(fragment.depth for fragment in fragments) + 2
        schema = sharing.shared(schema, list(_found(schema)), nodes, depth)
        cut |= sharing.cut
    return loosened(schema) if cut else schema


def loosened(schema: Any) -> Any:
    """`schema` without the keywords that accept less when a schema inside them accepts more.

    Once something was left out, so that a piece may accept anything, `not` would refuse everything and `oneOf` find two
    that fit.
    """
    if not isinstance(schema, dict):
        return schema
    loose: dict[str, Any] = {}
    for key, value in schema.items():
        if key in {"not", "if", "then", "else", "unevaluatedProperties", "unevaluatedItems", "maxContains"}:
            continue
        inner = keywords.parts(key, value, loosened)
        if key == "allOf" or (key == "oneOf" and "anyOf" in schema):
            loose["allOf"] = [*loose.get("allOf", []), *(inner if key == "allOf" else [{"anyOf": inner}])]
        else:
            loose["anyOf" if key == "oneOf" else key] = inner
    return loose


@dataclass
class _Sharing:
    """The putting together of one tool's schema."""

    lifter: Lifter
    cut: bool = False
    fragments: dict[str, Fragment] = field(default_factory=dict)
    """All that is referred to, nearest first."""
    order: dict[str, int] = field(default_factory=dict)
    """The place of each in `fragments`."""
    loop: dict[str, int] = field(default_factory=dict)
    """Which loop of in-place references a fragment is in, for those that are in one."""
    inlined: dict[str, Schema] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    """What the others are called in `$defs`."""
    taken: dict[str, int] = field(default_factory=dict)
    """Each name in use, with how many have wanted it."""

    def shared(self, schema: dict[str, Any], references: list[Reference], nodes: int, depth: int) -> dict[str, Any]:
        self._collect(references, nodes)
        self._weigh(references)
        self._inline(references, depth)
        whole: dict[str, Any] = self._put(schema, None)
        definitions: dict[str, Schema] = {}
        while len(definitions) < len(self.names):  # a definition may name the next one
            for pointer, name in list(self.names.items()):
                if name not in definitions:
                    definitions[name] = self._put(self.fragments[pointer].schema, pointer)
        if definitions:
            whole["$defs"] = dict(sorted(definitions.items()))
        return whole

    def _cut(self, pointer: str, why: str) -> None:
        self.cut = True
        self.fragments[pointer] = _anything(self.fragments[pointer])
        self.lifter.report("warning", "too-much", pointer, f"{why}; anything is accepted here")

    def _collect(self, references: list[Reference], nodes: int) -> None:
        """Find all fragments, nearest first, as far as they are not too many."""
        level, hops = _pointers(references), 0
        while level:
            hops += 1
            following: dict[str, None] = {}
            for pointer in level:
                fragment = self.fragments[pointer] = self.lifter.target(pointer)
                nodes += fragment.nodes
                self.cut |= fragment.loose
                if nodes > MAX_NODES or hops > MAX_DEPTH:
                    self._cut(pointer, f"a tool may have {MAX_NODES:,} schema nodes and {MAX_DEPTH} references in a row")
                else:
                    following |= _pointers(fragment.references)
            level = {pointer: None for pointer in following if pointer not in self.fragments}

    def _weigh(self, references: list[Reference]) -> None:
        """Find loops and bombs among the references that apply to one and the same value."""
        self.order = {pointer: index for index, pointer in enumerate(self.fragments)}
        in_place = {
            pointer: [reference.pointer for reference in fragment.references if reference.in_place]
            for pointer, fragment in self.fragments.items()
        }
        weight: dict[str, int] = {}
        for index, members in enumerate(components(in_place)):
            if len(members) > 1 or members[0] in in_place[members[0]]:
                self.loop.update(dict.fromkeys(members, index))
                self.cut = True
                self.lifter.report(
                    "warning", "loop", members[0], "the schema refers to itself for one and the same value; that adds nothing"
                )
            for pointer in sorted(members, key=self.order.__getitem__, reverse=True):
                weight[pointer] = 1 + sum(weight[target] for target in in_place[pointer] if not self._closes(pointer, target))
                if weight[pointer] > MAX_ALTERNATIVES:
                    weight[pointer] = 1
                    self._cut(pointer, f"more than {MAX_ALTERNATIVES:,} alternatives would have to be tried for one value")
        if sum(weight[reference.pointer] for owner in (references, *self._references()) for reference in owner) > MAX_NODES:
            for pointer in [pointer for pointer in self.fragments if weight[pointer] > 1]:
                self._cut(pointer, f"more than {MAX_NODES:,} alternatives would have to be tried")

    def _references(self) -> list[tuple[Reference, ...]]:
        return [fragment.references for fragment in self.fragments.values()]

    def _closes(self, source: str | None, target: str) -> bool:
        """Whether an in-place reference closes a loop: each loop has one that does not lead further from the start."""
        return source in self.loop and self.loop.get(target) == self.loop[source] and self.order[target] <= self.order[source]

    def _inline(self, references: list[Reference], depth: int) -> None:
        """Choose what goes inline: those that are referred to first, so that a choice never changes an earlier one."""
        edges = {pointer: list(_pointers(fragment.references)) for pointer, fragment in self.fragments.items()}
        uses = Counter(reference.pointer for owner in (references, *self._references()) for reference in owner)
        depths: dict[str, int] = {}
        for members in components(edges):
            for pointer in members:
                below = [depths[target] for target in edges[pointer] if target in self.inlined]
                depths[pointer] = self.fragments[pointer].depth + max(below, default=0)
            if len(members) > 1 or members[0] in edges[members[0]] or depths[members[0]] + depth > MAX_NESTING:
                continue
            pointer = members[0]
            if uses[pointer] == 1 or self.fragments[pointer].nodes <= SMALL_NODES:
                schema = self._put(self.fragments[pointer].schema, pointer)
                if uses[pointer] == 1 or len(orjson.dumps(schema)) <= SMALL:
                    self.inlined[pointer] = schema

    def _put(self, schema: Any, source: str | None) -> Any:
        """`schema` with each reference replaced by what it refers to or by a reference into `$defs`.

        Args:
            source: the fragment that `schema` is of.
        """
        if isinstance(schema, Reference):
            beside = {key: self._put(value, source) for key, value in schema.items()}
            if schema.in_place and self._closes(source, schema.pointer):
                return beside
            if schema.pointer in self.inlined:
                return merged(self.inlined[schema.pointer], beside)
            return {"$ref": f"#/$defs/{self._name(schema.pointer)}", **beside}
        if isinstance(schema, dict):
            return {key: self._put(value, source) if isinstance(value, dict | list) else value for key, value in schema.items()}
        if isinstance(schema, list):
            return [self._put(item, source) if isinstance(item, dict | list) else item for item in schema]
        return schema

    def _name(self, pointer: str) -> str:
        """The name in `$defs`: the last word of the pointer, from the second of that name on with a number."""
        if pointer not in self.names:
            word = re.sub(r"[^A-Za-z0-9_.-]+", "_", unescape(pointer.rpartition("/")[2])).strip("_")[:64] or "schema"
            name = word
            while name in self.taken:
                self.taken[word] += 1
                name = f"{word}_{self.taken[word]}"
            self.taken[name] = 1
            self.names[pointer] = name
        return self.names[pointer]


def merged(target: Schema, beside: dict[str, Any]) -> Schema:
    """Both schemas at once, in as few words as is exact."""
    if not beside:
        return target
    if target is True or target == {}:
        return beside
    if isinstance(target, dict) and keywords.ANNOTATIONS.issuperset(beside):
        return {**target, **beside}
    return {**beside, "allOf": [target, *beside.get("allOf", [])]}


def _found(schema: Any) -> Iterator[Reference]:
    if isinstance(schema, Reference):
        yield schema
    for item in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(item, dict | list):
            yield from _found(item)


def _pointers(references: Iterable[Reference]) -> dict[str, None]:
    """Where references lead, each once, in order."""
    return dict.fromkeys(reference.pointer for reference in references)


def _anything(fragment: Fragment) -> Fragment:
    """A fragment cut down to its type."""
    kind = fragment.schema.get("type") if isinstance(fragment.schema, dict) else None
    return Fragment({"type": kind} if kind else {}, cut=True, loose=True)
