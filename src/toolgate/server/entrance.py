"""The ways in over HTTP, put together from the settings: API keys, issuers' tokens, and nothing on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from toolgate.egress.wire import Sender
from toolgate.gateway.audit import record
from toolgate.openapi.exchange import Subjects
from toolgate.server.failures import counting
from toolgate.server.identify import Identify, Shows, anonymous, by_credential
from toolgate.server.keys import Keys
from toolgate.settings import Settings
from toolgate.stores import Stores


@asynccontextmanager
async def entrance(settings: Settings, stores: Stores, sender: Sender, subjects: Subjects | None) -> AsyncIterator[Identify]:
    """Who is asking, while the block runs.

    Args:
        sender: the guarded way out, for the keys of issuers.
        subjects: keeps tokens that are to be exchanged; None: none are.

    Raises:
        Misconfigured: the issuers cannot be told apart.
    """
    identity = settings.identity
    tokens: Shows | None = None
    if identity.issuers:
        from toolgate.server.tokens import Tokens

        tokens = Tokens(identity.issuers, sender, subjects)

    async def tell(details: Mapping[str, Any]) -> None:
        await record(stores.journal, "auth.failed", **details)

    async with counting(tell, identity.failures) as failures:
        yield by_credential(Keys(stores.records), tokens, failures, anonymous(settings.anonymous, settings.server, identity.resource))
