"""`toolgate audit`: what was called, by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import config_option, json_option, settings_of, wait_for
from toolgate.cli.output import emit, say, table

if TYPE_CHECKING:
    from toolgate.settings import Settings
    from toolgate.stores import Entry

PAGE = 500  # lines read at once while filtering
COLUMNS = ("when (UTC)", "who", "tool", "ending", "why", "ms")


@click.group()
def command() -> None:
    """Read the audit: one line for every call, refused or not."""


@command.command("list")
@config_option
@json_option
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines at most.")
@click.option("--tool", metavar="NAME", help="Only calls of this tool; * and ? stand for anything.")
@click.option("--ending", metavar="HOW", help="Only calls that ended so: ok, refused, failed, or the name of a bug.")
def list_(config: Path | None, as_json: bool, limit: int, tool: str | None, ending: str | None) -> None:
    """The newest calls, newest first."""
    entries = wait_for(newest(settings_of(config), limit, tool=tool, ending=ending))
    lines = [as_line(entry) for entry in entries]
    if as_json:
        emit(lines)
    elif lines:
        table(COLUMNS, [as_row(line) for line in lines])
    else:
        say("no such call is written down" if tool or ending else "nothing has been called yet; try `toolgate tools search WORDS`")


async def newest(settings: Settings, limit: int, *, tool: str | None = None, ending: str | None = None) -> Sequence[Entry]:
    """The newest `limit` lines that match, newest first."""
    from toolgate.settings import state_folder
    from toolgate.stores import open_stores

    found: list[Entry] = []
    before: int | None = None
    async with open_stores(settings.store, state_folder(settings)) as stores:
        while page := await stores.journal.read("audit", limit=PAGE, before=before):
            found += [entry for entry in page if _matches(entry.body, tool, ending)]
            if len(found) >= limit:
                break
            before = page[-1].seq
    return found[:limit]


def as_line(entry: Entry) -> dict[str, Any]:
    return {"seq": entry.seq, "at": _when(entry.at).isoformat(timespec="milliseconds").replace("+00:00", "Z"), **entry.body}


def as_row(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A line for people; the columns are `COLUMNS`."""
    when = str(line["at"])[:19].replace("T", " ")
    why = line.get("problem") or line.get("rule") or ""
    return (
        when,
        str(line.get("principal", "")),
        str(line.get("tool", "")),
        str(line.get("ending", "")),
        str(why),
        f"{line.get('ms', 0):.1f}",
    )


def _when(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / 1_000_000_000, UTC)


def _matches(body: Mapping[str, Any], tool: str | None, ending: str | None) -> bool:
    return (tool is None or fnmatchcase(str(body.get("tool")), tool)) and ending in (None, body.get("ending"))
