"""`toolgate serve`: the server, over HTTP or stdio; with `--openapi` from one description and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from click.core import ParameterSource

from toolgate import __version__
from toolgate.cli.init import beget
from toolgate.cli.log import log_lines
from toolgate.cli.options import common, settings_of, wait_for
from toolgate.cli.output import emit, say
from toolgate.cli.specs import added

if TYPE_CHECKING:
    from toolgate.app import App
    from toolgate.settings import Caller, Settings


@click.command()
@common
@click.option("--stdio", is_flag=True, help="Speak MCP on stdin and stdout to the one client that started this.")
@click.option("--host", help="Address to listen on instead of the settings'.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port instead of the settings'; 0: any free one.")
@click.option("--openapi", metavar="FILE-OR-URL", help="Serve this one description: what reads may be called, what writes asks a person.")
@click.option("--base-url", metavar="URL", help="Where its calls go, instead of where the description says.")
@click.option("--name", default="api", show_default=True, help="What its tools' names begin with.")
@click.option("--auth", metavar="HOW", help="bearer:VAR, basic:USER_VAR:PASSWORD_VAR, header:NAME:VAR or query:NAME:VAR.")
@click.option(
    "--expose", type=click.Choice(["list", "search"]), default="list", show_default=True, help="List its tools, or let them be found."
)
@click.option("--allow-network", "networks", multiple=True, metavar="CIDR", help="Addresses besides public ones that it may reach.")
def command(
    config: Path | None,
    as_json: bool,
    stdio: bool,
    host: str | None,
    port: int | None,
    openapi: str | None,
    base_url: str | None,
    name: str,
    auth: str | None,
    expose: Literal["list", "search"],
    networks: tuple[str, ...],
) -> None:
    """Serve the tools, over HTTP unless --stdio says otherwise, until Ctrl-C."""
    from toolgate.server.start import make_haste

    beget()
    make_haste()
    if openapi is None and (belonging := _given("base_url", "auth", "networks", "name", "expose")):
        raise click.UsageError(f"{belonging}: only with --openapi")
    if stdio and (belonging := _given("host", "port")):
        raise click.UsageError(f"{belonging}: not with --stdio, which listens nowhere")
    settings = settings_of(config)
    changed = {key: value for key, value in (("host", host), ("port", port)) if value is not None}
    settings = settings.model_copy(update={"server": settings.server.model_copy(update=changed)})
    if openapi is None:
        _serve(settings, stdio, as_json)
        return
    import tempfile

    from toolgate.openapi.adding import Source

    source = Source(name, openapi, base_url, auth, networks, expose)
    with tempfile.TemporaryDirectory(prefix="toolgate-") as temporary:
        wait_for(added(source, Path(temporary), settings))
        served = {"tool_specs": (Path(temporary),), "integrations": None, "anonymous": _guest(settings)}
        _serve(settings.model_copy(update=served), stdio, as_json)


def _given(*names: str) -> str:
    """Those of these options that were given, as they are written."""
    context = click.get_current_context()
    options = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    return ", ".join(options[name] for name in names if context.get_parameter_source(name) is not ParameterSource.DEFAULT)


def _guest(settings: Settings) -> Caller | None:
    """Who comes without a credential to a description served alone: a developer, unless the settings say something else."""
    if settings.anonymous is None or "anonymous" in settings.model_fields_set:
        return settings.anonymous
    return settings.anonymous.model_copy(update={"roles": ("developer",)})


def _serve(settings: Settings, stdio: bool, as_json: bool) -> None:
    from toolgate.app import open_app, serve, serve_stdio
    from toolgate.server.start import run

    log_lines(as_json=settings.log.format == "json", level=settings.log.level)

    async def main() -> None:
        async with open_app(settings) as app:
            if stdio:
                await serve_stdio(app)
            else:
                await serve(app, ready=lambda url: _tell(app, url, as_json))

    run(main)


def _tell(app: App, url: str, as_json: bool) -> None:
    tools = len(app.gateway.catalog)
    missing = [loaded.name for loaded in app.integrations if loaded.problem]
    if as_json:
        emit({"url": url, "mcp": f"{url}/mcp", "sse": f"{url}/sse", "tools": tools, "not_loaded": missing})
        return
    served = len(app.integrations) - len(missing)
    say(f"toolgate {__version__} serves {tools} tools of {served} integration{'' if served == 1 else 's'}")
    if missing:
        say(f"  not loaded: {', '.join(missing)}; `toolgate doctor` says why")
    say(f"  MCP   {url}/mcp   older clients: {url}/sse")
    say(f"  HTTP  {url}/v1/tools")
    say(f"  page  {url}/")
    say("  `toolgate connect` prints what to paste into Claude, VS Code or Cursor; Ctrl-C stops")
