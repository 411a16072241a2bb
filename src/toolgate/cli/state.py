"""What this installation remembers, as commands open it that need no server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from toolgate.errors import Misconfigured

if TYPE_CHECKING:
    from toolgate.calls import Principal
    from toolgate.llm.models import Models
    from toolgate.settings import Settings
    from toolgate.stores import Stores


@asynccontextmanager
async def opened(settings: Settings, forgets: str = "", *, ledger: bool = False) -> AsyncIterator[tuple[Stores, Principal]]:
    """The stores, and who sits at this terminal.

    Args:
        forgets: why the command is of no use with the store `memory`; empty: it is.
        ledger: the shared one is needed, where there is one.

    Raises:
        Misconfigured: `forgets`, or as `open_stores` says.
    """
    from toolgate.server.identify import local
    from toolgate.settings import state_folder
    from toolgate.stores import open_stores

    if forgets and settings.store == "memory":
        raise Misconfigured(forgets)
    async with open_stores(settings.store, state_folder(settings), settings.audit, settings.ledger if ledger else None) as stores:
        yield stores, local(settings.stdio, "terminal")


@asynccontextmanager
async def opened_models(settings: Settings, forgets: str = "") -> AsyncIterator[tuple[Models, Principal]]:
    """The language models alone, without tools or gate: nothing is asked of them here. As `opened`."""
    from toolgate.egress.transport import open_transport
    from toolgate.llm.models import open_models
    from toolgate.policy.live import Live
    from toolgate.policy.load import load_policy
    from toolgate.settings import policies_folder

    live = Live(load_policy(policies_folder(settings)))
    async with (
        opened(settings, forgets, ledger=True) as (stores, who),
        open_transport() as transport,
        open_models(settings, transport, stores, live) as models,
    ):
        yield models, who
