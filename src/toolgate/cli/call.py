"""One call from the terminal: words in, through the gate, the result on stdout, the rest on stderr."""

from __future__ import annotations

import base64
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.calls import UNSET, Ask, Binary, Outcome, Question, Tool
from toolgate.cli.arguments import read_arguments, write_arguments
from toolgate.cli.endings import Ended, ended
from toolgate.cli.output import emit, say, show
from toolgate.cli.tools import nearest
from toolgate.errors import BadDocument, InvalidArguments
from toolgate.gateway.discover import signature

if TYPE_CHECKING:
    from toolgate.egress.wire import Request
    from toolgate.settings import Settings


@dataclass(frozen=True)
class Wanted:
    """What was typed."""

    name: str
    words: Sequence[str]
    whole: str | None
    """`--args`: all arguments at once."""
    dry_run: bool
    approved: bool = False
    """`--approve`: the answer, should a person's yes be needed."""
    idempotency_key: str | None = None


async def make(wanted: Wanted, settings: Settings, *, output: Path | None, as_json: bool) -> None:
    """Make the call, or show the request it would send.

    Raises:
        Ended: it was refused or failed.
    """
    from toolgate.app import open_app
    from toolgate.server.context import idempotency_key
    from toolgate.server.identify import local

    key = idempotency_key(wanted.idempotency_key)
    async with open_app(settings) as app:
        caller = local(settings.stdio, "terminal")
        tools = app.gateway.visible(caller)
        tool = tools.get(wanted.name)
        arguments = arguments_of(wanted, tool)
        if wanted.dry_run and tool is not None:
            _show_request(await app.preview(tool.name, arguments, caller), as_json)
            return
        # An unknown tool too is called, so that the attempt is written down like any other.
        outcome = await app.gateway.call(
            wanted.name,
            arguments,
            caller,
            idempotency_key=key,
            progress=_progress if sys.stderr.isatty() else None,
            ask=_asking(wanted.approved),
        )
        if outcome.problem is not None:
            raise _ended(outcome, tool, wanted.name, list(tools.values()))
    _deliver(outcome, output, as_json)
    if tool is not None and isinstance(outcome.meta.get("next"), Mapping):
        words = write_arguments({**arguments, **outcome.meta["next"]}, tool.schema)
        say(f"next: {shlex.join(['toolgate', 'tools', 'call', tool.name, *words])}")


def arguments_of(wanted: Wanted, tool: Tool | None) -> dict[str, Any]:
    """What was typed as the arguments that `tool` takes."""
    base = _whole(wanted.whole)
    if tool is None:
        return base
    try:
        return read_arguments(wanted.words, tool.schema, base)
    except InvalidArguments as error:
        raise ended(error.code, str(error), hint=_signature(tool)) from None


def _whole(text: str | None) -> dict[str, Any]:
    """What `--args` says: a JSON (or YAML) object from here, from `@FILE` or, for `-`, from stdin."""
    from toolgate import documents

    if text is None:
        return {}
    if text == "-":
        data = sys.stdin.buffer.read()
    elif text.startswith("@"):
        try:
            data = Path(text[1:]).read_bytes()
        except OSError as error:
            raise ended("usage", f"--args cannot read {text[1:]}: {error.strerror}") from None
    else:
        data = text.encode()
    try:
        value = documents.parse(data, name="--args")
    except BadDocument as error:
        raise ended("usage", str(error)) from None
    if not isinstance(value, dict):
        raise ended("usage", "--args wants a JSON object, @FILE or -")
    return value


def _ended(outcome: Outcome, tool: Tool | None, name: str, tools: Sequence[Tool]) -> Ended:
    problem = outcome.problem
    assert problem is not None
    hint = None
    if problem.code == "unknown_tool":
        hint = nearest(name, tools)
    elif problem.code == "invalid_arguments" and tool is not None:
        hint = _signature(tool)
    elif problem.details.get("status") in (401, 403) and tool is not None:
        hint = f"`toolgate doctor` says whether the credentials of {tool.integration} are set"
    return ended(problem.code, problem.message, hint=hint, retry_after=problem.retry_after, details=problem.details)


def _signature(tool: Tool) -> str:
    return f"{tool.name} takes {signature(tool) or 'no arguments'}"


def _deliver(outcome: Outcome, output: Path | None, as_json: bool) -> None:
    files = [piece for piece in outcome.content if isinstance(piece, Binary)]
    text = outcome.text
    if output is not None:
        written = _write(output, files, text, outcome.structured)
        if as_json:
            emit({"written": written, **_around(outcome)})
        return
    if as_json:
        result = text if outcome.structured is UNSET else outcome.structured
        emit({"result": result, "files": [_as_json(file) for file in files], **_around(outcome)})
    elif outcome.structured is not UNSET:
        emit(outcome.structured)
    elif files:
        _write_out(files)
    else:
        show(text)


def _around(outcome: Outcome) -> dict[str, Any]:
    return {"meta": dict(outcome.meta), "cost_micros": outcome.cost, "replayed": outcome.replayed}


def _as_json(file: Binary) -> dict[str, str]:
    return {"media_type": file.media_type, "uri": file.uri, "data": base64.b64encode(file.data).decode()}


def _write(output: Path, files: Sequence[Binary], text: str, structured: Any) -> list[str]:
    """Write the result, several files as FILE, FILE-2 …, and tell their names."""
    from toolgate.audit.line import whole

    contents = [file.data for file in files] or [text.encode() if structured is UNSET else whole(structured)]
    written = []
    for number, content in enumerate(contents, 1):
        path = output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        try:
            path.write_bytes(content)
        except OSError as error:
            raise ended("usage", f"the call is done, but {path} cannot be written: {error.strerror}") from None
        written.append(str(path))
        say(f"{len(content)} bytes in {path}")
    return written


def _write_out(files: Sequence[Binary]) -> None:
    if sys.stdout.isatty() or len(files) > 1:
        kinds = ", ".join(f"{len(file.data)} bytes of {file.media_type}" for file in files)
        raise ended("usage", f"the call is done; the result is {kinds}, nothing for a terminal", hint="--output FILE keeps it")
    sys.stdout.buffer.write(files[0].data)


def _show_request(request: Request, as_json: bool) -> None:
    body = request.body
    text = None if body is None else _readable(body)
    if as_json:
        emit({"method": request.method, "url": request.url, "headers": [list(header) for header in request.headers], "body": text})
        return
    show(f"{request.method} {request.url}")
    for name, value in request.headers:
        show(f"{name}: {value}")
    if text is not None:
        show(f"\n{text}")
    say("not sent")


def _readable(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return f"({len(body)} bytes)"


def _asking(approved: bool) -> Ask | None:
    """Who answers, should the call need a person's yes; None: nobody is here."""
    if approved:
        return _yes
    return _prompt if sys.stdin.isatty() and sys.stderr.isatty() else None


async def _yes(_question: Question) -> bool:
    return True


async def _prompt(question: Question) -> bool | None:
    say(question.text)
    try:
        # This stops the whole process, which has nothing else to do; in a thread, Ctrl-C could not end it.
        return click.confirm("Let it through?", err=True)
    except click.Abort:
        return None


async def _progress(done: float, total: float | None, sentence: str | None) -> None:
    say(f"{done:g}{f' of {total:g}' if total is not None else ''}{f': {sentence}' if sentence else ''}")
