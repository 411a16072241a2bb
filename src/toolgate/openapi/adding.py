"""An integration's folder from one description: `toolgate specs add`, `toolgate serve --openapi` and the console."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from toolgate.egress.wire import Sender
from toolgate.errors import Misconfigured
from toolgate.integration import Integration
from toolgate.openapi.load import Loaded, accept, load_aside, sound
from toolgate.openapi.pin import fetch, is_url, keep_copy, write_pin
from toolgate.settings import checked, expand, read_bytes


@dataclass(frozen=True)
class Source:
    """A description, and what its operator says of it."""

    name: str
    origin: str
    """A file, or a URL."""
    base_url: str | None = None
    auth: str | None = None
    """As `auth_of` reads it."""
    networks: tuple[str, ...] = ()
    """CIDRs that may be reached besides public addresses."""
    expose: Literal["list", "search"] = "list"
    fragment: bool = False


AUTH = "bearer:VAR, basic:USER_VAR:PASSWORD_VAR, header:NAME:VAR or query:NAME:VAR"


def auth_of(text: str) -> Mapping[str, Any]:
    """`bearer:VAR` and its like as integration.yaml says it; the variable is named, its content never read.

    Raises:
        Misconfigured: it is none of `AUTH`.
    """
    match text.split(":"):
        case ["bearer", variable] if variable:
            return {"type": "bearer", "token": f"${{{variable}}}"}
        case ["basic", user, password] if user and password:
            return {"type": "basic", "username": f"${{{user}}}", "password": f"${{{password}}}"}
        case ["header" | "query" as place, name, variable] if name and variable:
            return {"type": "api_key", "in": place, "name": name, "value": f"${{{variable}}}"}
    raise Misconfigured(f"--auth takes {AUTH}")


async def add(source: Source, base: Path, state: Path, sender: Sender) -> Loaded:
    """Write the folder of `source` below `base`, and accept what it defines; nothing is left when that fails.

    Raises:
        Misconfigured: the folder is there already or cannot be made, the file is not there, or the description defines nothing that works.
        Failed, EgressBlocked: the URL could not be fetched.
    """
    declaration = _declaration(source)
    networks = checked(Integration, expand(declaration, {}, name="--auth"), name=f"the integration {source.name}").allow_networks
    folder = base / source.name
    if folder.exists():
        raise Misconfigured(f"{folder} is there already; take another name, or `toolgate specs lock {source.name}` to accept its changes")
    data = await fetch(source.origin, sender, networks=networks) if is_url(source.origin) else read_bytes(Path(source.origin))
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise Misconfigured(f"{folder} cannot be made: {error.strerror}") from error
    try:
        if is_url(source.origin):
            write_pin(folder, keep_copy(data, source.origin, state))
        else:
            (folder / declaration["spec"]).write_bytes(data)
        (folder / "integration.yaml").write_text(yaml.safe_dump(declaration, sort_keys=False))
        loaded = sound(await load_aside(folder, state))
        accept(loaded)
    except BaseException:
        shutil.rmtree(folder)
        raise
    return loaded


def _declaration(source: Source) -> dict[str, Any]:
    """What integration.yaml says; only what differs from the defaults."""
    said = {
        "name": source.name,
        "spec": source.origin if is_url(source.origin) else Path(source.origin).name,
        "fragment": source.fragment or None,
        "base_url": source.base_url,
        "auth": auth_of(source.auth) if source.auth else None,
        "expose": source.expose,
        "allow_networks": list(source.networks) or None,
        # Known to cost nothing until the operator says otherwise; an unknown price would soon use up an anonymous caller's budget.
        "prices": {"default": 0},
    }
    return {key: value for key, value in said.items() if value is not None}


def remove(loaded: Loaded) -> None:
    """Take back what `add` has written."""
    shutil.rmtree(loaded.folder)
