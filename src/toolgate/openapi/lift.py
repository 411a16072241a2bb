"""A schema of OpenAPI 2.0, 3.0, 3.1 or 3.2 becomes one of JSON Schema 2020-12, as a request must fit it.

The dialects differ less than they seem: each keyword that an old one has and 2020-12 has not says by its own value how
it is meant (`nullable: true`, `exclusiveMinimum: true`, `type: file`), so one walk reads them all, common mistakes
included. Only keys beside a `$ref` need the version.

The walk stops at references: `lift` yields a `Fragment`, in which a `Reference` stands for each `$ref`, and the target
is a fragment of its own, lifted once a description. `share.py` puts fragments together, tool by tool.

What can not be kept is left out so that *more* is accepted, never less, with a diagnostic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from toolgate.openapi import keywords
from toolgate.openapi.diagnostics import Diagnostic, Findings
from toolgate.openapi.keywords import Schema
from toolgate.openapi.resolve import Dangling, Resolver, mappings
from toolgate.pointer import join

MAX_DEPTH = 64
MAX_NODES = 20_000
RECURSION_HOPS = 64


class Reference(dict[str, Any]):
    """A lifted `$ref`, with what stands beside it as its items; told from data that only looks like one by its type."""

    __slots__ = ("in_place", "pointer")

    def __init__(self, pointer: str, in_place: bool, beside: dict[str, Any]) -> None:
        super().__init__(beside)
        self.pointer = pointer
        self.in_place = in_place
        """It applies to the very value that the fragment applies to, not to something inside it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self.pointer == other.pointer and dict.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None  # like any dict


@dataclass(frozen=True, slots=True, eq=False)
class Fragment:
    """A lifted schema, up to its references."""

    schema: Schema
    references: tuple[Reference, ...] = ()
    nodes: int = 1
    depth: int = 1
    cut: bool = False
    """Something was left out because it was too much, not because it was wrong."""
    loose: bool = False
    """Something was left out, for whatever reason: it accepts more than was meant."""


class Lifter:
    """Lifts the request schemas of one description and remembers what it has lifted."""

    def __init__(self, resolver: Resolver, version: str, findings: Findings) -> None:
        """
        Args:
            version: of OpenAPI, such as `3.0.3`.
            findings: what was repaired or lost is added here.
        """
        self.resolver = resolver
        self.siblings_count = not version.startswith(("2.", "3.0"))
        """Whether the version gives keys beside a `$ref` a meaning."""
        self.findings = findings
        self._targets: dict[str, Fragment] = {}
        self._roots: dict[int, tuple[Any, Fragment]] = {}
        self._anchors: dict[str, list[str]] | None = None
        self._reported: set[tuple[str, str]] = set()

    def lift(self, schema: Any, pointer: str) -> Fragment:
        """A schema met in an operation.

        Args:
            pointer: where it stands, for diagnostics and for references that are relative to their place.
        """
        known = self._roots.get(id(schema))
        if known is None:
            # The schema is kept beside its fragment: an id is good only while its object lives.
            known = self._roots[id(schema)] = (schema, _Walk(self, pointer).fragment(schema))
        return known[1]

    def target(self, pointer: str) -> Fragment:
        """What a Reference leads to."""
        fragment = self._targets.get(pointer)
        if fragment is None:
            fragment = self._targets[pointer] = _Walk(self, pointer).fragment(self.resolver.lookup(pointer))
        return fragment

    def report(self, level: keywords.Level, code: str, pointer: str, message: str) -> None:
        """Add a diagnostic, once for each place and code."""
        if (code, pointer) not in self._reported:
            self._reported.add((code, pointer))
            self.findings.append(Diagnostic(level, code, pointer, message))

    def anchored(self, name: str, place: str) -> str | None:
        """The pointer of the schema with that `$dynamicAnchor`: the nearest one around `place`, else the first."""
        if self._anchors is None:
            self._anchors = defaultdict(list)
            for node, pointer in mappings(self.resolver.root):
                if isinstance(anchor := node.get("$dynamicAnchor"), str):
                    self._anchors[anchor].append(pointer)
        found = self._anchors.get(name, [])
        around = [pointer for pointer in found if place == pointer or place.startswith(f"{pointer}/")]
        return max(around, key=len) if around else next(iter(found), None)


At = tuple[Any, str | int] | None
"""A place inside a fragment, as a linked list towards its root: pointers are made only for diagnostics."""


