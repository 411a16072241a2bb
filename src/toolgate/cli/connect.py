"""`toolgate connect`: what to paste into which client, with absolute paths, since clients start us from anywhere."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, say, table

if TYPE_CHECKING:
    from toolgate.settings import Server

NAME = "toolgate"


@dataclass(frozen=True)
class Client:
    """How one client is told of a server. Sources: the clients' own documentation, autumn 2026."""

    id: str
    title: str
    stdio: Callable[[Sequence[str]], str]
    """The snippet for a command that speaks MCP on its stdin and stdout."""
    stdio_goes: str
    """Where that snippet goes."""
    http: Callable[[str], str]
    http_goes: str


def _mcp_json(key: str, entry: Mapping[str, Any]) -> str:
    return json.dumps({key: {NAME: entry}}, indent=2)


def _program(words: Sequence[str]) -> dict[str, Any]:
    return {"command": words[0], "args": list(words[1:])}


CLIENTS = (
    Client(
        "claude-desktop",
        "Claude Desktop",
        lambda words: _mcp_json("mcpServers", _program(words)),
        "claude_desktop_config.json (Settings > Developer > Edit Config); then quit Claude Desktop fully and start it again",
        lambda url: url,
        "Settings > Connectors > Add custom connector; Claude Desktop reads no address from its file",
    ),
    Client(
        "claude-code",
        "Claude Code",
        lambda words: shlex.join(["claude", "mcp", "add", NAME, "--", *words]),
        "a shell, in your project",
        lambda url: shlex.join(["claude", "mcp", "add", "--transport", "http", NAME, url]),
        "a shell, in your project",
    ),
    Client(
        "vscode",
        "VS Code",
        lambda words: _mcp_json("servers", {"type": "stdio", **_program(words)}),
        ".vscode/mcp.json of your project",
        lambda url: _mcp_json("servers", {"type": "http", "url": url}),
        ".vscode/mcp.json of your project",
    ),
    Client(
        "cursor",
        "Cursor",
        lambda words: _mcp_json("mcpServers", _program(words)),
        "~/.cursor/mcp.json, or .cursor/mcp.json of your project",
        lambda url: _mcp_json("mcpServers", {"url": url}),
        "~/.cursor/mcp.json, or .cursor/mcp.json of your project",
    ),
)


@click.command()
@click.argument("client", required=False, metavar="[CLIENT]")
@click.option("--http", "over_http", is_flag=True, help="Connect to a running `toolgate serve` instead of starting one by stdio.")
@common
def command(client: str | None, over_http: bool, config: Path | None, as_json: bool) -> None:
    """Print what to paste into CLIENT; without one, the clients known."""
    if client is None:
        _list(as_json)
        return
    chosen = next((known for known in CLIENTS if known.id == client.lower()), None)
    if chosen is None:
        raise ended("usage", f"there is no client {client!r} here; there is {', '.join(known.id for known in CLIENTS)}")
    settings = settings_of(config)
    if over_http:
        transport, snippet, goes = "http", chosen.http(_address(settings.server)), chosen.http_goes
    else:
        transport, snippet, goes = "stdio", chosen.stdio(_stdio_words(config)), chosen.stdio_goes
    if as_json:
        emit({"client": chosen.id, "transport": transport, "goes": goes, "snippet": snippet})
        return
    say(f"{chosen.title} over {transport}. This goes into: {goes}")
    click.echo(snippet)
    say(
        "Start `toolgate serve` first."
        if over_http
        else "Credentials such as GITHUB_TOKEN must be in the client's environment or in `env` there."
    )


def _list(as_json: bool) -> None:
    if as_json:
        emit([{"client": known.id, "title": known.title} for known in CLIENTS])
    else:
        table(("client", "title"), [(known.id, known.title) for known in CLIENTS])
        say("`toolgate connect CLIENT` prints what to paste; --http for a server that runs already")


def _address(server: Server) -> str:
    if server.port == 0:
        raise ended("usage", "the server takes any free port, so it has no address to paste", hint="set server.port in toolgate.yaml")
    return f"{server.url}/mcp"


def _stdio_words(config: Path | None) -> list[str]:
    file = config or Path("toolgate.yaml")
    return [*this_program(), "serve", "--stdio", *(["--config", str(file.resolve())] if file.exists() else [])]


def this_program() -> list[str]:
    """How to start this very installation from anywhere."""
    script = Path(sys.executable).with_name("toolgate")
    return [str(script)] if script.exists() else [sys.executable, "-m", "toolgate"]
