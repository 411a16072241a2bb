"""`tools.lock.json`: which definitions the operator has accepted, by name and fingerprint.

A description that changes upstream may change what a model is told to do, what a call does, and where it goes. So a
definition that is not as it was when it was accepted is kept back, alone, until `toolgate specs lock` accepts it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from toolgate.errors import Misconfigured
from toolgate.openapi.definition import Definition

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted definition."""

    fingerprint: str
    operation: str
    """Its key: `GET /repos/{owner}/{repo}`."""


Lock = Mapping[str, Entry]
"""Accepted definitions by tool name."""


@dataclass(frozen=True, slots=True)
class Changes:
    """How definitions differ from a lock, as tool names in order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def lock(definitions: Iterable[Definition]) -> Lock:
    """The lock that accepts exactly these definitions."""
    return {definition.name: _entry(definition) for definition in definitions}


def _entry(definition: Definition) -> Entry:
    return Entry(definition.fingerprint, definition.key)


def digest(definitions: Iterable[Definition]) -> str:
    """Names exactly these definitions: what somebody has seen is accepted by it, and nothing else."""
    return sha256(dumps(lock(definitions))).hexdigest()


def compare(accepted: Lock, definitions: Iterable[Definition]) -> Changes:
    """What has changed since `accepted`."""
    current = lock(definitions)
    return Changes(
        added=tuple(sorted(current.keys() - accepted.keys())),
        removed=tuple(sorted(accepted.keys() - current.keys())),
        changed=tuple(sorted(name for name, entry in accepted.items() if current.get(name, entry) != entry)),
    )


def split(definitions: Iterable[Definition], accepted: Lock | None) -> tuple[tuple[Definition, ...], tuple[Definition, ...]]:
    """The definitions to serve and those in quarantine: new or changed since they were accepted.

    Args:
        accepted: None when there is no lock, so nothing is held against anybody.
    """
    if accepted is None:
        return tuple(definitions), ()
    served: list[Definition] = []
    quarantined: list[Definition] = []
    for definition in definitions:
        (served if accepted.get(definition.name) == _entry(definition) else quarantined).append(definition)
    return tuple(served), tuple(quarantined)


def dumps(accepted: Lock) -> bytes:
    """The file's content: one tool a line, sorted, so that a version control shows what changed."""
    lines = [
        f"    {_json(name)}: {_json({'fingerprint': entry.fingerprint, 'operation': entry.operation})}"
        for name, entry in sorted(accepted.items())
    ]
    tools = "{\n" + ",\n".join(lines) + "\n  }" if lines else "{}"
    return f'{{\n  "version": {VERSION},\n  "tools": {tools}\n}}\n'.encode()


def loads(data: bytes, *, name: str) -> Lock:
    """The lock in a file's content.

    Args:
        name: how messages call the file.

    Raises:
        Misconfigured: it is no lock of a version known here.
    """
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Misconfigured(f"{name} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION or not isinstance(content.get("tools"), dict):
        raise Misconfigured(f"{name} is no tools lock of version {VERSION}; `toolgate specs lock` writes a new one")
    try:
        return {tool: Entry(str(entry["fingerprint"]), str(entry["operation"])) for tool, entry in content["tools"].items()}
    except (TypeError, KeyError):
        raise Misconfigured(f"{name} has an entry without fingerprint and operation; `toolgate specs lock` writes a new one") from None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
