"""`toolgate approvals`, and the ways in which a person at a terminal says yes to a call."""

from __future__ import annotations

import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest

Terminal = Callable[..., Any]
ADD = ("tools", "call", "shop_add_item", "name=Pot", "--json")
ADDED = {"added": {"name": "Pot"}}


def pending(ran: Any) -> str:
    assert (ran.code, ran.error["code"], ran.out) == (6, "approval_needed", "")
    return str(ran.error["details"]["pending"])


def test_off_a_terminal_a_call_waits_and_passes_once_when_it_is_approved(terminal: Terminal, shop: Path) -> None:
    id_ = pending(terminal(*ADD))
    waiting = terminal("approvals", "list", "--json")
    approved = terminal("approvals", "approve", id_, "--reason", "as agreed", "--json")
    passed = terminal(*ADD)
    again = pending(terminal(*ADD))

    [shown] = waiting.value
    user = shown["caller"]
    assert user.startswith("local:")
    assert {name: value for name, value in shown.items() if name not in ("asked", "expires")} == {
        "id": id_,
        "state": "pending",
        "tenant": "default",
        "caller": user,
        "acting_for": [],
        "tool": "shop_add_item",
        "arguments": {"values": {"name": "Pot"}},
        "by": None,
        "reason": None,
    }
    assert (approved.code, approved.value["state"], approved.value["by"], approved.value["reason"]) == (0, "approved", user, "as agreed")
    assert (passed.code, passed.value["result"]) == (0, ADDED)
    assert again != id_


def test_what_is_denied_is_told_why_and_stays_denied(terminal: Terminal, shop: Path) -> None:
    id_ = pending(terminal(*ADD))
    denied = terminal("approvals", "deny", id_, "--reason", "it is Friday")
    refused = terminal(*ADD[:-1], "--approve", "--json")

    assert (denied.code, denied.out) == (0, "")
    assert "may not make this call of shop_add_item" in denied.err
    assert (refused.code, refused.error["code"]) == (6, "not_permitted")
    assert "said no to this call of shop_add_item: it is Friday." in refused.error["message"]


def test_a_yes_may_be_said_beforehand_and_counts_for_that_call_alone(terminal: Terminal, shop: Path) -> None:
    passed = terminal(*ADD, "--approve")

    assert (passed.code, passed.value["result"]) == (0, ADDED)
    pending(terminal(*ADD))


def test_for_people_the_list_is_a_line_a_call_and_says_when_nothing_waits(terminal: Terminal, shop: Path) -> None:
    nothing = terminal("approvals", "list")
    id_ = pending(terminal(*ADD))
    listed = terminal("approvals", "list")
    approved = terminal("approvals", "approve", id_)

    assert (nothing.code, nothing.out, nothing.err) == (0, "", "nothing waits for a person's yes\n")
    assert listed.out.split("\t")[:2] == [id_, "pending"]
    assert listed.out.split("\t")[3:5] == ["shop_add_item", '{"name":"Pot"}']
    assert "may now make this call of shop_add_item once" in approved.err


def test_an_id_that_nothing_waits_under_is_wrong(terminal: Terminal, shop: Path) -> None:
    for verb in ("approve", "deny"):
        ran = terminal("approvals", verb, "0" * 32, "--json")

        assert (ran.code, ran.error["code"], ran.error["hint"]) == (1, "unknown_approval", "`toolgate approvals list` shows what waits")


def test_a_store_that_forgets_has_nothing_to_list(terminal: Terminal, shop: Path) -> None:
    Path("toolgate.yaml").write_text('{"tool_specs": ["specs"], "store": "memory"}')

    ran = terminal("approvals", "list", "--json")

    assert (ran.code, ran.error["code"]) == (1, "misconfigured")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("typed", "code", "result"),
    [("y\n", 0, ADDED), ("n\n", 6, None), ("\n", 6, None), ("\x04", 6, None)],
    ids=["yes", "no", "return", "end"],
)
def test_on_a_terminal_a_person_is_asked_and_only_a_yes_is_one(terminal: Terminal, shop: Path, typed: str, code: int, result: Any) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "toolgate", *ADD[:-1], "--json"]
    process = Popen(words, stdin=theirs, stderr=theirs, stdout=PIPE, text=True)
    os.close(theirs)
    said = ""
    while "Let it through? [y/N]" not in said:
        said += os.read(ours, 4096).decode()
    os.write(ours, typed.encode())
    out, _ = process.communicate(timeout=60)
    os.close(ours)

    assert "wants to call shop_add_item, which may destroy or overwrite something." in said
    assert 'Arguments: {"name":"Pot"}' in said
    assert process.returncode == code
    assert (json.loads(out)["result"] if out else None) == result
