"""`toolgate index`: the folders of documents that `retrieve_context` finds passages in."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, say, table, tell

if TYPE_CHECKING:
    from toolgate.internal.meanings import Completed
    from toolgate.library.shelf import Looked, Shelf


@click.group()
def command() -> None:
    """Folders of documents for retrieve_context. Who may call that tool finds what is in them, as far as the policy lets it name them."""


@command.command()
@common
@click.option("--name", metavar="NAME", help="What it is called in answers; without, the folder's own name.")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
async def add(config: Path | None, as_json: bool, name: str | None, folder: Path) -> None:
    """Index the text, Markdown and HTML files below FOLDER; again: only what has changed."""
    shelf = _shelf(config)
    added, looked = shelf.add(folder, name)
    embedded = await _embedded(config, shelf)
    if as_json:
        emit({**asdict(added), **_counts(looked, embedded)})
        return
    say(f"{added.name}: {added.files} files, {added.passages} passages; {_told(looked, embedded)}")


@command.command("list")
@common
def list_(config: Path | None, as_json: bool) -> None:
    """The folders that are indexed."""
    folders = _shelf(config).folders()
    if as_json:
        emit([asdict(one) for one in folders])
    else:
        table(("name", "files", "passages", "path"), [(one.name, str(one.files), str(one.passages), str(one.path)) for one in folders])


@command.command()
@common
async def update(config: Path | None, as_json: bool) -> None:
    """Read what has changed now; a server does so by itself, when it is asked and has not looked for 30 s."""
    shelf = _shelf(config)
    looked = shelf.update()
    embedded = await _embedded(config, shelf)
    tell(_counts(looked, embedded), as_json, _told(looked, embedded))


@command.command()
@common
@click.argument("name")
def remove(config: Path | None, as_json: bool, name: str) -> None:
    """Forget the folder NAME, or the one at that path. Its files stay."""
    if not _shelf(config).remove(name):
        raise ended("usage", f"no folder {name!r} is indexed", hint="`toolgate index list` says which are")
    tell({"removed": name}, as_json, f"{name} is forgotten")


def _shelf(config: Path | None) -> Shelf:
    from toolgate.library.shelf import Shelf
    from toolgate.settings import state_folder

    return Shelf(state_folder(settings_of(config)) / "index.db")


async def _embedded(config: Path | None, shelf: Shelf) -> Completed | None:
    """Have all passages embedded that are not; None: that is not set up."""
    from toolgate.cli.state import opened_models
    from toolgate.internal.opening import meanings

    settings = settings_of(config)
    if settings.library.embeddings is None:
        return None
    async with opened_models(settings) as (models, _):
        by_meaning = meanings(settings, shelf, models)
        return await by_meaning.complete() if by_meaning else None


def _counts(looked: Looked, embedded: Completed | None) -> dict[str, Any]:
    return {**asdict(looked), **({"embeddings": asdict(embedded)} if embedded else {})}


def _told(looked: Looked, embedded: Completed | None) -> str:
    told = f"{looked.read} read, {looked.gone} gone, {looked.left_out} left out"
    if embedded is None:
        return told
    told = f"{told}; {embedded.done} embedded"
    return f"{told}, {embedded.missing} not yet, and found by words alone until they are: {embedded.problem}" if embedded.problem else told
