"""`toolgate agent`: give the agent a task at the terminal, or talk with it.

The model's words are results, on stdout; which model was asked and why, what it calls, and what that costs are for people, on
stderr. Off a terminal nothing is asked: what needs a person's yes makes the run wait, and it is taken up with `--resume`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import escaped, say

if TYPE_CHECKING:
    from toolgate.agent.batch import Answer, Person, Unanswered
    from toolgate.agent.events import Finished, Wanted
    from toolgate.agent.runs import Task
    from toolgate.app import App
    from toolgate.calls import Principal
    from toolgate.cli.narration import Narration, Output
    from toolgate.llm.messages import Image

Approve = Literal["never", "ask", "always"]
TASK_TYPES = ("planning", "coding", "analysis", "extraction", "summarization", "chat", "tool_use", "math", "other")
CHOICES = click.Choice(("y", "n", "e"), case_sensitive=False)
EXITS = {"done": 0, "waiting": 6, "budget_exhausted": 7, "looping": 5, "failed": 5, "cancelled": 130}


@dataclass(frozen=True)
class Wishes:
    """What was typed beside the task."""

    approve: Approve = "ask"
    max_cost: str | None = None
    max_steps: int | None = None
    provider: str = ""
    task_type: str | None = None
    tools: tuple[str, ...] = ()
    output: Output = "text"
    high_risk: bool = False

    def changed(self, task: Task) -> Task:
        """`task`, but for what was typed."""
        from toolgate.money import shown

        cost = None if self.max_cost is None else shown(cost_of(self.max_cost))["usd"]
        said = {"max_cost": cost, "max_steps": self.max_steps, "task_type": self.task_type, "model": self.provider, "tools": self.tools}
        said |= {"high_risk": self.high_risk}
        return task.changed({name: value for name, value in said.items() if value})

    @property
    def person(self) -> Person | None:
        if self.approve == "always":
            return yes
        return prompt if self.approve == "ask" and sys.stdin.isatty() and sys.stderr.isatty() else None

    @property
    def unanswered(self) -> Unanswered:
        return "refuse" if self.approve == "never" else "wait"


approve_option = click.option(
    "--approve",
    type=click.Choice(get_args(Approve)),
    default="ask",
    show_default=True,
    help="What becomes of calls that need a person's yes. Off a terminal `ask` makes the run wait.",
)
cost_option = click.option("--max-cost", metavar="USD", help="Money that the run may spend, models and tools together.")
provider_option = click.option(
    "--provider", default="", metavar="NAME", help="Ask this provider, or PROVIDER/MODEL; default: the router chooses."
)
output_option = click.option(
    "--output",
    type=click.Choice(("text", "json", "stream-json")),
    default="text",
    show_default=True,
    help="The answer; all there is to know at the end; or each event as a line of JSON.",
)


@click.command()
@common
@approve_option
@cost_option
@click.option("--max-steps", type=click.IntRange(1), metavar="N", help="Requests to models.")
@provider_option
@click.option("--task-type", type=click.Choice(TASK_TYPES), help="For the router; default: tool_use.")
@click.option("--high-risk", is_flag=True, help="No experiments with models of which little is known.")
@click.option("--tools", multiple=True, metavar="GLOB", help="Only these tools; may be given several times.")
@output_option
@click.option(
    "--image",
    "images",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show it this picture (PNG, JPEG, GIF or WebP) with TASK; may be given several times.",
)
@click.option("--resume", metavar="RUN", help="Go on with this run; TASK is what you say besides.")
@click.argument("task", required=False)
async def command(
    config: Path | None,
    as_json: bool,
    approve: Approve,
    max_cost: str | None,
    max_steps: int | None,
    provider: str,
    task_type: str | None,
    high_risk: bool,
    tools: tuple[str, ...],
    output: Output,
    images: tuple[Path, ...],
    resume: str | None,
    task: str | None,
) -> int:
    """Have the agent do TASK with the tools behind the gate; without TASK, talk with it.

    It may do what you may, and asks before it changes anything. Ctrl-C leaves a run that --resume takes up.
    """
    wishes = Wishes(approve, max_cost, max_steps, provider, task_type, tools, "json" if as_json else output, high_risk)
    if max_cost is not None:
        cost_of(max_cost)
    if task is None and resume is None and not sys.stdin.isatty():
        task = sys.stdin.read().strip() or None
        if task is None:
            raise ended("usage", "there is no task: give it as an argument or on stdin")
    if images and task is None:
        raise ended("usage", "a picture goes with what you say of it: give --image together with TASK")
    shown = [_picture(each) for each in images]
    async with opened_agent(config) as (app, user):
        if resume is None:
            await app.models.check(provider)
        if task is None and resume is None:
            return await _talk(app, user, wishes)
        return EXITS[(await one(app, user, wishes, task, resume, shown)).status]


@asynccontextmanager
async def opened_agent(config: Path | None) -> AsyncIterator[tuple[App, Principal]]:
    """The app, and who sits at this terminal.

    Raises:
        NotPermitted: they may have no runs.
    """
    from toolgate.agent.tool import may_run
    from toolgate.app import open_app
    from toolgate.server.identify import local

    settings = settings_of(config)
    async with open_app(settings) as app:
        user = local(settings.stdio, "terminal")
        may_run(app.gateway, user)
        yield app, user


async def one(app: App, user: Principal, wishes: Wishes, task: str | None, resume: str | None, images: Sequence[Image] = ()) -> Finished:
    """One run, or one more stretch of one."""
    from asyncio import CancelledError

    from toolgate.agent.runs import Task
    from toolgate.cli.narration import Narration

    if task is not None and task.encode(errors="replace").decode() != task:  # bytes come from a shell as halves of surrogate pairs
        raise ended("usage", "what you say is not UTF-8")
    heard = Narration(wishes.output)
    agent = app.agent
    how: Any = {"person": wishes.person, "unanswered": wishes.unanswered, "seen": heard.live, "images": images}
    try:
        if resume is not None:
            end = await agent.resume(resume, user, heard, text=task, change=wishes.changed, **how)
        else:
            end = await agent.run(wishes.changed(Task(task or "", limits=agent.limits)), user, heard, **how)
    except (CancelledError, KeyboardInterrupt):
        hint_of(heard)
        raise
    if end.status not in ("done", "failed"):
        hint_of(heard)
    return end


def hint_of(heard: Narration) -> None:
    """How to go on with a run that has stopped."""
    if heard.run:
        say(f"it goes on with: toolgate agent --resume {heard.run}")


async def _talk(app: App, user: Principal, wishes: Wishes) -> int:
    """A conversation: what is said next belongs to the same run."""
    say("Talk with the agent; an empty line or Ctrl-D ends it.")
    run: str | None = None
    while True:
        try:
            text = click.prompt("you", prompt_suffix="> ", default="", show_default=False, err=True).strip()
        except click.Abort:
            say()
            return 0
        if not text:
            return 0
        end = await one(app, user, wishes, text, run)
        run = end.run


async def yes(_wanted: Wanted) -> bool:
    return True


async def prompt(wanted: Wanted) -> Answer | None:
    """Ask at the terminal. None: Ctrl-D or Ctrl-C, and the run waits."""
    say(wanted.text)
    try:
        while True:
            # This stops the whole process, which has nothing else to do; in a thread, Ctrl-C could not end it.
            choice = click.prompt("Let it through? (e: change the arguments)", type=CHOICES, default="n", err=True)
            if choice != "e":
                return bool(choice == "y")
            if (changed := _changed(wanted.arguments)) is not None:
                return changed
    except click.Abort:
        return None


def _changed(arguments: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """`arguments` as the person leaves them in their editor; None: not at all, or not as JSON."""
    text = click.edit(escaped(json.dumps(dict(arguments), indent=2, ensure_ascii=False)), extension=".json")
    if text is None:
        return None
    try:
        changed = json.loads(text)
    except json.JSONDecodeError as error:
        say(f"that is not JSON: {error}")
        return None
    if not isinstance(changed, dict):
        say("the arguments are an object: {…}")
        return None
    return changed


def _picture(file: Path) -> Image:
    from toolgate.llm.pictures import MOST, picture

    with file.open("rb") as opened:
        return picture(opened.read(MOST + 1), f"{file}")


def cost_of(text: str) -> int:
    """US dollars as micro-dollars."""
    from toolgate.money import told

    if (amount := told(text.removeprefix("$"))) is None:
        raise click.BadParameter("is an amount of US dollars, such as 0.50", param_hint="--max-cost")
    return amount
