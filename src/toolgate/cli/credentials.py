"""`toolgate credentials`: link a caller's own credential for an integration. Its value comes on stdin or from the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import common, settings_of
from toolgate.cli.output import listed, say, tell
from toolgate.cli.state import opened
from toolgate.errors import Misconfigured, NotLinked
from toolgate.times import stamp

if TYPE_CHECKING:
    from toolgate.calls import Principal
    from toolgate.integration import Integration
    from toolgate.openapi.links import Holder, Link, Links
    from toolgate.settings import Settings
    from toolgate.stores import Stores

VARIABLE = "TOOLGATE_CREDENTIAL"
LONGEST = 64 * 1024
"""Characters of a credential."""
COLUMNS = ("integration", "user", "tenant", "linked (UTC)")

user_option = click.option("--user", metavar="ID", help="Whose, as the audit names them; default: who you are here.")
tenant_option = click.option("--tenant", metavar="NAME", help="Of which tenant; default: yours here.")


@click.group()
def command() -> None:
    """Link, list and remove what callers themselves show an integration with `per_user`."""


@command.command("set")
@common
@click.argument("integration")
@user_option
@tenant_option
async def set_(config: Path | None, as_json: bool, integration: str, user: str | None, tenant: str | None) -> None:
    """Link a credential for INTEGRATION: its key, its token, or `username:password`.

    Pipe it in, or set TOOLGATE_CREDENTIAL: arguments can be seen by everybody on a machine. It is kept encrypted, for
    this user and integration only.
    """
    settings = settings_of(config)
    _check(settings, integration)
    secret = _secret()
    async with _opened(settings) as (links, stores, who):
        holder = _holder_of(integration, user, tenant, who)
        await links.set(holder, secret)
        await _record(stores, who, holder, "linked")
    whose = f"{holder.user}'s own credential"
    tell(_holder(holder), as_json, f"{holder.integration} is called with {whose} from now on, in every process within 5 seconds")


@command.command()
@common
@click.argument("integration")
@user_option
@tenant_option
@click.option("--shared", is_flag=True, help="For everybody, and for the lists that nobody in particular asks for.")
@click.option("--scope", "scopes", metavar="'A B'", default="", help="Ask for these scopes too, parted by spaces.")
@click.option("--port", type=click.IntRange(0, 65535), help="Where the browser comes back to on this machine; default 8766, 0: any.")
@click.option("--no-browser", is_flag=True, help="Only say where to go.")
async def link(
    config: Path | None,
    as_json: bool,
    integration: str,
    user: str | None,
    tenant: str | None,
    shared: bool,
    scopes: str,
    port: int | None,
    no_browser: bool,
) -> None:
    """Let Toolgate into INTEGRATION by your consent, given in a browser (OAuth).

    For integrations with `auth: {type: oauth2_authorization_code}`. What comes of it is kept encrypted, and refreshed.
    """
    from toolgate.oauth.document import PORT

    port = PORT if port is None else port
    done = await _link(settings_of(config), integration, user, tenant, shared, scopes.split(), port, no_browser)
    whose, granted = f"as {done['user']}" if done["user"] else "for everybody", " ".join(done["scopes"]) or "no scopes by name"
    tell(done, as_json, f"{integration} is called {whose} from now on; {done['issuer']} granted {granted}")


@command.command()
@common
@click.argument("integration")
@user_option
@tenant_option
@click.option("--shared", is_flag=True, help="What was linked for everybody.")
async def remove(config: Path | None, as_json: bool, integration: str, user: str | None, tenant: str | None, shared: bool) -> None:
    """Forget what was linked for INTEGRATION."""
    user, tenant = ("", "") if shared else (user, tenant)
    async with _opened(settings_of(config)) as (links, stores, who):
        holder = _holder_of(integration, user, tenant, who)
        there = await links.remove(holder)
        if there:
            await _record(stores, who, holder, "removed")
    if not there:
        raise Misconfigured(f"{holder.user} of {holder.tenant} has linked nothing for {integration}; `toolgate credentials list` shows all")
    tell(_holder(holder), as_json, f"what {holder.user} had linked for {integration} is forgotten, in every process within 5 seconds")


@command.command("list")
@common
async def list_(config: Path | None, as_json: bool) -> None:
    """Who has linked a credential for what; never the credential."""
    async with _opened(settings_of(config)) as (links, _, _):
        lines = [as_line(link) for link in await links.list()]
    rows = [(line["integration"], line["user"], line["tenant"], line["linked"][:16].replace("T", " ")) for line in lines]
    listed(lines, as_json, COLUMNS, rows, "nobody has linked a credential; `toolgate credentials set INTEGRATION` links one")


def as_line(link: Link) -> Mapping[str, Any]:
    linked = stamp(link.at)
    return {**_holder(link.holder), "linked": linked}


def _holder(holder: Holder) -> dict[str, str]:
    return {"integration": holder.integration, "user": holder.user, "tenant": holder.tenant}


def _secret() -> str:
    text = os.environ.get(VARIABLE)
    if text is None:
        if sys.stdin.isatty():
            raise click.UsageError(f"the credential is read from stdin or from {VARIABLE}; pipe it in")
        text = sys.stdin.read(LONGEST + 1)
    text = text.strip()
    if not text or len(text) > LONGEST or not text.isprintable():
        raise click.UsageError(f"the credential is one line of at most {LONGEST} characters, and not empty")
    return text


def _check(settings: Settings, integration: str) -> None:
    from toolgate.integration import AuthorizationCode, TokenExchange

    declared = _declared(settings, integration)
    if isinstance(declared.auth, AuthorizationCode):
        raise click.UsageError(f"{integration} is let in by consent; `toolgate credentials link {integration}` asks for it")
    if not declared.per_user or isinstance(declared.auth, TokenExchange):
        raise click.UsageError(f"{integration} is not called with callers' own credentials; `auth: {{…, per_user: true}}` would say so")


def _declared(settings: Settings, integration: str) -> Integration:
    from toolgate.openapi.load import load_all

    declared = {loaded.name: loaded.declaration for loaded in load_all(settings) if loaded.declaration}
    if integration not in declared:
        raise click.UsageError(f"there is no integration {integration}; there are {', '.join(sorted(declared)) or 'none'}")
    return declared[integration]


async def _link(
    settings: Settings, name: str, user: str | None, tenant: str | None, shared: bool, scopes: list[str], port: int, quiet: bool
) -> dict[str, Any]:
    from toolgate.app import consent_of
    from toolgate.cli.linking import show, waiting
    from toolgate.egress.transport import open_transport
    from toolgate.openapi.consent import holder_of

    integration = _declared(settings, name)
    async with _opened(settings) as (_, stores, who), open_transport() as transport:
        consent = consent_of(settings, stores, transport)
        holder = holder_of(integration, tenant or who.tenant, user or who.id, shared=shared)
        try:
            async with waiting(port) as browser:
                started = await consent.begin(integration, holder, browser.redirect, scopes)
                if quiet or not show(started.url):
                    say(f"open this in a browser on this machine:\n{started.url}")
                else:
                    say(f"your browser asks for your consent; if it does not, open\n{started.url}")
                query = await browser.answer(started.state)
        except TimeoutError:
            raise NotLinked(f"nobody came back from {started.server.issuer}; `toolgate credentials link {name}` begins anew") from None
        except OSError as error:
            raise Misconfigured(f"port {port} of this machine cannot be listened on: {error.strerror}; --port names another") from None
        grant = await consent.finish(integration, holder, started, query)
        await _record(stores, who, holder, "linked")
    return {**_holder(holder), "issuer": grant.issuer, "scopes": list(grant.scopes)}


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Links, Stores, Principal]]:
    from toolgate.app import links_of

    async with opened(settings, "the store `memory` forgets a credential at once; set `store` to another to keep them") as (stores, who):
        yield links_of(settings, stores), stores, who


async def _record(stores: Stores, who: Principal, holder: Holder, change: str) -> None:
    from toolgate.gateway.audit import record

    details = {"change": change, "user": holder.user, "integration": holder.integration}
    await record(stores.journal, "credential.changed", principal=who, tenant=holder.tenant, **details)


def _holder_of(integration: str, user: str | None, tenant: str | None, who: Principal) -> Holder:
    from toolgate.openapi.links import Holder

    return Holder(who.tenant if tenant is None else tenant, who.id if user is None else user, integration)
