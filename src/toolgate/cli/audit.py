"""`toolgate audit`: what was called, by whom, how it ended, and whether that is still what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.endings import ended
from toolgate.cli.options import common, settings_of
from toolgate.cli.output import emit, listed, say, show, tell
from toolgate.cli.state import opened

if TYPE_CHECKING:
    from toolgate.audit.export import Format
    from toolgate.audit.keys import Keys
    from toolgate.calls import Principal
    from toolgate.settings import Settings
    from toolgate.stores import Entry, Stores
    from toolgate.stores.verify import Report

PAGE = 500  # lines read at once while filtering
INTENTS = ("call.intent", "model.intent")
COLUMNS = ("when (UTC)", "event", "who", "what", "how", "why", "ms")
MOST_OF_A_PROOF = 16 * 1024 * 1024  # bytes
ENDINGS = "call.[!i]*"
"""The types of events that end a call."""


class When(click.ParamType[int]):
    """A day or a moment of ISO 8601, UTC where it says nothing else, in nanoseconds since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        from toolgate.audit.export import nanoseconds

        try:
            return nanoseconds(value)
        except ValueError as error:
            self.fail(f"it is {error}", param, ctx)


@click.group()
def command() -> None:
    """Read the audit, prove it, and hand it on: one line for every event, refusals too."""


@command.command("list")
@common
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Lines at most.")
@click.option("--tool", metavar="NAME", help="Only calls of this tool; * and ? stand for anything.")
@click.option("--ending", metavar="HOW", help="Only calls that ended so: ok, refused, failed, unknown, or the name of a bug.")
@click.option("--type", "kind", metavar="TYPE", help="Only events of this type, such as call.*; default: all but intents.")
async def list_(config: Path | None, as_json: bool, limit: int, tool: str | None, ending: str | None, kind: str | None) -> None:
    """The newest events, newest first. Who reads them is written down too."""
    entries = await newest(settings_of(config), limit, tool=tool, ending=ending, kind=kind, told=True)
    lines = [as_line(entry) for entry in entries]
    none = "no such event is written down" if tool or ending or kind else "nothing has happened yet; try `toolgate tools search WORDS`"
    listed(lines, as_json, COLUMNS, [as_row(line) for line in lines], none)


@command.command()
@common
@click.option(
    "--checkpoint", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="FILE", help="Checkpoints kept elsewhere."
)
@click.option("--key", metavar="KEY", help="The key that has to have signed them, as `audit key` printed it; default: this installation's.")
def verify(config: Path | None, as_json: bool, checkpoint: Path | None, key: str | None) -> None:
    """Is it still what was written? Names the first record that was edited, taken out, moved or cut off.

    Only checkpoints that were kept elsewhere (settings audit.checkpoints) can show that the end is missing, or that somebody who
    has the key wrote it all anew.
    """
    report = _verified(settings_of(config), checkpoint, key)
    flaw = report.flaw
    if flaw is not None:
        details = {"record": flaw.seq, "intact": report.records, "signed": report.signed}
        raise ended("error", f"the audit is not what was written: {flaw.sentence}", hint="docs/audit.md says what to do", details=details)
    if as_json:
        emit({"intact": report.records, "signed": report.signed, "elsewhere": report.elsewhere})
    else:
        say(f"{report.records} records are what was written; a checkpoint covers {report.signed} of them")
        if report.elsewhere:
            say(f"{report.elsewhere} of them are in segments that are not here: only what they hash to was checked")


@command.command()
@common
@click.argument("event")
async def prove(config: Path | None, as_json: bool, event: str) -> None:
    """Prove that EVENT, an id or a number, is in the audit, to somebody who is shown nothing else of it.

    What is written is for `toolgate audit check`, which needs no more than that and the key.
    """
    from toolgate.stores.inclusion import Unproven
    from toolgate.stores.inclusion import prove as proof_of

    settings = settings_of(config)
    database = _database(settings)
    if not database.is_file():
        raise ended("usage", f"there is no audit in {database.parent}")
    try:
        emit(proof_of(database, event))
    except Unproven as error:
        raise ended("usage", str(error)) from None
    async with opened(settings) as (stores, who):
        await _tell(stores, who, "audit prove", event=event[:64])


@command.command()
@common
@click.argument("proof", type=click.File("rb"))
@click.option("--key", metavar="KEY", help="The key that has to have signed it, as `audit key` printed it; default: this installation's.")
def check(config: Path | None, as_json: bool, proof: Any, key: str | None) -> None:
    """Say whether PROOF, a file that `prove` made or - for stdin, proves its event, and show that."""
    from toolgate.audit.checkpoint import Verifier
    from toolgate.stores.inclusion import Unproven, proven

    try:
        said = json.loads(proof.read(MOST_OF_A_PROOF))
        verifier = Verifier.parse(key) if key else _keys(settings_of(config)).signer.verifier
        record = proven(said, verifier)
    except Unproven as error:
        raise ended("failed", str(error)) from None
    except ValueError as error:
        raise ended("usage", str(error)) from None
    if not as_json:
        say(f"proven: record {record['seq']} is in the audit that {verifier.name} signs")
    show(record["body"])


