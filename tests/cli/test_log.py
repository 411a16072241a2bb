"""No record looks like two, and none speaks to a terminal."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from toolgate.cli.log import Json, OneLine, fit


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


def test_as_json_a_record_is_an_object_on_one_line() -> None:
    made = logging.LogRecord("toolgate.server", logging.WARNING, "f", 1, "%s is away", ("e\nvil",), None)
    made.created = 1_800_000_000.25
    bug = ValueError("x")
    failed = logging.LogRecord("toolgate", logging.ERROR, "f", 1, "it failed", (), (type(bug), bug, None))

    assert json.loads(Json().format(made)) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "warning",
        "logger": "toolgate.server",
        "message": "e\nvil is away",
    }
    assert json.loads(Json().format(failed))["exception"] == "ValueError: x"
    assert "\n" not in Json().format(made) + Json().format(failed)


def test_a_server_logs_as_the_settings_say_and_others_from_warnings_on() -> None:
    program = (
        "import logging\n"
        "from toolgate.cli.log import log_lines\n"
        "log_lines(as_json=True, level='info')\n"
        "for name in ('toolgate.server', 'others'):\n"
        "    logging.getLogger(name).debug('d'), logging.getLogger(name).info('i'), logging.getLogger(name).warning('w')\n"
    )

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    said = [(each["logger"], each["message"]) for each in map(json.loads, ran.stderr.splitlines())]
    assert said == [("toolgate.server", "i"), ("toolgate.server", "w"), ("others", "w")]


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
