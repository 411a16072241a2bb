"""`toolgate health`: whether the server of these settings, on this machine, takes calls. For containers and supervisors."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import tell

if TYPE_CHECKING:
    from toolgate.settings import Server

SECONDS = 3.0


@click.command()
@common
async def command(config: Path | None, as_json: bool) -> None:
    """Ask the running server whether it is ready; ends with 0 when it is."""
    server = settings_of(config).server
    reason = await _ask(server)
    if reason is not None:
        raise ended("unreachable", f"not ready: {reason}", hint="`toolgate serve` starts it")
    tell({"ready": True}, as_json, "ready")


async def _ask(server: Server) -> str | None:
    """None when ready, else why not."""
    from toolgate.egress.origin import origin_of
    from toolgate.egress.transport import open_transport
    from toolgate.egress.wire import Reach, Request
    from toolgate.errors import ToolgateError

    url = f"{server.url}/readyz"
    reach = Reach(frozenset({origin_of(url)}), (ip_network("0.0.0.0/0"), ip_network("::/0")))
    async with open_transport() as transport:
        try:
            response = await transport.send(Request("GET", url), reach=reach, seconds=SECONDS)
        except ToolgateError as error:
            return str(error)
    return None if response.status == 200 else response.body.decode(errors="replace")[:300]
