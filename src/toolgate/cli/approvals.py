"""`toolgate approvals`: calls that wait for a person's yes. Whoever may write the state folder is an operator here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from toolgate.cli.options import common, settings_of
from toolgate.cli.output import listed, tell
from toolgate.cli.state import opened

COLUMNS = ("approval", "state", "caller", "tool", "arguments", "expires (UTC)")
FORGETS = "with the store `memory` what waits is known to the server alone; answer by POST /v1/approvals/ID"
SHOWN = 300  # characters of arguments in a table

reason_option = click.option("--reason", metavar="TEXT", help="Kept in the audit, and told to a caller who is denied.")


@click.group()
def command() -> None:
    """See what waits for a person's yes, and answer."""


@command.command("list")
@common
async def list_(config: Path | None, as_json: bool) -> None:
    """What may still be answered, the one that waits longest first."""
    from toolgate.approvals import Approvals, told_of

    settings = settings_of(config)
    async with opened(settings, FORGETS) as (stores, _):
        found = [told_of(each) for each in await Approvals(stores, settings).list()]
    listed(found, as_json, COLUMNS, [_row(each) for each in found], "nothing waits for a person's yes")


@command.command()
@common
@reason_option
@click.argument("id")
async def approve(config: Path | None, as_json: bool, id: str, reason: str | None) -> None:
    """Say yes to the call that waits as ID. It counts once, for exactly that call, which its caller then makes again."""
    approved = await _answer(config, id, True, reason)
    tell(approved, as_json, f"{approved['caller']} may now make this call of {approved['tool']} once, until {approved['expires']}")


@command.command()
@common
@reason_option
@click.argument("id")
async def deny(config: Path | None, as_json: bool, id: str, reason: str | None) -> None:
    """Say no to the call that waits as ID, also if somebody has said yes and it was not made yet."""
    denied = await _answer(config, id, False, reason)
    tell(denied, as_json, f"{denied['caller']} may not make this call of {denied['tool']}; it can ask anew after {denied['expires']}")


def _row(line: Mapping[str, Any]) -> tuple[str, ...]:
    import orjson

    kept = line["arguments"]
    arguments = orjson.dumps(kept.get("values", kept.get("names"))).decode()
    shown = arguments if len(arguments) <= SHOWN else f"{arguments[:SHOWN]}…"
    return (line["id"], line["state"], line["caller"], line["tool"], shown, line["expires"][:19].replace("T", " "))


async def _answer(config: Path | None, id: str, yes: bool, reason: str | None) -> Mapping[str, Any]:
    from toolgate.approvals import Approvals, told_of

    settings = settings_of(config)
    async with opened(settings, FORGETS) as (stores, who):
        return told_of(await Approvals(stores, settings).decide(id, yes, who, "operator", reason))
