"""`toolgate run`: pipelines, which do a whole piece of work by a plan of ours, with a model where understanding is needed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.agent import EXITS, Approve, Wishes, approve_option, cost_of, cost_option, opened_agent, provider_option
from toolgate.cli.endings import ended
from toolgate.cli.options import common
from toolgate.cli.output import emit, say

if TYPE_CHECKING:
    from toolgate.agent.events import Finished
    from toolgate.agent.pipelines.issues import Wanted
    from toolgate.agent.runs import Run
    from toolgate.app import App
    from toolgate.calls import Principal

REPOSITORY = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,38})/([A-Za-z0-9._-]{1,100})")
MAX_BYTES = 200_000
FAILED, REFUSED = 5, 6
"""How it ends where not all issues were made, or none was let through."""


@click.group()
def command() -> None:
    """Do a whole piece of work: a pipeline."""


@command.command("spec-to-issues")
@common
@approve_option
@cost_option
@provider_option
@click.option("--repo", required=True, metavar="OWNER/NAME", help="Where the issues go.")
@click.option("--dry-run", is_flag=True, help="Draft and show; create nothing.")
@click.option("--tracking/--no-tracking", default=True, show_default=True, help="One more issue that all others are parts of.")
@click.option("--pull-request", is_flag=True, help="A pull request too, that adds the specification to docs/specs/.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
async def spec_to_issues(
    config: Path | None,
    as_json: bool,
    approve: Approve,
    max_cost: str | None,
    provider: str,
    repo: str,
    dry_run: bool,
    tracking: bool,
    pull_request: bool,
    file: Path,
) -> int:
    """Turn the feature specification FILE into linked issues of a repository.

    Run twice, it creates nothing twice; interrupted, the same command goes on.
    """
    from toolgate.agent.pipelines.issues import Wanted
    from toolgate.cli.narration import Narration

    match = REPOSITORY.fullmatch(repo)
    if match is None:
        raise ended("usage", "--repo is OWNER/NAME, such as acme/rocket")
    if max_cost is not None:
        cost_of(max_cost)
    wanted = Wanted(_read(file), file.name, match[1], match[2], tracking, pull_request, dry_run)
    wishes = Wishes(approve, max_cost, provider=provider)
    heard = Narration("text", answer=not as_json)
    async with opened_agent(config) as (app, user):
        try:
            end = await _go(app, user, wanted, wishes, heard)
        except BaseException:
            if heard.run:
                say("the same command goes on with it")
            raise
        created = await _created(app, user, end.run)
    if as_json:
        from toolgate.agent.told import told

        emit({"run": end.run, "status": end.status, "reason": end.reason, "created": created, "bill": told(end)["bill"]})
    if end.status not in ("done", "failed"):
        say("the same command goes on with it")
    if end.status == "done" and created is None and not dry_run:
        return REFUSED
    failed = created is not None and any(one["number"] is None for one in created["issues"])
    return EXITS[end.status] or (FAILED if failed else 0)


def _read(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise ended("usage", f"{file} has more than {MAX_BYTES} bytes; a specification of one feature is shorter")
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ended("usage", f"{file} is not UTF-8") from None
    if not text.strip():
        raise ended("usage", f"{file} is empty")
    return text


async def _go(app: App, user: Principal, wanted: Wanted, wishes: Wishes, heard: Any) -> Finished:
    from toolgate.agent.pipelines.issues import TOOLS, SpecToIssues
    from toolgate.agent.runs import Task

    pipeline = SpecToIssues(wanted, app.models.provider, app.stores.records, user.tenant, user.user)
    agent = replace(app.agent, models=pipeline, pipeline=wanted.pipeline)
    how: Any = {"person": wishes.person, "unanswered": wishes.unanswered}
    if (stopped := await _stopped(app, user, wanted)) is not None:
        return await agent.resume(stopped.id, user, heard, change=wishes.changed, **how)
    task = Task(wanted.spec, task="planning", limits=agent.limits, tools=TOOLS, pipeline=wanted.pipeline)
    return await agent.run(wishes.changed(task), user, heard, **how)


async def _stopped(app: App, user: Principal, wanted: Wanted) -> Run | None:
    """The same work, where it was begun and is not done: under way elsewhere, it is not begun beside that."""
    for run in await app.agent.runs.seen_by(user):
        if run.task.pipeline == wanted.pipeline and run.status != "done" and run.owner == user.user:
            return run
    return None


async def _created(app: App, user: Principal, run: str) -> Any:
    """What became of the issues, as their tool says it; None: they were not made."""
    import orjson

    from toolgate.agent.facts import Answered
    from toolgate.agent.pipelines.issues import CREATE

    facts, _ = await app.agent.runs.facts(await app.agent.runs.get(run, user))
    made = [fact for fact in facts if isinstance(fact, Answered) and fact.tool == CREATE and not fact.failed]
    return orjson.loads(made[-1].text) if made else None
