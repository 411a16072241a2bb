"""A loaded integration as tools. After this nobody knows where a tool came from."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

from toolgate.calls import Call, Outcome, Rate, Tool
from toolgate.egress.wire import Request, Sender
from toolgate.integration import Integration
from toolgate.openapi.credentials import Credentials
from toolgate.openapi.definition import Definition
from toolgate.openapi.execute import Executor, check_shown, home_of, reach_of, server_of
from toolgate.openapi.load import Loaded
from toolgate.openapi.own import NOBODYS, Own, credentials_for

USER_CREDENTIALS = "feature:user_credentials"
"""The tag of tools that are called with what belongs to the caller: only tiers with that feature have them."""


class _There:
    """What the tools of an integration have in common about where they go; looked at when the first is called."""

    def __init__(self, integration: Integration, definitions: Sequence[Definition]) -> None:
        self.integration = integration
        self._definitions = definitions

    @cached_property
    def home(self) -> str | None:
        return home_of((definition.plan for definition in self._definitions), self.integration)


class Operation:
    """The `run` of a tool, made ready when it is first called: a catalogue of a thousand tools calls a handful."""

    def __init__(self, definition: Definition, there: _There, sender: Sender, credentials: Credentials, uploads: Path | None) -> None:
        self._definition = definition
        self._integration = there.integration
        self._there = there
        self._sender = sender
        self._credentials = credentials
        self._uploads = uploads

    def __call__(self, call: Call) -> Awaitable[Outcome]:
        return self._executor(call)

    def preview(self, call: Call) -> Request:
        """The request that `call` would send, secrets masked."""
        return self._executor.preview(call)

    @cached_property
    def _executor(self) -> Executor:
        plan = self._definition.plan
        server = server_of(plan, self._integration)
        check_shown(server, self._there.home, self._integration)
        reach = reach_of(server, self._integration)
        return Executor(plan, self._integration, server, reach, self._sender, self._credentials, self._uploads)


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
    there = _There(loaded.declaration, (*loaded.definitions, *loaded.quarantined))
    return [_tool(definition, there, sender, credentials, uploads) for definition in loaded.definitions]


def _tool(definition: Definition, there: _There, sender: Sender, credentials: Credentials, uploads: Path | None) -> Tool:
    integration = there.integration
    return Tool(
        name=definition.name,
        description=definition.description,
        schema=dict(definition.schema),
        run=Operation(definition, there, sender, credentials, uploads),
        advertised=dict(definition.advertised),
        title=definition.title,
        details=definition.full_description,
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
        remote=integration.asgi is None,
        quiet=integration.asgi is None,
        search_text=definition.search_text,
        request=definition.key,
        fingerprint=definition.fingerprint,
    )
