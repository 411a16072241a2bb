"""What commands write: JSON for programs, tables for people, and nothing that could take over a terminal."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import Any

import click

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control and direction-changing characters, which descriptions and answers of others may carry; tab and newline stay."""


def emit(value: Any) -> None:
    """`value` as JSON on stdout: indented on a terminal, else one line."""
    click.echo(escaped(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str)))


def say(text: str = "") -> None:
    """A line for people, on stderr."""
    click.echo(clean(text), err=True)


def show(text: str) -> None:
    """A result on stdout: byte for byte into a pipe, without control characters on a terminal."""
    sys.stdout.write(f"{clean(text) if sys.stdout.isatty() else text}\n")  # click would take colours out of a pipe
    sys.stdout.flush()


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows on stdout: a table on a terminal, else one line a row, cells separated by tabs, without a header."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(" ".join(clean(cell).split()) for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(column, no_wrap=number == 0, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(clean(cell)) for cell in row))  # Text: brackets in a description are no markup
    Console().print(drawn)


def listed(found: Any, as_json: bool, columns: Sequence[str], rows: Sequence[Sequence[str]], none: str) -> None:
    """`found` as JSON, else its `rows`, or `none`, a sentence, where there are no such."""
    if as_json:
        emit(found)
    elif rows:
        table(columns, rows)
    else:
        say(none)


def tell(found: Any, as_json: bool, sentence: str) -> None:
    """`found` as JSON, else in a sentence."""
    if as_json:
        emit(found)
    else:
        say(sentence)


def clean(text: str) -> str:
    """`text` without characters that move a cursor, colour a screen or turn a direction."""
    return CONTROL.sub("", text)


def escaped(text: str) -> str:
    """JSON `text` that means the same, its remaining control characters written as escapes."""
    return CONTROL.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
