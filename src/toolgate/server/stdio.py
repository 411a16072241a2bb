"""Serve one client over standard input and output: the person at this machine, as the operating system names them.

Standard output belongs to the protocol: while serving, whatever else is printed goes to standard error.
"""

from __future__ import annotations

import math

import anyio
import mcp_types as types
from mcp.shared.message import SessionMessage

from toolgate.gateway import Gateway
from toolgate.internal.jobs import Jobs
from toolgate.server.calling import called
from toolgate.server.clients import Clients
from toolgate.server.dialogue import Dialogue
from toolgate.server.handlers import Underway, build_server
from toolgate.server.identify import local
from toolgate.server.lines import Input, Output, claimed
from toolgate.server.offered import Offered
from toolgate.server.tasks import Tasks
from toolgate.settings import Settings

GRACE = 0.2
"""Seconds that what is under way gets when the client closes our input: enough for all that waits for nobody else. A guess."""
LAST_SECONDS = 5.0
"""That a client may take to read the last answers once it has closed our input."""


async def serve_stdio(gateway: Gateway, settings: Settings, clients: Clients | None = None, jobs: Jobs | None = None) -> None:
    """Answer until the client closes our standard input; calls that are not over soon after are cancelled and written down.

    Args:
        clients: hears who calls; None: nobody wants to know.
        jobs: None: no call becomes a task.
    """
    with claimed() as (source, sink):
        await converse(gateway, settings, Input(source), Output(sink), clients, jobs)


async def converse(
    gateway: Gateway, settings: Settings, source: Input, sink: Output, clients: Clients | None = None, jobs: Jobs | None = None
) -> None:
    """Answer what comes from `source` until it ends."""
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
        tasks=Tasks(gateway, jobs, lambda _context: principal, settings.server.task_after) if jobs is not None else None,
    )
    if clients is not None:
        clients.watch(server, lambda _context: principal)
    # Without a bound, since the SDK takes all that comes and begins it at once; only a handshake keeps it.
    hand, heard = anyio.create_memory_object_stream[SessionMessage | Exception](math.inf)
    say, said = anyio.create_memory_object_stream[SessionMessage](0)
    stamp = {types.SERVER_INFO_META_KEY: server.server_info_stamp}
    dialogue = Dialogue(gateway, principal, stamp, sink.write, hand.send_nowait)

    async def tell() -> None:
        async with said:
            async for message in said:
                dialogue.tell(message.message)
                await sink.drained()

    async with offered.changes.telling(), anyio.create_task_group() as writing:
        writing.start_soon(sink.run)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            tasks.start_soon(server.run, heard, say, server.create_initialization_options())
            try:
                await source.read(dialogue.hear, sink)
                with anyio.move_on_after(GRACE):
                    await dialogue.answered()
            finally:
                hand.close()
                await dialogue.end()
            tasks.cancel_scope.deadline = anyio.current_time() + LAST_SECONDS
        with anyio.move_on_after(LAST_SECONDS):
            await sink.flushed()
        writing.cancel_scope.cancel()
