"""What several commands have in common: `--config`, `--json`, and an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from toolgate.settings import Settings

T = TypeVar("T")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Settings; default: toolgate.yaml in this folder, else the defaults.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout, and errors as one JSON line on stderr.")


def settings_of(config: Path | None) -> Settings:
    """The settings of `--config FILE`, or those of this folder.

    Raises:
        Misconfigured: as `read_settings` says.
    """
    from toolgate.settings import read_settings

    return read_settings(config)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; Ctrl-C cancels it and is raised once everything is closed."""
    return asyncio.run(work)
