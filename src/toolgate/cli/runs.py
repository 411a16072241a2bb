"""`toolgate runs`: what the agent did, and going on with what stopped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from toolgate.cli.agent import EXITS, Approve, Wishes, approve_option, cost_option, one, opened_agent, output_option
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, listed, table, tell
from toolgate.cli.state import opened, opened_models
from toolgate.errors import UnknownRun

if TYPE_CHECKING:
    from toolgate.cli.narration import Output

FORGETS = "with the store `memory` runs are known to their process alone"
COLUMNS = ("run", "status", "started (UTC)", "steps", "calls", "cost", "task")
BILL = ("", "times", "", "cost")
SHOWN = 80


@click.group()
def command() -> None:
    """See what the agent did, and go on with what stopped."""


@command.command("list")
@common
async def list_(config: Path | None, as_json: bool) -> None:
    """Your runs, the newest first."""
    from toolgate.agent.runs import Runs
    from toolgate.agent.told import told_of

    settings = settings_of(config)
    async with opened(settings, FORGETS) as (stores, user):
        runs = Runs(stores, settings.agent.keep)
        found = [told_of(run, await runs.under_way(run)) for run in await runs.seen_by(user)]
    listed(found, as_json, COLUMNS, [_row(run) for run in found], "there are no runs yet; `toolgate agent TASK` makes one")


@command.command()
@common
@click.argument("run")
async def show(config: Path | None, as_json: bool, run: str) -> None:
    """What happened in RUN, step by step, and its bill."""
    from toolgate.agent.bill import events_of
    from toolgate.agent.events import Finished
    from toolgate.agent.runs import Runs
    from toolgate.agent.told import told
    from toolgate.cli.narration import Narration, bill_rows

    settings = settings_of(config)
    async with opened(settings, FORGETS) as (stores, user):
        runs = Runs(stores, settings.agent.keep)
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


@command.command()
@common
@approve_option
@cost_option
@click.option("--max-steps", type=click.IntRange(1), metavar="N", help="Requests to models, for what comes now.")
@output_option
@click.argument("run")
@click.argument("text", required=False)
async def resume(
    config: Path | None,
    as_json: bool,
    approve: Approve,
    max_cost: str | None,
    max_steps: int | None,
    output: Output,
    run: str,
    text: str | None,
) -> int:
    """Go on with RUN where it stopped; TEXT is what you say besides."""
    wishes = Wishes(approve, max_cost, max_steps, output="json" if as_json else output)
    async with opened_agent(config) as (app, user):
        return EXITS[(await one(app, user, wishes, text, run)).status]


@command.command()
@common
@click.argument("run")
@click.argument("verdict", type=click.Choice(["good", "bad"]))
async def feedback(config: Path | None, as_json: bool, run: str, verdict: Literal["good", "bad"]) -> None:
    """Say how good the answer of RUN was, once: the model that gave it is thought better or worse of from now on."""
    from toolgate.agent.runs import Runs
    from toolgate.llm.report import Report

    settings = settings_of(config)
    async with opened_models(settings, FORGETS) as (models, user):
        model = await Report(models, Runs(models.stores, settings.agent.keep)).feedback(run, float(verdict == "good"), user)
    if model is None:
        raise UnknownRun(f"there is no run {run[:64]!r} of yours in which a model answered, or you have judged it")
    how = "right" if verdict == "good" else "wrong"
    tell({"run": run, "verdict": verdict, "model": model}, as_json, f"{model} is put down as {how}; servers take it over within 15 s")


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    started = datetime.fromtimestamp(run["started"], UTC).strftime("%Y-%m-%d %H:%M")
    task = " ".join(run["task"].split())
    shown = task if len(task) <= SHOWN else f"{task[:SHOWN]}…"
    return (run["run"], run["status"], started, str(run["steps"]), str(run["calls"]), f"${run['cost']['usd']}", shown)