class _Walk:
    """One walk over one schema."""

    def __init__(self, lifter: Lifter, base: str) -> None:
        self.lifter = lifter
        self.base = base
        self.references: list[Reference] = []
        self.nodes = 0
        self.depth = 0
        self.cut = False
        self.loose = False

    def fragment(self, node: Any) -> Fragment:
        schema = self.schema(node, None, 1, in_place=True)
        return Fragment(schema, tuple(self.references), self.nodes, self.depth, self.cut, self.loose)

    def report(self, level: keywords.Level, code: str, at: At, message: str) -> None:
        self.loose |= level == "warning"  # whatever is left out is told as one
        self.lifter.report(level, code, self.pointer(at), message)

    def pointer(self, at: At) -> str:
        keys: list[str | int] = []
        while at is not None:
            at, key = at
            keys.append(key)
        return join(self.base, *reversed(keys))

    def schema(self, node: Any, at: At, depth: int, *, in_place: bool, drop: frozenset[str] = frozenset()) -> Schema:
        """
        Args:
            in_place: no step into an array or object lies between the fragment's root and here.
            drop: properties that are read only by the word of another branch of an `allOf`, so not required here.
        """
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            if node is not None:
                self.report("warning", "not-a-schema", at, "a schema must be a mapping or a boolean; anything is accepted here")
            return {}
        self.nodes += 1
        self.depth = max(self.depth, depth)
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            self.cut = True
            self.report("warning", "too-much", at, f"schemas deeper than {MAX_DEPTH} or larger than {MAX_NODES:,} nodes are cut here")
            return {}
        if reference := self._referred(node, at):
            return self._reference(reference, node, at, depth, in_place, drop)
        drop |= self._read_only_elsewhere(node)
        return keywords.finish(self._keywords(node, at, depth, in_place, drop), node, self.report, at)

    def _keywords(self, node: dict[str, Any], at: At, depth: int, in_place: bool, drop: frozenset[str]) -> dict[str, Any]:
        lifted: dict[str, Any] = {}
        for key, value in node.items():
            if key in keywords.VALUES:
                keywords.VALUES[key](lifted, key, value, self.report, at)
            elif key in keywords.PARTS:
                self._part(lifted, key, value, (at, key), depth + 1, in_place and key in keywords.IN_PLACE, drop)
        self._required(lifted, node, at, drop)
        if "oneOf" in lifted and "anyOf" not in lifted and self._overlap(node["oneOf"]):
            lifted["anyOf"] = lifted.pop("oneOf")
        return lifted

    def _overlap(self, options: list[Any]) -> bool:
        """Whether two alternatives take values of one type, which may then fit both: a date and a time as texts, an integer and a
        number, two objects that require nothing. Who describes them so means that one fits, and servers take what fits two.
        """
        seen: set[str] = set()
        for option in options:
            kinds = keywords.kinds(self.lifter.resolver.peek(option))
            if not seen.isdisjoint(kinds):
                return True
            seen |= kinds
        return False

    def _part(self, lifted: dict[str, Any], key: str, value: Any, at: At, depth: int, in_place: bool, drop: frozenset[str]) -> None:
        if key == "items" and isinstance(value, list):
            key = "prefixItems"  # a tuple, as it was spelled before 2020-12
        if key in keywords.ONE:
            if value is None:
                return
            lifted["items" if key == "additionalItems" else key] = self.schema(value, at, depth, in_place=in_place)
        elif key in keywords.MAPS:
            if isinstance(value, dict):
                shown = [(name, item) for name, item in value.items() if not (key == "properties" and self._read_only(item))]
                lifted[key] = {name: self.schema(item, (at, name), depth, in_place=in_place) for name, item in shown}
        elif isinstance(value, list) and value:
            kept = drop if key == "allOf" else frozenset()
            lifted[key] = [self.schema(item, (at, index), depth, in_place=in_place, drop=kept) for index, item in enumerate(value)]
        else:
            self.report("warning", "bad-keyword", at, f"{key} must be a non-empty list of schemas; it is left out")

    def _required(self, lifted: dict[str, Any], node: dict[str, Any], at: At, drop: frozenset[str]) -> None:
        """`required` without what is read only, and with the properties that call themselves required, as draft 3 had it."""
        required = keywords.required(node.get("required"), self.report, at)
        properties = node.get("properties")
        if isinstance(properties, dict):
            gone = {name for name in properties if name not in lifted.get("properties", ())}
            named = [name for name, item in properties.items() if isinstance(item, dict) and item.get("required") is True]
            if named:
                self.report("info", "required-on-property", at, "`required: true` on a property is read as the object's `required`")
            required = [name for name in dict.fromkeys([*required, *named]) if name not in gone]
        if drop:
            required = [name for name in required if name not in drop]
        if required:
            lifted["required"] = required

    # What a response has and a request has not.

    def _read_only(self, node: Any) -> bool:
        if isinstance(node, dict) and "$ref" in node and node.get("readOnly") is not True:
            node = self.lifter.resolver.peek(node)
        return isinstance(node, dict) and node.get("readOnly") is True

    def _read_only_elsewhere(self, node: dict[str, Any]) -> frozenset[str]:
        """Properties that one branch of an `allOf` makes read only while another one requires them."""
        if "allOf" not in node:
            return frozenset()
        read_only: set[str] = set()
        required: set[str] = set()
        for branch in self._branches(node):
            properties = branch.get("properties")
            own = {name for name, item in properties.items() if self._read_only(item)} if isinstance(properties, dict) else set()
            read_only |= own
            if isinstance(branch.get("required"), list):
                required |= {name for name in branch["required"] if isinstance(name, str)} - own
        return frozenset(read_only & required)

    def _branches(self, node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """`node` and everything that it is all of."""
        pending, seen = [node], {id(node)}
        while pending and len(seen) < RECURSION_HOPS:
            branch = pending.pop()
            yield branch
            for item in branch["allOf"] if isinstance(branch.get("allOf"), list) else ():
                target = self.lifter.resolver.peek(item)
                if isinstance(target, dict) and id(target) not in seen:
                    seen.add(id(target))
                    pending.append(target)

    # References

    def _referred(self, node: dict[str, Any], at: At) -> str | None:
        """The pointer that `node` refers to, by any of the keywords that do; `?` and why when that is nowhere."""
        reference = node.get("$ref")
        if isinstance(reference, str):
            return self._followed(reference)
        for key in ("$dynamicRef", "$recursiveRef"):
            if isinstance(node.get(key), str):
                return self._dynamic(node[key], at)
        return None

    def _followed(self, reference: str) -> str:
        if reference == "#":
            return self.base  # a schema that means itself: the document is none
        try:
            return self.lifter.resolver.follow(reference)[1]
        except Dangling as error:
            if reference.startswith(("#/definitions/", "#/$defs/")):
                embedded = self.base + reference[1:]  # meant from the schema's own root, as inside an embedded schema
                if self.lifter.resolver.lookup(embedded) is not None:
                    return embedded
            return f"?{error}"

    def _dynamic(self, reference: str, at: At) -> str:
        """Where a reference leads that is resolved at validation time by the book: to the nearest anchor around it."""
        place = self.pointer(at)
        if reference == "#":
            return self._enclosing(place)
        return self.lifter.anchored(reference.removeprefix("#"), place) or self._followed(reference)

    def _enclosing(self, place: str) -> str:
        around = place
        while len(around) > len(self.base):
            node = self.lifter.resolver.lookup(around)
            if isinstance(node, dict) and (node.get("$recursiveAnchor") is True or "$id" in node):
                return around
            around = around.rpartition("/")[0]
        return self.base

    def _reference(self, pointer: str, node: dict[str, Any], at: At, depth: int, in_place: bool, drop: frozenset[str]) -> Schema:
        beside = {key: value for key, value in node.items() if key not in keywords.REFERENCES}
        if not self.lifter.siblings_count:
            ignored = [key for key in beside if key in keywords.CONSTRAINTS]
            if ignored:
                self.report("info", "ref-siblings", at, f"OpenAPI gives keys beside a $ref no meaning before 3.1: {', '.join(ignored)}")
            beside = {key: value for key, value in beside.items() if key not in ignored}
        if pointer.startswith("?"):
            self.report("warning", "dangling-reference", at, f"{pointer[1:]}; anything is accepted here")
            lifted: dict[str, Any] = self._keywords(beside, at, depth, in_place, drop)
        elif drop and pointer != self.base:
            target = self.schema(self.lifter.resolver.lookup(pointer), at, depth + 1, in_place=in_place, drop=drop)
            own = self._keywords(beside, at, depth, in_place, drop)
            lifted = {"allOf": [target], **own} if own else target if isinstance(target, dict) else {"allOf": [target]}
        else:
            lifted = Reference(pointer, in_place, self._keywords(beside, at, depth, in_place, drop))
            self.references.append(lifted)
        return keywords.or_null(lifted) if keywords.is_nullable(node) else lifted
