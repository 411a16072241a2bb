"""A run as a terminal shows it: the model's words on stdout, everything else as lines on stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Literal

import click

from toolgate.agent.events import (
    ApprovalWanted,
    Called,
    Calling,
    Event,
    Finished,
    Noted,
    Routed,
    Said,
    Started,
    Withdrawn,
)
from toolgate.cli.output import clean, escaped, say, show
from toolgate.money import dollars

if TYPE_CHECKING:
    from rich.console import Console

Output = Literal["text", "json", "stream-json"]
SHOWN = 160  # characters of arguments, or of a result, in a line


class Narration:
    """Hears a run. In a pipe only the answer is a result; on a terminal the model is heard while it speaks."""

    def __init__(self, output: Output = "text", *, answer: bool = True) -> None:
        """
        Args:
            answer: the answer is the result; False: something else will be, and what the model says is for people.
        """
        self.run = ""
        """The id, once it is known."""
        self.end: Finished | None = None
        self._output = output
        self._live = output == "text" and answer and sys.stdout.isatty()
        self._answer = answer
        self._quiet = output != "text"
        self._midline = False
        self._step = 0
        self._unsaid = ""
        """What the model said that may turn out to be the answer."""
        self._console: Console | None = None

    @property
    def live(self) -> bool:
        """Whether what a model says is shown while it speaks."""
        return self._live or self._output == "stream-json"

    async def __call__(self, event: Event) -> None:
        if self._output == "stream-json":
            _emit(event)
        match event:
            case Started(run, resumed):
                self.run = run
                self._line(f"run {run}{' goes on' if resumed else ''}", "dim")
            case Routed(provider, model, reasons):
                why = f": {'; '.join(reasons)}" if reasons else ""
                self._line(f"asks {provider}/{model}{why}", "dim")
            case Said(text, step):
                self._said(text, step)
            case Withdrawn(_, reason):
                self._line(f"begins again: {reason}", "yellow")
            case Calling(_, tool, arguments):
                self._aside()
                self._line(f"→ {_short(tool)} {_short(json.dumps(dict(arguments), ensure_ascii=False, default=str))}", "cyan")
            case Called():
                self._called(event)
            case ApprovalWanted(wanted):
                self._aside()
                self._line(f"{len(wanted)} to be approved before anything of this step runs", "yellow")
            case Noted("hint" | "warning" | "kept" | "plan" | "edited", text):
                self._line(text, "yellow")
            case Noted(kind, _):
                self._line(kind, "dim")
            case Finished():
                self._finished(event)

    def _said(self, text: str, step: int) -> None:
        if not self._live:
            self._unsaid = f"{self._unsaid}{text}" if step == self._step else text
            self._step = step
            return
        if step != self._step and self._step and self._midline:
            text = f"\n{text}"
        self._step = step
        sys.stdout.write(clean(text))
        sys.stdout.flush()
        self._midline = not text.endswith("\n")

    def _aside(self) -> None:
        """What was said was not the answer, since calls follow."""
        said, self._unsaid = self._unsaid, ""
        if said:
            self._line(said, "")

    def _called(self, event: Called) -> None:
        cost = f", {dollars(event.cost)}" if event.cost else ""
        again = ", as before" if event.replayed else ""
        mark, style = ("✗", "red") if event.failed else ("←", "green")
        self._line(f"{mark} {_short(event.tool)} ({event.seconds:.2f} s{cost}{again}): {_short(event.text)}", style)

    def _finished(self, end: Finished) -> None:
        self.end = end
        if self._output == "json":
            _emit(end)
        elif self._output == "text" and self._answer and not self._live and end.answer:
            show(end.answer)
        if not self._answer:
            self._aside()
        tokens = end.bill.tokens.input + end.bill.tokens.output
        estimated = " (estimated)" if end.bill.estimated else ""
        self._line(
            f"{end.status.replace('_', ' ')}: {end.steps} steps, {end.calls} calls, {tokens} tokens, "
            f"{dollars(end.bill.total)}{estimated}, {end.seconds:.1f} s",
            "dim",
        )
        if end.reason:
            self._line(end.reason, "yellow")

    def _line(self, text: str, style: str) -> None:
        """A line for people; coloured where they see it."""
        if self._midline:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._midline = False
        if self._quiet:
            return
        if not sys.stderr.isatty():
            say(text)
            return
        if self._console is None:
            from rich.console import Console

            self._console = Console(stderr=True, highlight=False)
        from rich.text import Text

        self._console.print(Text(clean(text), style=style))


def _emit(event: Event) -> None:
    from toolgate.agent.told import told

    click.echo(escaped(json.dumps(told(event), ensure_ascii=False, default=str)))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def bill_rows(end: Finished) -> list[tuple[str, str, str, str]]:
    """The bill as a table: what, how often, how much of it, its cost."""
    bill = end.bill
    rows = [(f"phase {name}", "", "", dollars(cost)) for name, cost in bill.by_phase.items()]
    for name, line in bill.by_model.items():
        tokens = line["tokens"]["input"] + line["tokens"]["output"]
        rows.append((name, str(line["requests"]), f"{tokens} tokens", dollars(line["cost"])))
    rows += [(name, str(line["calls"]), f"{line['failed']} failed", dollars(line["cost"])) for name, line in bill.by_tool.items()]
    return [*rows, ("total", "", f"{dollars(bill.estimated)} of it estimated" if bill.estimated else "", dollars(bill.total))]
