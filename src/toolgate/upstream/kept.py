"""What servers offered when they were last asked, kept in the state folder: tools are known before a server answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from toolgate.integration import Integration
from toolgate.openapi.definition import Defined
from toolgate.openapi.folder import write
from toolgate.upstream.definition import define


def known(state: Path, integration: Integration) -> Defined:
    """The definitions of the tools that the server was last known to offer; none when it never was."""
    try:
        tools = orjson.loads(_file(state, integration.name).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        tools = []
    return define(tools if isinstance(tools, list) else [], integration)


def keep(state: Path, integration: Integration, tools: Sequence[Any]) -> None:
    """A state folder that cannot be written costs nothing but that."""
    file = _file(state, integration.name)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write(file, orjson.dumps(tools))
    except (OSError, TypeError):
        return


def _file(state: Path, name: str) -> Path:
    return state / "upstreams" / f"{name}.json"
