"""`toolgate runs`: what the agent did, and going on with what stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.agent import EXITS, Approve, Wishes, approve_option, cost_option, one, output_option
from toolgate.cli.options import config_option, json_option, settings_of, wait_for
from toolgate.cli.output import emit, say, table
from toolgate.errors import Misconfigured

if TYPE_CHECKING:
    from toolgate.agent.runs import Runs
    from toolgate.calls import Principal
    from toolgate.cli.narration import Output
    from toolgate.settings import Settings

COLUMNS = ("run", "status", "started (UTC)", "steps", "calls", "cost", "task")
BILL = ("", "times", "", "cost")
SHOWN = 80


@click.group()
def command() -> None:
    """See what the agent did, and go on with what stopped."""


@command.command("list")
@config_option
@json_option
def list_(config: Path | None, as_json: bool) -> None:
    """Your runs, the newest first."""
    found = wait_for(_list(settings_of(config)))
    if as_json:
        emit(found)
    elif found:
        table(COLUMNS, [_row(run) for run in found])
    else:
        say("there are no runs yet; `toolgate agent TASK` makes one")


@command.command()
@config_option
@json_option
@click.argument("run")
def show(config: Path | None, as_json: bool, run: str) -> None:
    """What happened in RUN, step by step, and its bill."""
    wait_for(_show(settings_of(config), run, as_json))


@command.command()
@config_option
@approve_option
@cost_option
@click.option("--max-steps", type=click.IntRange(1), metavar="N", help="Requests to models, for what comes now.")
@output_option
@json_option
@click.argument("run")
@click.argument("text", required=False)
def resume(
    config: Path | None,
    approve: Approve,
    max_cost: str | None,
    max_steps: int | None,
    output: Output,
    as_json: bool,
    run: str,
    text: str | None,
) -> int:
    """Go on with RUN where it stopped; TEXT is what you say besides."""
    wishes = Wishes(approve, max_cost, max_steps, output="json" if as_json else output)
    return wait_for(_resume(settings_of(config), wishes, run, text))


async def _resume(settings: Settings, wishes: Wishes, run: str, text: str | None) -> int:
    from toolgate.app import local_principal, open_app

    async with open_app(settings) as app:
        return EXITS[(await one(app, local_principal(settings, "terminal"), wishes, text, run)).status]


async def _list(settings: Settings) -> list[dict[str, Any]]:
    from toolgate.agent.told import told_of

    async with _opened(settings) as (runs, user):
        return [told_of(run, await runs.under_way(run)) for run in await runs.seen_by(user)]


async def _show(settings: Settings, run: str, as_json: bool) -> None:
    from toolgate.agent.bill import events_of
    from toolgate.agent.events import Finished
    from toolgate.agent.told import told
    from toolgate.cli.narration import Narration, bill_rows

    async with _opened(settings) as (runs, user):
        facts, _ = await runs.facts(await runs.get(run, user))
    events = list(events_of(run, facts))
    if as_json:
        emit([told(event) for event in events])
        return
    heard = Narration()
    for event in events:
        await heard(event)
    if isinstance(events[-1], Finished):
        table(BILL, bill_rows(events[-1]))


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    started = datetime.fromtimestamp(run["started"], UTC).strftime("%Y-%m-%d %H:%M")
    task = " ".join(run["task"].split())
    shown = task if len(task) <= SHOWN else f"{task[:SHOWN]}…"
    return (run["run"], run["status"], started, str(run["steps"]), str(run["calls"]), f"${run['cost']['usd']}", shown)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Runs, Principal]]:
    from toolgate.agent.runs import Runs
    from toolgate.server.identify import local
    from toolgate.settings import state_folder
    from toolgate.stores import open_stores

    if settings.store == "memory":
        raise Misconfigured("with the store `memory` runs are known to their process alone")
    async with open_stores(settings.store, state_folder(settings), settings.audit) as stores:
        yield Runs(stores, settings.agent.keep), local(settings.stdio, "terminal")
