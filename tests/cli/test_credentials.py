"""`toolgate credentials`: a value comes in unseen, stays unreadable, and only who it belongs to calls with it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Terminal = Callable[..., Any]
SECRET = "adas-own-secret-canary"


def per_user(shop: Path) -> None:
    declaration = json.loads((shop / "integration.yaml").read_text()) | {"auth": {"type": "api_key", "name": "X-Key", "per_user": True}}
    (shop / "integration.yaml").write_text(json.dumps(declaration))


def test_a_call_says_how_to_link_and_succeeds_afterwards(
    terminal: Terminal, shop: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    per_user(shop)
    before = terminal("tools", "call", "shop_list_items", "kind=tea", "--json")
    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET + "\n"))
    linked = terminal("credentials", "set", "shop", "--json")

    after = terminal("tools", "call", "shop_list_items", "kind=tea")

    assert (before.code, before.error["code"]) == (3, "not_linked")
    assert "`toolgate credentials set shop --user local:" in before.error["message"]
    assert (linked.code, linked.value["integration"], linked.value["tenant"]) == (0, "shop", "default")
    assert (after.code, after.value) == (0, {"query": "kind=tea"})
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
    assert kept == []


def test_links_are_listed_and_removed_and_written_down_without_their_value(
    terminal: Terminal, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    per_user(shop)
    monkeypatch.setenv("TOOLGATE_CREDENTIAL", SECRET)
    terminal("credentials", "set", "shop", "--user", "corp:ada", "--tenant", "acme")
    listed = terminal("credentials", "list", "--json")
    removed = terminal("credentials", "remove", "shop", "--user", "corp:ada", "--tenant", "acme", "--json")
    again = terminal("credentials", "remove", "shop", "--user", "corp:ada", "--tenant", "acme", "--json")

    lines = terminal("audit", "list", "--json")

    assert [{**line, "linked": "…"} for line in listed.value] == [
        {"integration": "shop", "user": "corp:ada", "tenant": "acme", "linked": "…"}
    ]
    assert (removed.code, again.code, terminal("credentials", "list", "--json").value) == (0, 1, [])
    changes = [line["details"] for line in lines.value if line["type"] == "credential.changed"]
    assert changes == [
        {"change": "removed", "user": "corp:ada", "integration": "shop"},
        {"change": "linked", "user": "corp:ada", "integration": "shop"},
    ]
    assert SECRET not in lines.out + listed.out


@pytest.mark.parametrize("value", ["", " \n ", "two\nlines", "x" * 65_537])
def test_what_is_no_credential_is_not_linked(terminal: Terminal, shop: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    per_user(shop)
    monkeypatch.setattr(sys, "stdin", io.StringIO(value))

    ran = terminal("credentials", "set", "shop", "--json")

    assert (ran.code, ran.error["code"]) == (1, "usage")
    assert terminal("credentials", "list", "--json").value == []


def test_only_integrations_that_want_one_take_one(terminal: Terminal, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_CREDENTIAL", SECRET)

    assert "not called with callers' own" in terminal("credentials", "set", "shop", "--json").error["message"]
    assert "there is no integration nosuch" in terminal("credentials", "set", "nosuch", "--json").error["message"]
