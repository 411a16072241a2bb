"""Where a `$ref` leads: any pointer of one document, never further.

References to files were bundled into the document when it was read (`bundle.py`), so everything here is local. Two
spellings are kept apart: a *reference* is a URI such as `#/paths/~1pets/get` (percent-encoded), a *pointer* is what
RFC 6901 calls so, `/paths/~1pets/get`; the pointer of the whole document is empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from toolgate.pointer import child, escape, join, unescape

MAX_HOPS = 100  # a guess; real chains are 1 to 3 long


class Dangling(LookupError):
    """A reference that leads to nothing: `pointer` is what it says, the message also says why."""

    def __init__(self, pointer: str, why: str = "points nowhere") -> None:
        super().__init__(f"{pointer} {why}")
        self.pointer = pointer
        self.why = why


class Resolver:
    """Looks pointers and references up in one document, which it takes to stay as it is."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._found: dict[str, tuple[Any, str] | Dangling] = {}
        self._names: dict[str, tuple[Any, str]] | None = None

    def lookup(self, pointer: str) -> Any:
        """What stands at `pointer`, or None when nothing does."""
        try:
            return self._walk(pointer, [unescape(token) for token in pointer.split("/")[1:]], ())[0]
        except Dangling:
            return None

    def deref(self, node: Any) -> tuple[Any, str | None]:
        """`node`, or what it refers to, through any number of `$ref`s; keys beside a `$ref` are not looked at.

        Returns:
            The target and its pointer; the pointer is None when `node` is no reference.

        Raises:
            Dangling: a reference on the way points nowhere, outside this document, or back to itself.
        """
        pointer: str | None = None
        for _ in range(MAX_HOPS):
            reference = reference_of(node)
            if reference is None:
                return node, pointer
            node, pointer = self.follow(reference)
        raise Dangling(reference or "", "leads back to itself")

    def peek(self, node: Any) -> Any:
        """What `node` is in the end, or None when it points nowhere."""
        try:
            return self.deref(node)[0]
        except Dangling:
            return None

    def follow(self, reference: str) -> tuple[Any, str]:
        """What one reference names, itself perhaps a reference, and its pointer.

        Raises:
            Dangling: it names nothing here.
        """
        return self._follow(reference, ())

    def _follow(self, reference: str, trail: tuple[str, ...]) -> tuple[Any, str]:
        found = self._found.get(reference)
        if found is None:
            try:
                found = self._find(reference, trail)
            except Dangling as error:
                found = error  # kept too: a bad reference may be asked for ten thousand times
            self._found[reference] = found
        if isinstance(found, Dangling):
            raise Dangling(found.pointer, found.why)
        return found

    def _find(self, reference: str, trail: tuple[str, ...]) -> tuple[Any, str]:
        if reference in trail or len(trail) == MAX_HOPS:
            raise Dangling(reference, "leads back to itself")
        trail = (*trail, reference)
        if reference == "#":
            return self.root, ""
        if not reference.startswith("#/"):
            return self._named(reference)
        tokens = reference[2:].split("/")
        try:
            return self._walk(reference, [unescape(unquote(token)) for token in tokens], trail)
        except Dangling:
            if "%" not in reference:
                raise
            return self._walk(reference, [unescape(token) for token in tokens], trail)  # a bare `%` that its author left unencoded

    def _walk(self, name: str, keys: list[str], trail: tuple[str, ...]) -> tuple[Any, str]:
        node: Any = self.root
        pointer = ""
        for key in keys:
            hops: list[str] = []
            while (inner := child(node, key, _ABSENT)) is _ABSENT:
                # Strictly a pointer does not pass through a `$ref`; authors write as if it did.
                reference = reference_of(node)
                if reference is None:
                    raise Dangling(name)
                if reference in hops:
                    raise Dangling(name, "leads back to itself")
                hops.append(reference)
                node, pointer = self._follow(reference, trail)
            node = inner
            pointer = f"{pointer}/{escape(key)}"
        return node, pointer

    def _named(self, reference: str) -> tuple[Any, str]:
        """By `$anchor` or `$id`, the two ways of JSON Schema to name a place besides its pointer."""
        if self._names is None:
            self._names = {}
            for node, pointer in mappings(self.root):
                for key, mark in (("$anchor", "#"), ("$id", "")):
                    if isinstance(name := node.get(key), str):
                        self._names.setdefault(f"{mark}{name}", (node, pointer))
        if reference in self._names:
            return self._names[reference]
        raise Dangling(reference, "points nowhere" if reference.startswith("#") else "lies outside this document and is not fetched")


def reference_of(node: Any) -> str | None:
    """The `$ref` of a node that is a reference."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            return reference
    return None


_ABSENT: Any = object()


def mappings(root: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Every mapping of a tree with its pointer, in order."""
    pending: list[tuple[Any, str]] = [(root, "")]
    while pending:
        node, pointer = pending.pop()
        if isinstance(node, dict):
            yield node, pointer
        inner = reversed(node.items()) if isinstance(node, dict) else reversed(list(enumerate(node)))
        pending += [(value, join(pointer, key)) for key, value in inner if isinstance(value, dict | list)]
