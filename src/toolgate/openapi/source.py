"""A loaded integration as tools. After this nobody knows where a tool came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from toolgate.calls import Call, Outcome, Rate, Tool
from toolgate.egress.wire import Sender
from toolgate.integration import Integration
from toolgate.openapi.definition import Definition
from toolgate.openapi.execute import Executor, home_of
from toolgate.openapi.load import Loaded
from toolgate.openapi.own import NOBODYS, Own, credentials_for

USER_CREDENTIALS = "feature:user_credentials"
"""The tag of tools that are called with what belongs to the caller: only tiers with that feature have them."""


def tools_of(loaded: Loaded, sender: Sender, uploads: Path | None = None, own: Own = NOBODYS) -> Iterable[Tool]:
    """The tools of an integration.

    Args:
        sender: carries their requests out.
        uploads: the folder below which callers on this machine may name files to send.
        own: where callers' own credentials are kept.
    """
    if loaded.declaration is None:
        return ()
    credentials = credentials_for(loaded.declaration, sender, own)
    integration, everything = loaded.declaration, (*loaded.definitions, *loaded.quarantined)
    home = cache(lambda: home_of((definition.plan for definition in everything), integration))
    return [
        replace(
            tool_of(definition, integration, Executor(definition, integration, home, sender, credentials, uploads)),
            advertised=dict(definition.advertised),
            details=definition.full_description,
            remote=integration.asgi is None,
            quiet=integration.asgi is None,
            request=definition.key,
        )
        for definition in loaded.definitions
    ]


def tool_of(definition: Definition, integration: Integration, run: Callable[[Call], Awaitable[Outcome]]) -> Tool:
    """A tool as it is whatever its integration is of."""
    return Tool(
        name=definition.name,
        description=definition.description,
        schema=dict(definition.schema),
        run=run,
        title=definition.title,
        annotations=definition.annotations,
        integration=integration.name,
        tags=(*definition.tags, USER_CREDENTIALS) if integration.per_user else definition.tags,
        listed=definition.listed,
        price=definition.price,
        timeout=definition.timeout,
        cache=definition.cache,
        public=integration.defaults.cache_scope == "public",
        rates=tuple(Rate(rate.calls, rate.per, rate.pool or integration.name) for rate in integration.rates),
        concurrency=integration.concurrency,
        search_text=definition.search_text,
        fingerprint=definition.fingerprint,
    )
