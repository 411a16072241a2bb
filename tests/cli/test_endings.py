from __future__ import annotations

import json
from collections.abc import Iterator

import click
import pytest

from toolgate import errors
from toolgate.cli.endings import EXITS, Ended, ended, ending_of


def codes(kind: type[errors.ToolgateError]) -> Iterator[str]:
    yield kind.code
    for child in kind.__subclasses__():
        yield from codes(child)


def test_every_error_there_is_has_an_exit_code() -> None:
    assert set(EXITS) == {*codes(errors.ToolgateError), "usage", "interrupted"}


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.NotIdentified("who?"), 3),
        (errors.UpstreamFailed("it answered 401", status=401), 3),
        (errors.Unreachable("nobody answered"), 4),
        (errors.UpstreamFailed("it answered 500", status=500), 5),
        (errors.TimedOut("too late"), 5),
        (errors.AnswerTooLarge("too large"), 5),
        (errors.NotPermitted("no", rule="default"), 6),
        (errors.EgressBlocked("not there"), 6),
        (errors.ApprovalNeeded("ask", pending="a1"), 6),
        (errors.LimitReached("wait", retry_after=15), 7),
        (errors.OverBudget("spent"), 7),
        (errors.Repeating("again", 60), 7),
        (errors.Busy("full"), 7),
        (errors.KeyReused("another key"), 1),
        (errors.Suspended("wait", retry_after=15), 4),
        (errors.UpstreamFailed("it answered 429", status=429, retry_after=3), 7),
        (errors.UnknownTool("which?"), 1),
        (errors.InvalidArguments("not so"), 1),
        (errors.Misconfigured("mend it"), 1),
        (errors.AuditUnavailable("no ink"), 1),
        (click.UsageError("wrong"), 1),
        (ValueError("a bug"), 1),
        (KeyboardInterrupt(), 130),
        (ExceptionGroup("of one", [errors.Unreachable("nobody answered")]), 4),
        (ended("not_permitted", "no"), 6),
    ],
)
def test_the_exit_code_says_what_a_script_can_do(error: BaseException, exit_code: int) -> None:
    assert ending_of(error).exit == exit_code


def test_as_json_an_ending_is_one_line() -> None:
    ending = ending_of(errors.UpstreamFailed("it said:\nno", status=429, retry_after=3))

    assert "\n" not in ending.to_json()
    assert json.loads(ending.to_json()) == {
        "error": {"code": "upstream_failed", "message": "it said:\nno", "hint": None, "retry_after": 3, "details": {"status": 429}}
    }


def test_a_command_may_say_its_own_hint() -> None:
    error = ended("unreachable", "nobody answered", hint="start it")

    assert isinstance(error, Ended)
    assert ending_of(error).hint == "start it"
