"""`toolgate usage`: what was called and what it cost, and the same as a billing report."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from toolgate.cli.options import common, settings_of, wait_for
from toolgate.cli.output import emit, listed
from toolgate.cli.state import opened

if TYPE_CHECKING:
    from toolgate.settings import Settings
    from toolgate.stores import Dimension, Usage

NAMES = ("day", "tenant", "user", "tool", "integration", "provider", "phase")
BILLED = ("tenant", "user", "tool", "provider", "phase")
"""What a billing report tells apart."""
COUNTS = ("calls", "refused", "unknown")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula; names come from outside."""

by_option = click.option("--by", multiple=True, type=click.Choice(NAMES), help="What to tell apart; repeatable.")
since_option = click.option("--since", default="30d", show_default=True, metavar="DAY", help="First UTC day: 2026-11-01, today, or 7d.")
until_option = click.option("--until", default="today", show_default=True, metavar="DAY", help="Last UTC day.")


@click.group(invoke_without_command=True)
@click.pass_context
@common
@by_option
@since_option
@until_option
def command(context: click.Context, config: Path | None, as_json: bool, by: tuple[str, ...], since: str, until: str) -> None:
    """What was called and what it cost, by tool unless told otherwise."""
    if context.invoked_subcommand:
        return
    by = by or ("tool",)
    first, last = _days(since, until)
    used = wait_for(_usage(settings_of(config), by, first, last))
    told = {"since": first, "until": last, "usage": [one.to_json() for one in used]}
    columns = (*by, *COUNTS, "cost", "of it estimated")
    listed(told, as_json, columns, [_row(one, by) for one in used], f"nothing was called from {first} to {last}")


@command.command()
@common
@click.option("--format", "as_format", type=click.Choice(("json", "csv")), default="json", show_default=True, help="How to write it.")
@by_option
@since_option
@until_option
def export(config: Path | None, as_json: bool, as_format: str, by: tuple[str, ...], since: str, until: str) -> None:
    """A billing report on stdout: by tenant, user, tool, provider and phase unless told otherwise."""
    by = by or BILLED
    first, last = _days(since, until)
    used = wait_for(_usage(settings_of(config), by, first, last))
    if as_format == "csv" and not as_json:
        _write_csv(used, by)
    else:
        emit(report(used, first, last))


def report(used: Sequence[Usage], first: str, last: str) -> dict[str, Any]:
    """The lines of a bill and their sum."""
    from toolgate.money import shown

    total: dict[str, Any] = {name: sum(getattr(one, name) for one in used) for name in COUNTS}
    total |= {name: shown(sum(getattr(one, name) for one in used)) for name in ("cost", "estimated")}
    return {"currency": "USD", "since": first, "until": last, "lines": [one.to_json() for one in used], "total": total}


def _write_csv(used: Sequence[Usage], by: Sequence[str]) -> None:
    import csv

    rows = csv.writer(sys.stdout, lineterminator="\n")
    rows.writerow((*by, *COUNTS, "cost_usd", "estimated_usd"))
    for one in used:
        line = one.to_json()
        names = (f"'{line[name]}" if line[name].startswith(FORMULA) else line[name] for name in by)
        rows.writerow((*names, *(line[name] for name in COUNTS), line["cost"]["usd"], line["estimated"]["usd"]))


def _row(one: Usage, by: Sequence[str]) -> tuple[str, ...]:
    from toolgate.money import dollars

    of = cast("Mapping[str, str]", one.of)
    counts = (str(getattr(one, name)) for name in COUNTS)
    return (*(of[name] for name in by), *counts, dollars(one.cost), dollars(one.estimated))


def _days(since: str, until: str) -> tuple[str, str]:
    from toolgate.stores.budget import day_of, days

    try:
        return days(since, until, day_of(time.time()))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


async def _usage(settings: Settings, by: Sequence[str], first: str, last: str) -> Sequence[Usage]:
    async with opened(settings, ledger=True) as (stores, _):
        return await stores.ledger.usage(cast("Sequence[Dimension]", by), since=first, until=last)
