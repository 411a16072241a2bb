"""`toolgate tools`: find tools, read what they want, call them through the gate, and look them over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.options import common, json_option, settings_of
from toolgate.cli.output import emit, listed, say, show, table

if TYPE_CHECKING:
    from toolgate.calls import Tool

COLUMNS = ("tool", "does", "description")


@click.group()
def command() -> None:
    """Find, read, call and check tools, as the caller that you are here."""


@command.command("list")
@common
@click.option("--integration", metavar="NAME", help="Only its tools.")
@click.option("--listed", "only_listed", is_flag=True, help="Only what clients see without searching.")
async def list_(config: Path | None, as_json: bool, integration: str | None, only_listed: bool) -> None:
    """All tools that you may know of, by name."""
    from toolgate.calls import PROTOCOL

    tools = [tool for tool in await _visible(config) if PROTOCOL not in tool.tags]
    _tell([tool for tool in _of(integration, tools) if tool.listed or not only_listed], as_json)


@command.command()
@common
@click.option("--limit", type=click.IntRange(1), default=8, show_default=True, help="Tools at most.")
@click.argument("words", nargs=-1, required=True)
async def search(config: Path | None, as_json: bool, limit: int, words: tuple[str, ...]) -> None:
    """Tools that do what WORDS say, best first."""
    from toolgate.search import Index

    tools = {tool.name: tool for tool in await _visible(config) if tool.integration != "toolgate"}
    _tell([tools[name] for name in Index.of(tools.values()).search(" ".join(words), limit=limit)], as_json)


@command.command("show")
@common
@click.argument("name")
async def show_(config: Path | None, as_json: bool, name: str) -> None:
    """What the tool NAME does and takes, with a call to copy."""
    from toolgate.cli.example import command_line, example

    tool = found(name, await _visible(config))
    if as_json:
        emit({**summary(tool), "details": tool.details or tool.description, "inputSchema": tool.schema, "example": example(tool.schema)})
        return
    show(tool.name)
    show(tool.details or tool.description)
    show(f"\n{effect(tool)}; from {tool.integration}; {'listed' if tool.listed else 'found by search'}\n")
    table(("argument", "takes", "description"), arguments(tool))
    show(f"\n{command_line(tool)}")


@command.command()
@common
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--args", "whole", metavar="@FILE|-|JSON", help="All arguments at once, from a file, stdin or here; KEY=VALUE goes over them."
)
@click.option("--dry-run", is_flag=True, help="Show the exact request, secrets masked, and send nothing.")
@click.option("--idempotency-key", metavar="KEY", help="Made again with the same key, the call happens once.")
@click.option("--approve", is_flag=True, help="Say yes beforehand, should the call need a person's yes.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the result to FILE.")
async def call(
    config: Path | None,
    as_json: bool,
    name: str,
    words: tuple[str, ...],
    whole: str | None,
    dry_run: bool,
    idempotency_key: str | None,
    approve: bool,
    output: Path | None,
) -> None:
    """Call the tool NAME through the gate.

    \b
    Values become what the tool's schema asks for:
      per_page=30   labels=bug labels=ui   body.title=Hello   n:='"7"'
    """
    from toolgate.cli.call import Wanted, make

    wanted = Wanted(name, words, whole, dry_run=dry_run, approved=approve, idempotency_key=idempotency_key)
    await make(wanted, settings_of(config), output=output, as_json=as_json)


@command.command()
@common
@click.option("--integration", metavar="NAME", help="Only its tools.")
async def lint(config: Path | None, as_json: bool, integration: str | None) -> int:
    """What a model or a client would stumble over; exit code 1 if anything is an error."""
    from toolgate.cli.lint import look_over

    tools = _of(integration, await _visible(config))
    findings = [finding for tool in tools for finding in look_over(tool)]
    if as_json:
        emit([asdict(finding) for finding in findings])
    else:
        table(("level", "tool", "code", "message"), [(found.level, found.tool, found.code, found.message) for found in findings])
        say(f"{len(tools)} tools, {len(findings)} findings")
    return int(any(finding.level == "error" for finding in findings))


@command.command()
@json_option
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE...")
def evaluate(as_json: bool, files: tuple[Path, ...]) -> None:
    """How well search finds what is right: recall at 1, 5 and 10 over the questions in FILE, JSON or JSON in gzip."""
    from toolgate.cli.evaluate import evaluate

    evaluate(files, as_json=as_json)


def found(name: str, tools: Sequence[Tool]) -> Tool:
    """The tool called `name`.

    Raises:
        Ended: there is none; names the nearest.
    """
    from toolgate.cli.endings import ended

    by_name = {tool.name: tool for tool in tools}
    if name not in by_name:
        raise ended("unknown_tool", f"there is no tool called {name!r}", hint=nearest(name, tools))
    return by_name[name]


def nearest(name: str, tools: Sequence[Tool]) -> str:
    """A hint for whoever mistyped `name`: like names first, then tools that share its words."""
    from difflib import get_close_matches

    from toolgate.search import Index

    by_name = {tool.name: tool for tool in tools}
    like = get_close_matches(name, by_name, n=3) or Index.of(tools).search(name, limit=3)
    return f"did you mean {', '.join(like)}?" if like else "`toolgate tools search WORDS` finds tools by what they do"


def summary(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "effect": effect(tool),
        "integration": tool.integration,
        "listed": tool.listed,
        "tags": list(tool.tags),
    }


def effect(tool: Tool) -> str:
    if tool.annotations.read_only:
        return "reads"
    return "destroys" if tool.annotations.destructive else "adds"


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?])\s|\n", text.strip(), maxsplit=1)[0]


def arguments(tool: Tool) -> list[tuple[str, str, str]]:
    """Rows of name, type and description, the required ones first and marked with a star."""
    from toolgate.cli.arguments import branches
    from toolgate.gateway.discover import signature

    properties, required = tool.schema.get("properties", {}), set(tool.schema.get("required", ()))
    rows = []
    for name in sorted(properties, key=lambda name: name not in required):
        alone = replace(tool, schema={"properties": {name: properties[name]}, "required": [name]}, advertised=None)
        described = (branch["description"] for branch in branches(properties[name], tool.schema) if "description" in branch)
        rows.append((f"{name}*" if name in required else name, signature(alone).partition(": ")[2], next(described, "")))
    return rows


async def _visible(config: Path | None) -> Sequence[Tool]:
    from toolgate.app import open_app
    from toolgate.server.identify import local

    settings = settings_of(config)
    async with open_app(settings) as app:
        return list(app.gateway.visible(local(settings.stdio, "terminal")).values())


def _of(integration: str | None, tools: Sequence[Tool]) -> Sequence[Tool]:
    """Those of `tools` that `integration` has; None: all.

    Raises:
        Ended: it has none, so that a check of a misspelt one does not pass.
    """
    from toolgate.cli.endings import ended

    some = [tool for tool in tools if integration in (None, tool.integration)]
    if integration is not None and not some:
        names = sorted({tool.integration for tool in tools})
        raise ended("usage", f"no tool is of an integration called {integration!r}", hint=f"there are tools of {', '.join(names)}")
    return some


def _tell(tools: Sequence[Tool], as_json: bool) -> None:
    rows = [(tool.name, effect(tool), first_sentence(tool.description)) for tool in tools]
    listed([summary(tool) for tool in tools], as_json, COLUMNS, rows, "no such tool; `toolgate doctor` says which integrations loaded")
