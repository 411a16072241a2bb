"""What several commands have in common: `--config`, `--json`, and an event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import iscoroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from toolgate.times import span

if TYPE_CHECKING:
    from toolgate.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings; default: toolgate.yaml in this folder, else the defaults.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and errors as one JSON line on stderr.")


def common(command: Callable[P, Any]) -> Callable[P, Any]:
    """Give a command `--config` and `--json`; where it is a coroutine, run that to its end."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> Any:
        end = command(*args, **kwargs)
        return wait_for(end) if iscoroutine(end) else end

    return config_option(json_option(run))


def duration(text: str) -> float | None:
    """`90d`, `12h`, `30m`, `45s` in seconds; `never` is None."""
    if text == "never":
        return None
    seconds = span(text)
    if seconds is None or not 0 < seconds < 1e10:
        raise click.BadParameter("a time is a number and s, m, h or d, such as 90d, or never")
    return seconds


def settings_of(config: Path | None) -> Settings:
    """The settings of `--config FILE`, or those of this folder.

    Raises:
        Misconfigured: as `read_settings` says.
    """
    from toolgate.settings import read_settings

    return read_settings(config)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; Ctrl-C cancels it and is raised once everything is closed."""
    import asyncio

    return asyncio.run(work)
