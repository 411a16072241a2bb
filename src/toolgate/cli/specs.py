"""`toolgate specs`: add descriptions, see what was repaired or lost in them, and accept what changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, say, table, tell

if TYPE_CHECKING:
    from toolgate.openapi.adding import Source
    from toolgate.openapi.load import Loaded
    from toolgate.settings import Settings

MANY = 100  # listed tools above which a client's model reads more of them than of the task


@click.group()
def command() -> None:
    """Add, check and accept the descriptions that tools are made from."""


@command.command()
@common
@click.argument("name")
@click.option("--from", "origin", required=True, metavar="FILE-OR-URL", help="The OpenAPI description; a URL is fetched once and pinned.")
@click.option(
    "--expose", type=click.Choice(["list", "search"]), default="list", show_default=True, help="List its tools, or let them be found."
)
@click.option("--base-url", metavar="URL", help="Where calls go, instead of where the description says.")
@click.option("--auth", metavar="HOW", help="bearer:VAR, basic:USER_VAR:PASSWORD_VAR, header:NAME:VAR or query:NAME:VAR.")
@click.option("--allow-network", "networks", multiple=True, metavar="CIDR", help="Addresses besides public ones that it may reach.")
@click.option("--fragment", is_flag=True, help="The description is bare path items.")
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Where the folder NAME is made.")
async def add(
    config: Path | None,
    as_json: bool,
    name: str,
    origin: str,
    expose: Literal["list", "search"],
    base_url: str | None,
    auth: str | None,
    networks: tuple[str, ...],
    fragment: bool,
    to: Path | None,
) -> None:
    """Make the integration NAME from an OpenAPI description."""
    from toolgate.openapi import adding

    settings = settings_of(config)
    base = to or (settings.tool_specs[0] if settings.tool_specs else Path("tool-specs"))
    source = adding.Source(name, origin, base_url, auth, networks, expose, fragment)
    loaded = await added(source, base, settings)
    if as_json:
        emit({"name": loaded.name, "folder": str(loaded.folder), "tools": len(loaded.definitions), **_counts(loaded)})
        return
    say(f"{loaded.folder}: {_tools(len(loaded.definitions))}; {_counted(loaded)}")
    if expose == "list" and len(loaded.definitions) > MANY:
        say(f"all {len(loaded.definitions)} are listed; `expose: search` in its integration.yaml keeps lists short")
    if base.resolve() not in {folder.resolve() for folder in settings.tool_specs}:
        say(f"to serve it, put `tool_specs: [{base}]` into toolgate.yaml")


@command.command()
@common
@click.argument("name")
def lint(config: Path | None, as_json: bool, name: str) -> int:
    """What was repaired, simplified or left out of the description of NAME; exit code 1 if anything was left out."""
    loaded = _loaded(name, settings_of(config))
    if as_json:
        emit([asdict(found) for found in loaded.diagnostics])
    else:
        table(
            ("level", "code", "where", "message"),
            [(found.level, found.code, found.pointer or "/", found.message) for found in loaded.diagnostics],
        )
        say(f"{_tools(len(loaded.definitions) + len(loaded.quarantined))}; {_counted(loaded)}")
    return int(any(found.level == "error" for found in loaded.diagnostics))


@command.command()
@common
@click.option("--fetch", "newest", is_flag=True, help="Compare with what the description's URL, or the server, says now.")
@click.argument("name")
async def diff(config: Path | None, as_json: bool, newest: bool, name: str) -> None:
    """What NAME defines that is not as you accepted it, and is kept back until `toolgate specs lock NAME`."""
    from toolgate.openapi.load import accepted
    from toolgate.openapi.lock import compare

    settings = settings_of(config)
    loaded = await _renewed(name, settings, keep=False) if newest else _loaded(name, settings)
    pinned = accepted(loaded.folder)
    if pinned is None:
        raise ended("misconfigured", f"nothing of {name} has been accepted yet", hint=f"`toolgate specs lock {name}` accepts it as it is")
    changes = asdict(compare(pinned, (*loaded.definitions, *loaded.quarantined)))
    if as_json:
        emit(changes)
        return
    table(("change", "tool"), [(change, tool) for change, tools in changes.items() for tool in tools])
    say(_changed(changes))


@command.command()
@common
@click.argument("name")
async def lock(config: Path | None, as_json: bool, name: str) -> None:
    """Accept what NAME defines now; a description at a URL is fetched and pinned anew, an MCP server is asked."""
    from toolgate.openapi.load import accept
    from toolgate.openapi.pin import is_url

    settings = settings_of(config)
    spec = _declared(name, settings).declaration
    renew = spec is not None and (spec.kind == "mcp" or (spec.spec is not None and is_url(spec.spec)))
    loaded = await _renewed(name, settings, keep=True) if renew else _loaded(name, settings)
    changes = asdict(accept(loaded))
    tell(changes, as_json, f"{name}: {_changed(changes)}; all accepted")


@command.command()
@common
@click.argument("name")
async def fetch(config: Path | None, as_json: bool, name: str) -> None:
    """Fetch the pinned description of NAME from its URL, as after a fresh clone; a changed one is refused."""
    from toolgate.egress.transport import open_transport
    from toolgate.openapi.pin import fetch, is_url, keep_copy, read_pin
    from toolgate.settings import state_folder

    settings = settings_of(config)
    declared = _declared(name, settings)
    spec = declared.declaration
    if spec is None or (url := spec.spec) is None or not is_url(url):
        raise ended("usage", f"the description of {name} is a file; there is nothing to fetch")
    async with open_transport() as transport:
        data = await fetch(url, transport, networks=spec.allow_networks)
    pin = read_pin(declared.folder)
    if pin is None or keep_copy(data, url, state_folder(settings)) != pin:
        raise ended(
            "misconfigured", f"what {url} says now is not what was pinned", hint=f"`toolgate specs diff {name} --fetch` shows the change"
        )
    tell({"name": name, "url": url, "sha256": pin.sha256}, as_json, f"{name}: {len(data)} bytes from {url}, as pinned")


def _declared(name: str, settings: Settings) -> Loaded:
    """The integration called NAME, whether or not it loads.

    Raises:
        Ended: there is none; names the nearest.
    """
    from difflib import get_close_matches

    from toolgate.openapi.load import load_all

    by_name = {loaded.name: loaded for loaded in load_all(settings.model_copy(update={"integrations": None}))}
    if name not in by_name:
        like = get_close_matches(name, by_name, n=3) or sorted(by_name)
        raise ended("usage", f"there is no integration called {name!r}", hint=f"there is {', '.join(like)}")
    return by_name[name]


def _loaded(name: str, settings: Settings) -> Loaded:
    loaded = _declared(name, settings)
    if loaded.problem:
        raise ended("misconfigured", f"{name}: {loaded.problem}")
    return loaded


async def _renewed(name: str, settings: Settings, *, keep: bool) -> Loaded:
    """NAME with its description as the URL gives it now, or with an MCP server's tools as it tells them now.

    Args:
        keep: pin a description in the integration's folder.

    Raises:
        Unreachable: the server does not tell.
    """
    from toolgate.egress.transport import open_transport
    from toolgate.openapi.own import Own
    from toolgate.openapi.renew import renewed
    from toolgate.settings import state_folder
    from toolgate.upstream.source import look

    declared, state = _declared(name, settings), state_folder(settings)
    async with open_transport() as transport:
        if declared.declaration is None or declared.declaration.kind != "mcp":
            return await renewed(declared, state, transport, keep=keep)
        await look(declared, transport, Own(), state)
    return _loaded(name, settings)


async def added(source: Source, base: Path, settings: Settings) -> Loaded:
    """Write the folder of `source` below `base`; see `toolgate.openapi.adding.add`."""
    from toolgate.egress.transport import open_transport
    from toolgate.openapi.adding import add
    from toolgate.settings import state_folder

    async with open_transport() as transport:
        return await add(source, base, state_folder(settings), transport)


def _counts(loaded: Loaded) -> dict[str, Any]:
    levels = Counter(found.level for found in loaded.diagnostics)
    return {"errors": levels["error"], "warnings": levels["warning"], "infos": levels["info"]}


def _changed(changes: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{len(tools)} {change}" for change, tools in changes.items())


def _tools(count: int) -> str:
    return "1 tool" if count == 1 else f"{count} tools"


def _counted(loaded: Loaded) -> str:
    return ", ".join(f"{count} {level.removesuffix('s') if count == 1 else level}" for level, count in _counts(loaded).items())
