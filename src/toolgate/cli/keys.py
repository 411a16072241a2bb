"""`toolgate keys`: API keys for callers over HTTP. A key is shown once, when it is made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import common, duration, settings_of
from toolgate.cli.output import emit, listed, say, show, tell
from toolgate.cli.state import opened
from toolgate.times import stamp

if TYPE_CHECKING:
    from toolgate.server.keys import Key, Keys
    from toolgate.settings import Caller, Settings

COLUMNS = ("key", "owner", "roles", "tier", "tenant", "state", "expires (UTC)")


@click.group()
def command() -> None:
    """Make, list, replace and revoke the API keys of callers over HTTP."""


@command.command()
@common
@click.argument("owner")
@click.option("--role", "roles", multiple=True, metavar="ROLE", help="What its calls may do; repeatable. Default: readonly.")
@click.option("--tier", default="free", show_default=True, metavar="TIER", help="How much they may do.")
@click.option("--tenant", default="default", show_default=True, metavar="TENANT", help="Whose calls they are.")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="Bounds the roles: tools:read, tools:call, tool:GLOB; repeatable.")
@click.option("--expires", type=duration, default="90d", show_default=True, metavar="TIME|never", help="How long it works, such as 12h.")
async def create(
    config: Path | None,
    as_json: bool,
    owner: str,
    roles: tuple[str, ...],
    tier: str,
    tenant: str,
    scopes: tuple[str, ...],
    expires: float | None,
) -> None:
    """A new key for OWNER, on stdout. Nobody can show it again."""
    from toolgate.settings import Caller

    settings = settings_of(config)
    caller = Caller(roles=roles or ("readonly",), tier=tier, tenant=tenant)
    _check(caller, scopes, settings)
    async with _opened(settings) as (keys, record):
        key, text = await keys.create(owner, caller, seconds=expires, scopes=scopes or None)
        await record("key.created", tenant=tenant, **_told(key))
    _hand_out(key, text, as_json)


@command.command()
@common
@click.argument("key")
@click.option("--overlap", type=duration, default="24h", show_default=True, metavar="TIME", help="How long the old key goes on working.")
async def rotate(config: Path | None, as_json: bool, key: str, overlap: float | None) -> None:
    """A key like KEY, which goes on working for a while. KEY is its id, tg_ and eight characters."""
    if overlap is None:
        raise click.UsageError("an overlap ends")
    async with _opened(settings_of(config)) as (keys, record):
        new, text = await keys.rotate(key, overlap=overlap)
        await record("key.created", tenant=new.caller.tenant, **_told(new), replaces=key)
    _hand_out(new, text, as_json)


@command.command()
@common
@click.argument("key")
async def revoke(config: Path | None, as_json: bool, key: str) -> None:
    """Let nobody in with KEY any more, in any process, within 5 seconds."""
    async with _opened(settings_of(config)) as (keys, record):
        revoked = await keys.revoke(key)
        await record("key.revoked", tenant=revoked.caller.tenant, id=f"tg_{revoked.id}", owner=revoked.owner)
    tell(as_line(revoked), as_json, f"tg_{revoked.id} of {revoked.owner} is revoked; within 5 seconds no process takes it any more")


@command.command("list")
@common
async def list_(config: Path | None, as_json: bool) -> None:
    """Every key there ever was, without its secret."""
    async with _opened(settings_of(config)) as (keys, _):
        found = [as_line(key) for key in await keys.list()]
    listed(found, as_json, COLUMNS, [_row(key) for key in found], "there are no keys; `toolgate keys create OWNER` makes one")


def as_line(key: Key) -> dict[str, Any]:
    return {
        "id": f"tg_{key.id}",
        "owner": key.owner,
        "roles": list(key.caller.roles),
        "tier": key.caller.tier,
        "tenant": key.caller.tenant,
        "scopes": None if key.scopes is None else list(key.scopes),
        "state": key.state(time()),
        "created": _when(key.created),
        "expires": _when(key.expires),
        "revoked": _when(key.revoked),
        "replaced_by": None if key.successor is None else f"tg_{key.successor}",
    }


def _row(line: Mapping[str, Any]) -> tuple[str, ...]:
    expires = "never" if line["expires"] is None else line["expires"][:16].replace("T", " ")
    return (line["id"], line["owner"], ", ".join(line["roles"]), line["tier"], line["tenant"], line["state"], expires)


def _when(seconds: float | None) -> str | None:
    return None if seconds is None else stamp(seconds)


def _hand_out(key: Key, text: str, as_json: bool) -> None:
    if as_json:
        emit({**as_line(key), "key": text})
        return
    show(text)
    say(f"tg_{key.id} of {key.owner} works until {_when(key.expires) or 'it is revoked'}. Keep it now: it is not shown again.")


def _check(caller: Caller, scopes: Iterable[str], settings: Settings) -> None:
    """Refuse roles, tiers and scopes that mean nothing: a key with a misspelt one could do nothing, and nobody would see why."""
    from toolgate.policy.bounds import CALL, READ, TOOL
    from toolgate.policy.load import load_policy
    from toolgate.settings import policies_folder

    policy = load_policy(policies_folder(settings))
    for role in caller.roles:
        if role not in policy.roles and role != "admin":
            raise click.UsageError(f"there is no role {role}; there are {', '.join(sorted(policy.roles))}")
    if policy.tiers and caller.tier not in policy.tiers:
        raise click.UsageError(f"there is no tier {caller.tier}; there are {', '.join(policy.tiers)}")
    for scope in scopes:
        if scope not in (READ, CALL) and not scope.startswith(TOOL):
            raise click.UsageError(f"there is no scope {scope}; there are {READ}, {CALL} and {TOOL}GLOB")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Keys, Callable[..., Awaitable[int]]]]:
    """The keys, and `record` for what becomes of them here."""
    from toolgate.gateway.audit import record
    from toolgate.server.keys import Keys

    async with opened(settings, "the store `memory` forgets a key at once; set `store` to another to keep keys") as (stores, who):
        yield Keys(stores.records), partial(record, stores.journal, principal=who)


def _told(key: Key) -> dict[str, Any]:
    return {name: value for name, value in as_line(key).items() if name in {"id", "owner", "roles", "tier", "scopes", "expires"}}
