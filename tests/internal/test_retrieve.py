from __future__ import annotations

from pathlib import Path

from tests.internal.world import an_app, run
from toolgate.library.shelf import Shelf


async def test_passages_come_with_their_source_and_a_changed_file_with_what_it_says_now(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Budgets\n\nReset at midnight.")
    Shelf(tmp_path / "state" / "index.db").add(docs)
    async with an_app(tmp_path) as app:
        outcome = await run(app, "retrieve_context", query="budgets reset")
        unknown = await run(app, "retrieve_context", query="budgets", folder="other")

    (passage,) = outcome.structured["passages"]
    assert (passage["source"], passage["heading"], passage["start"]) == ("docs/a.md", "Budgets", 0)
    assert unknown.problem is not None
    assert "docs would work" in unknown.problem.message


async def test_without_a_folder_there_is_no_such_tool(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        (status,) = app.status()

    assert "toolgate index add" in status["absent"]["internal_retrieve_context"]
