"""Serve one client over standard input and output: the person at this machine, as the operating system names them.

Standard output belongs to the protocol: while serving, whatever else is printed goes to standard error.
"""

from __future__ import annotations

from mcp.server.stdio import stdio_server

from toolgate.gateway import Gateway
from toolgate.server.handlers import Underway, build_server, called
from toolgate.server.identify import local
from toolgate.server.offered import Offered
from toolgate.settings import Settings


async def serve_stdio(gateway: Gateway, settings: Settings) -> None:
    """Answer until the client closes our standard input; calls that are then under way are cancelled and written down."""
    principal, page_size = local(settings.stdio, "stdio"), settings.server.page_size
    offered = Offered(gateway, lambda _context: principal, page_size, called)
    server = build_server(
        gateway,
        lambda _context: principal,
        page_size=page_size,
        schema_of=lambda _name: None,  # there are no headers here
        underway=Underway(),
        offered=offered,
        instructions=settings.server.instructions,
    )
    async with offered.telling(), stdio_server() as (reader, writer):
        await server.run(reader, writer, server.create_initialization_options())
