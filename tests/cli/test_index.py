from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.cli.test_tools import closed_port

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

    assert (ran.code, ran.error["code"]) == (1, "usage")
    assert "nothing" in ran.error["message"]


def test_with_a_provider_of_embeddings_it_says_what_was_embedded_and_what_is_missing(terminal: Terminal) -> None:
    Path("docs").mkdir()
    Path("docs/a.md").write_text("# A\n\nText.")
    Path("toolgate.yaml").write_text(
        f"""
providers: {{acme: {{kind: compatible, base_url: "http://127.0.0.1:{closed_port()}/v1", models: [chat-1]}}}}
library: {{embeddings: {{provider: acme, model: embed-1}}}}
"""
    )

    added = terminal("index", "add", "docs", "--json")
    updated = terminal("index", "update")

    assert (added.code, added.value["read"]) == (0, 1)
    assert (added.value["embeddings"]["done"], added.value["embeddings"]["missing"]) == (0, 1)
    assert "acme cannot be reached" in added.value["embeddings"]["problem"]
    assert updated.code == 0
    assert "found by words alone until they are" in updated.err
