from __future__ import annotations

import io
import json
import sys

import pytest

from toolgate.cli.output import clean, emit, show, table

HOSTILE = "red \x1b[31m, a bell \x07, \x9b2J, turned \u202e round, [bold]no markup[/bold]"
HARMLESS = "red [31m, a bell , 2J, turned  round, [bold]no markup[/bold]"


class Screen(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


def screen_of(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Called in the test itself: pytest puts its own stdout back after the fixtures."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stdout", screen)
    return screen


def test_what_others_wrote_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)

    show(HOSTILE)
    emit({"text": HOSTILE})
    table(("name", "text"), [("one", HOSTILE)])

    written = screen.getvalue()
    assert written.splitlines()[0] == HARMLESS
    assert json.loads("\n".join(written.splitlines()[1:4])) == {"text": HOSTILE}
    assert clean(written).count("[bold]no markup[/bold]") == 3
    assert [character for character in "\x07\x9b\u202e" if character in written] == []
    assert "\x1b[31m" not in written


def test_a_table_on_a_terminal_has_a_head_and_keeps_names_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)

    table(("name", "text"), [("a_rather_long_name_of_a_tool", "word " * 60)])

    lines = screen.getvalue().splitlines()
    assert "name" in lines[1]
    assert "text" in lines[1]
    assert sum("a_rather_long_name_of_a_tool" in line for line in lines) == 1


def test_into_a_pipe_a_row_is_a_line_and_a_cell_holds_no_tab(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "text"), [("one", "two\tlines\nof text"), ("two", "")])

    assert capsys.readouterr().out == "one\ttwo lines of text\ntwo\t\n"


def test_into_a_pipe_a_result_stays_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    show(HOSTILE)

    assert capsys.readouterr().out == HOSTILE + "\n"