@command.command()
@common
@click.option("--format", "form", type=click.Choice(["jsonl", "ocsf", "cloudevents"]), default="jsonl", show_default=True)
@click.option("--since", type=When(), default="1970-01-01", metavar="TIME", help="Events from then on, such as 2026-11-20; default: all.")
@click.option("--after", type=click.IntRange(0), default=0, metavar="SEQ", help="Events after this number: where the last export ended.")
async def export(config: Path | None, as_json: bool, form: Format, since: int, after: int) -> None:
    """All events, oldest first, one JSON object a line on stdout. Segments that were sealed are exported from their own files."""
    from toolgate.audit.export import exported
    from toolgate.audit.line import line
    from toolgate.stores.verify import records

    settings = settings_of(config)
    source = _keys(settings).signer.verifier.name
    written = 0
    async with opened(settings) as (stores, who):
        await _tell(stores, who, "audit export", format=form, since=since, after=after)
    for entry in records(_database(settings), after=after, since=since):
        click.echo(line(exported(entry.seq, entry.at, entry.body, form, source)))
        written += 1
    say(f"{written} events")


@command.command()
@common
@click.option("--before", type=When(), required=True, metavar="TIME", help="Records from before then, such as 2026-08-01.")
async def seal(config: Path | None, as_json: bool, before: int) -> None:
    """Move old records to a file of their own, which can be archived or deleted; the rest can still be verified."""
    from toolgate.gateway.audit import record
    from toolgate.stores.seal import seal

    settings = settings_of(config)
    async with opened(settings) as (stores, who):
        segment = seal(_database(settings), stores.keys, before)
        if segment is not None:
            await record(stores.journal, "audit.sealed", principal=who, size=segment.size, file=segment.file)
    if segment is None:
        tell(None, as_json, "no record is old enough to be sealed")
    else:
        tell({"size": segment.size, "file": segment.file}, as_json, f"records up to {segment.size} are in {segment.file} now")


@command.command()
@common
def key(config: Path | None, as_json: bool) -> None:
    """The public key of the checkpoints. Keep it elsewhere: `verify --key` shows with it that nobody else signed them."""
    text = str(_keys(settings_of(config)).signer.verifier)
    if as_json:
        emit({"key": text})
    else:
        show(text)


async def newest(
    settings: Settings, limit: int, *, tool: str | None = None, ending: str | None = None, kind: str | None = None, told: bool = False
) -> Sequence[Entry]:
    """The newest `limit` lines that match, newest first.

    Args:
        told: write down that they were read.
    """
    found: list[Entry] = []
    before: int | None = None
    async with opened(settings) as (stores, who):
        while page := await stores.journal.read("audit", limit=PAGE, before=before):
            found += [entry for entry in page if _matches(entry.body, tool, ending, kind)]
            if len(found) >= limit:
                break
            before = page[-1].seq
        if told:
            await _tell(stores, who, "audit list", lines=len(found[:limit]), tool=tool, ending=ending, kind=kind)
    return found[:limit]


def as_line(entry: Entry) -> dict[str, Any]:
    from toolgate.audit.export import plain

    return plain(entry.seq, entry.at, entry.body)


def as_row(line: Mapping[str, Any]) -> tuple[str, ...]:
    """A line for people; the columns are `COLUMNS`."""
    result, decision, details = (_part(line, name) for name in ("result", "decision", "details"))
    why = result.get("code") or decision.get("rule") or ""
    what = (
        _part(line, "tool").get("name")
        or _model(line)
        or ", ".join(f"{name} {value}" for name, value in details.items() if isinstance(value, str))
    )
    return (
        str(line["at"])[:19].replace("T", " "),
        str(line.get("type", "")),
        str(_part(line, "principal").get("id", "")),
        str(what)[:80],
        str(result.get("ending", "")),
        str(why),
        f"{line['ms']:.1f}" if "ms" in line else "",
    )


def _model(line: Mapping[str, Any]) -> str:
    model = _part(line, "model")
    return f"{model['provider']}/{model['name']}" if model.get("name") else str(model.get("asked") or "")


def _part(line: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = line.get(name)
    return part if isinstance(part, Mapping) else {}


def _matches(body: Mapping[str, Any], tool: str | None, ending: str | None, kind: str | None) -> bool:
    return (
        (fnmatchcase(str(body.get("type")), kind) if kind else body.get("type") not in INTENTS)
        and (tool is None or fnmatchcase(str(_part(body, "tool").get("name")), tool))
        and ending in (None, _part(body, "result").get("ending"))
    )


def _database(settings: Settings) -> Path:
    """
    Raises:
        Ended: the store keeps nothing.
    """
    from toolgate.settings import state_folder

    if settings.store != "sqlite":
        raise ended("usage", f"the store {settings.store} keeps no audit beyond the process")
    return state_folder(settings) / "toolgate.db"


def _keys(settings: Settings) -> Keys:
    from toolgate.stores.secret import keys_in

    return keys_in(_database(settings).parent)


def _verified(settings: Settings, checkpoint: Path | None, key: str | None) -> Report:
    from toolgate.audit.checkpoint import Verifier, notes
    from toolgate.stores.verify import verify

    kept = notes(checkpoint.read_text(errors="replace")) if checkpoint else []
    if checkpoint and not kept:
        raise ended("usage", f"{checkpoint} holds no checkpoint")
    try:
        verifier = Verifier.parse(key) if key else _keys(settings).signer.verifier
        return verify(_database(settings), verifier, kept)
    except (ValueError, FileNotFoundError) as error:
        raise ended("usage", str(error)) from None


async def _tell(stores: Stores, who: Principal, by: str, **asked: Any) -> None:
    from toolgate.gateway.audit import record

    await record(stores.journal, "audit.read", principal=who, by=by, **asked)
