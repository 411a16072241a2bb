from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Terminal = Callable[..., Any]


def test_folders_are_indexed_listed_updated_and_forgotten(terminal: Terminal) -> None:
    Path("docs").mkdir()
    Path("docs/a.md").write_text("# A\n\nText.")

    added = terminal("index", "add", "docs", "--name", "manual", "--json").value
    Path("docs/b.md").write_text("More.")
    updated = terminal("index", "update", "--json").value
    listed = terminal("index", "list", "--json").value
    removed = terminal("index", "remove", "manual", "--json").value

    assert (added["name"], added["files"], added["read"]) == ("manual", 1, 1)
    assert updated == {"read": 1, "gone": 0, "left_out": 0}
    assert [(one["name"], one["files"]) for one in listed] == [("manual", 2)]
    assert removed == {"removed": "manual"}
    assert terminal("index", "list", "--json").value == []


def test_what_is_not_indexed_cannot_be_forgotten(terminal: Terminal) -> None:
    ran = terminal("index", "remove", "nothing", "--json")

    assert ran.code != 0
    assert "nothing" in ran.error["message"]
