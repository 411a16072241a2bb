"""A description while operations are read out of it: tolerant looks at whatever its author wrote.

Every look answers with something of the right type or with nothing, and notes what it had to pass over.
"""

from __future__ import annotations

from typing import Any

from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.read import Document
from toolgate.openapi.resolve import Dangling, Resolver

MAX_LOOKS = 500_000
"""Objects that are looked at. What stands in a description once may be referred to, and looked at, ten thousand times."""
TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class TooMuch(Exception):
    """The description means far more than it says."""


class Reading:
    """One description, its version, where its references lead, and what was found wrong so far."""

    def __init__(self, document: Document, resolver: Resolver) -> None:
        self.root = document.root
        self.version = document.version
        self.resolver = resolver
        self.findings = Findings()
        self.looks = 0

    def look(self, times: int = 1) -> None:
        """Every look calls this first. Raises TooMuch when that makes more than MAX_LOOKS."""
        self.looks += times
        if self.looks > MAX_LOOKS:
            raise TooMuch

    def item(self, node: Any, pointer: str, what: str) -> tuple[dict[str, Any], str] | None:
        """An object of the description, references followed, with its own pointer; None, noted, when there is none.

        A `description` beside a `$ref` counts, in every version: 3.1 says so and authors of 3.0 meant it.
        """
        self.look()
        try:
            target, place = self.resolver.deref(node)
        except Dangling as error:
            self.findings.warning("dangling-reference", pointer, f"{what}: {error}")
            return None
        if not isinstance(target, dict):
            self.findings.warning("not-an-object", pointer, f"{what} is not an object and is passed over")
            return None
        if place is not None and isinstance(text := node.get("description"), str):
            target = {**target, "description": text}
        return target, pointer if place is None else place

    def mapping(self, node: dict[str, Any], key: str, pointer: str) -> dict[str, Any]:
        """`node[key]`, empty when it is absent, null or (noted) no mapping."""
        value = node.get(key)
        if isinstance(value, dict):
            self.look(len(value))
            return value
        if value is not None:
            self.findings.warning("not-an-object", f"{pointer}/{key}", f"`{key}` must be a mapping and is passed over")
        return {}

    def items(self, node: dict[str, Any], key: str, pointer: str) -> list[Any]:
        """`node[key]`, empty when it is absent, null or (noted) no list."""
        value = node.get(key)
        if isinstance(value, list):
            self.look(len(value))
            return value
        if value is not None:
            self.findings.warning("not-a-list", f"{pointer}/{key}", f"`{key}` must be a list and is passed over")
        return []

    def texts(self, node: dict[str, Any], key: str, pointer: str) -> tuple[str, ...]:
        """The texts in `node[key]`; one text alone counts as a list of itself."""
        value = node.get(key)
        if isinstance(value, str):
            return (value,)
        return tuple(item for item in self.items(node, key, pointer) if isinstance(item, str))

    def flag(self, node: dict[str, Any], key: str, pointer: str) -> bool:
        """`node[key]` as a truth value; `"No"` and the like count, anything else is false and noted."""
        value = node.get(key, False)
        if isinstance(value, bool):
            return value
        truth = TRUTHS.get(str(value).lower())
        if value is not None:
            said = "is not true or false" if truth is None else f"is read as {str(truth).lower()}"
            self.findings.info("flag-not-boolean", f"{pointer}/{key}", f"`{key}` {said}")
        return truth or False


def text(node: dict[str, Any], key: str) -> str | None:
    """`node[key]` when it is text with something in it."""
    value = node.get(key)
    return value if isinstance(value, str) and value.strip() else None
