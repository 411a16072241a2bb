"""What of a tool is searched, as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from toolgate.calls import Tool

MOST = 20_000
"""Characters of a field that are read: descriptions come from others."""
MANY = 200
"""Descriptions and choices of parameters that are read."""
DEEP = 3
"""How far down an object's arguments are looked at: a body's own properties are two deep."""


@dataclass(frozen=True, slots=True)
class Document:
    """A tool to the index."""

    name: str
    """Without the integration's prefix, which all its tools share."""
    title: str = ""
    description: str = ""
    parameters: str = ""
    """Their names."""
    values: tuple[str, ...] = ()
    """What is said of parameters, and what they can be, such as `open` and `closed`."""
    place: str = ""
    """The integration or server it is from, tags, its path."""


def document(tool: Tool) -> Document:
    arguments = list(_arguments(tool.schema, DEEP))
    return Document(
        name=tool.name.removeprefix(f"{tool.integration}_"),
        title=tool.title or "",
        description=(tool.details or tool.description)[:MOST],
        parameters=" ".join(dict.fromkeys(name for name, _ in arguments))[:MOST],
        values=tuple(dict.fromkeys(text[:MOST] for _, schema in arguments for text in _said(schema)))[:MANY],
        place=f"{tool.integration} {' '.join(tool.tags)} {tool.search_text}"[:MOST],
    )


def _arguments(schema: Mapping[str, Any], deep: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties = schema.get("properties")
    if deep and isinstance(properties, Mapping):
        for name, inner in properties.items():
            if isinstance(inner, Mapping):
                yield str(name), inner
                yield from _arguments(inner, deep - 1)
    items = schema.get("items")
    if deep and isinstance(items, Mapping):
        yield from _arguments(items, deep - 1)


def _said(schema: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(text := schema.get("description"), str):
        yield text
    if isinstance(choices := schema.get("enum"), list):
        yield from (choice for choice in choices if isinstance(choice, str))
