"""The command `toolgate`: one file a noun, each imported when it is asked for.

Results go to stdout and are data; everything written for people goes to stderr. With `--json` both are JSON. Nothing
prompts, but for a person's yes to a call, and that on a terminal only. What is heavy (the SDK, pydantic, rich) is imported
inside the functions that need it, because `toolgate --help` has to answer at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import click

from toolgate import __version__
from toolgate.cli.endings import Ending, ending_of
from toolgate.cli.log import log_lines
from toolgate.cli.output import escaped, say

NOUNS = (
    "serve",
    "demo",
    "connect",
    "tools",
    "index",
    "agent",
    "runs",
    "run",
    "specs",
    "keys",
    "credentials",
    "approvals",
    "usage",
    "budget",
    "policy",
    "providers",
    "audit",
    "doctor",
    "health",
    "config",
)
"""The commands in the order of their help; `toolgate.cli.<noun>.command` is each."""


class Nouns(click.Group):
    """A group whose commands are modules, imported one by one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:  # click itself would look for near names among its imported commands, which are none
            raise click.exceptions.NoSuchCommand(cmd_name, possibilities=NOUNS, ctx=ctx)
        command = import_module(f"toolgate.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="toolgate")
def root() -> None:
    """OpenAPI descriptions become governed tools.

    Start with `toolgate demo`, then `toolgate connect`.

    \b
    Exit codes: 0 done, 1 wrong usage or unexpected, 3 not authenticated,
    4 unreachable, 5 the tool failed, 6 refused by policy, 7 over a limit or budget.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error has been written to stderr by then."""
    log_lines()
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: a call is done, whatever its answer is written in
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = root.main(given, prog_name="toolgate", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as asked:
        click.echo(asked.format_message(), err=True)
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("TOOLGATE_DEBUG"):
            say("".join(traceback.format_exception(error)))
        return _told(ending_of(error), as_json="--json" in given)
    return code if isinstance(code, int) else 0


def _told(ending: Ending, *, as_json: bool) -> int:
    if as_json:
        click.echo(escaped(ending.to_json()), err=True)
    else:
        say(f"error: {ending.message}")
        if ending.hint:
            say(f" hint: {ending.hint}")
    return ending.exit
