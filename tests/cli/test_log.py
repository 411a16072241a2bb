"""No record looks like two, and none speaks to a terminal."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from toolgate.cli.log import OneLine, fit


def record(message: str, *arguments: object, bug: BaseException | None = None) -> str:
    told = (type(bug), bug, bug.__traceback__) if bug else None
    return OneLine().format(logging.LogRecord("toolgate", logging.WARNING, "f", 1, message, arguments, told))


def test_what_a_server_said_stays_on_its_line() -> None:
    said = "\x1b[31mred\n2026-11-27 forged\r\u202eback\x9b1m\u200b"

    assert record("%s cannot be called: %s", "evil", said) == (
        r"evil cannot be called: \x1b[31mred\n2026-11-27 forged\r\u202eback\x9b1m\u200b"
    )


def test_a_bugs_own_lines_are_indented() -> None:
    lines = record("it failed", bug=ValueError("first\nforged record\x1b[2J")).split("\n")

    assert lines[0] == "it failed"
    assert lines[-2:] == ["  ValueError: first", r"  forged record\x1b[2J"]
    assert all(line.startswith("  ") for line in lines[1:])


@given(st.text())
def test_any_text_is_one_printable_line_and_plain_text_stays(text: str) -> None:
    assert len(fit(text).splitlines()) <= 1
    assert "\x1b" not in fit(text)
    if text.isascii() and text.isprintable():
        assert fit(text) == text


def test_it_is_what_commands_log_with() -> None:
    from toolgate.cli import main

    main(["--version"])

    assert logging.lastResort is not None
    assert isinstance(logging.lastResort.formatter, OneLine)
