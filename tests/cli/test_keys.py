"""`toolgate keys`: what is shown once, what is written down, and what is never shown again."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Terminal = Callable[..., Any]
KEY = re.compile(r"tg_[a-z2-7]{8}_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")


def test_a_key_is_alone_on_stdout_and_never_shown_again(terminal: Terminal, tmp_path: Path) -> None:
    made = terminal("keys", "create", "ada", "--role", "developer", "--tier", "pro", "--tenant", "acme", "--expires", "never")
    listed = terminal("keys", "list", "--json")

    text = made.out.removesuffix("\n")
    assert (made.code, bool(KEY.fullmatch(text))) == (0, True)
    assert listed.value == [
        {
            "id": text[:11],
            "owner": "ada",
            "roles": ["developer"],
            "tier": "pro",
            "tenant": "acme",
            "scopes": None,
            "state": "live",
            "created": listed.value[0]["created"],
            "expires": None,
            "revoked": None,
            "replaced_by": None,
        }
    ]
    secret = text.split("_")[2]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]


def test_a_rotation_names_the_successor_and_a_revoked_key_stays_in_the_list(terminal: Terminal) -> None:
    first = terminal("keys", "create", "ada", "--json").value["id"]
    second = terminal("keys", "rotate", first, "--overlap", "1h", "--json").value["id"]
    again = terminal("keys", "rotate", first, "--json")
    revoked = terminal("keys", "revoke", second, "--json")

    states = {key["id"]: (key["state"], key["replaced_by"]) for key in terminal("keys", "list", "--json").value}
    assert states == {first: ("live", second), second: ("revoked", None)}
    assert (revoked.code, revoked.value["state"]) == (0, "revoked")
    assert (again.code, again.error["code"]) == (1, "misconfigured")


def test_making_replacing_and_revoking_a_key_is_written_down_without_its_secret(terminal: Terminal) -> None:
    made = terminal("keys", "create", "ada", "--scope", "tools:read", "--json").value
    replaced = terminal("keys", "rotate", made["id"], "--json").value
    terminal("keys", "revoke", made["id"])

    lines = terminal("audit", "list", "--json")

    seen = [(line["type"], line["details"]["id"], line["principal"]["via"]) for line in lines.value if line["type"].startswith("key.")]
    assert seen == [
        ("key.revoked", made["id"], "terminal"),
        ("key.created", replaced["id"], "terminal"),
        ("key.created", made["id"], "terminal"),
    ]
    assert made["key"] not in lines.out
    assert made["key"].split("_")[2] not in lines.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "ada", "--role", "developr"), "there is no role developr; there are"),
        (("create", "ada", "--tier", "gold"), "there is no tier gold; there are"),
        (("create", "ada", "--scope", "tools:red"), "there is no scope tools:red; there are tools:read, tools:call and tool:GLOB"),
        (("create", "ada", "--expires", "soon"), "such as 90d, or never"),
        (("create", "ada", "--expires", "0d"), "such as 90d, or never"),
        (("create", "anonymous"), "the owner of a key"),
        (("rotate", "tg_nothere", "--overlap", "never"), "an overlap ends"),
        (("revoke", "tg_nothere"), "there is no key 'tg_nothere'"),
    ],
)
def test_what_cannot_be_meant_makes_no_key(terminal: Terminal, words: tuple[str, ...], said: str) -> None:
    ran = terminal("keys", *words, "--json")

    assert (ran.code, said in ran.error["message"]) == (1, True), ran.error
    assert terminal("keys", "list", "--json").value == []


def test_a_store_that_forgets_takes_no_keys(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_STORE", "memory")

    assert "forgets a key at once" in terminal("keys", "create", "ada", "--json").error["message"]


def test_nobody_is_sent_to_the_doctor_who_knows_nothing_of_keys(terminal: Terminal) -> None:
    ran = terminal("keys", "revoke", "tg_aaaaaaaa", "--json")

    assert "`toolgate keys list` shows all" in ran.error["message"]
    assert ran.error["hint"] is None
