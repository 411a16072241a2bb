"""`toolgate config`: what is in force, and what could be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import common, json_option, settings_of
from toolgate.cli.output import emit, say, show

if TYPE_CHECKING:
    from toolgate.settings import Settings


@click.group()
def command() -> None:
    """Show the settings in force, or the schema of all settings."""


@command.command("show")
@common
def show_(config: Path | None, as_json: bool) -> None:
    """The settings in force, defaults and environment included, as a toolgate.yaml; secrets are masked."""
    values = in_force(settings_of(config))
    if as_json:
        emit(values)
        return
    import yaml

    file = config or Path("toolgate.yaml")
    say(f"from {file.resolve()} and the environment" if file.exists() else "no toolgate.yaml here: the defaults and the environment")
    show(yaml.safe_dump(values, sort_keys=False, default_flow_style=None).rstrip())


@command.command("schema")
@json_option
def schema(as_json: bool) -> None:
    """The JSON Schema of toolgate.yaml: every setting, its default, its unit and a sentence."""
    from toolgate.settings import Settings

    emit(Settings.model_json_schema())


def in_force(settings: Settings) -> dict[str, Any]:
    """All settings as JSON values, with the folders that absent ones stand for."""
    from toolgate.settings import bundled, policies_folder, state_folder

    found = {
        "tool_specs": settings.tool_specs or (bundled("tool-specs"),),
        "policies": policies_folder(settings),
        "data_dir": state_folder(settings),
    }
    return settings.model_copy(update=found).model_dump(mode="json")
