from __future__ import annotations

from pathlib import Path

from tests.internal.world import an_app, run
from toolgate.library.shelf import Shelf
from toolgate.testing import a_principal


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


RULES = """
role: reader
permissions:
  - {id: reader.reads, tools: internal_retrieve_context}
  - id: reader.not.hr
    tools: internal_retrieve_context
    effect: deny
    conditions: [{field: args.folder, operator: equals, value: hr}, {field: args.folder, operator: exists}]
"""


async def test_a_folder_that_the_policy_keeps_from_its_caller_is_not_searched_for_it_named_or_not(tmp_path: Path) -> None:
    for name in ("docs", "hr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(f"# Budgets\n\nOf {name}, reset at midnight.")
        Shelf(tmp_path / "state" / "index.db").add(tmp_path / name)
    (tmp_path / "policies" / "roles").mkdir(parents=True)
    (tmp_path / "policies" / "roles" / "reader.yaml").write_text(RULES)
    rita, ask = a_principal("reader"), {"query": "budgets reset midnight"}
    async with an_app(tmp_path, policies=tmp_path / "policies") as app:
        found = [await run(app, "retrieve_context", rita, **ask, **more) for more in ({}, {"folder": "docs"})]
        named = await run(app, "retrieve_context", rita, **ask, folder="hr")
        unknown = await run(app, "retrieve_context", rita, **ask, folder="payroll")

    assert [[one["source"] for one in each.structured["passages"]] for each in found] == [["docs/a.md"]] * 2
    assert named.refused
    assert unknown.problem is not None
    assert "docs would work" in unknown.problem.message
    assert "hr" not in unknown.problem.message


async def test_without_a_folder_there_is_no_such_tool(tmp_path: Path) -> None:
    async with an_app(tmp_path) as app:
        (status,) = app.roster.status()

    assert "toolgate index add" in status["absent"]["internal_retrieve_context"]
