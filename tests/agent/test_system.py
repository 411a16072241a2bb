from __future__ import annotations

from toolgate.agent.system import system
from toolgate.llm.messages import ToolSpec
from toolgate.testing import a_tool

SEARCH = ToolSpec("search_tools", "Find tools", {})


def test_who_has_to_search_for_tools_is_told_how_and_shown_two_tasks() -> None:
    few, many = system({}), system({}, tools=[SEARCH])

    assert (few.version, many.version) == ("system@1", "system@1+tools@1+examples@1")
    assert "search_tools" not in few.text
    assert "Search with a few words" in many.text


def test_tasks_that_need_a_plan_are_done_step_by_step() -> None:
    assert system({}, task="planning").version == "system@1+steps@1"
    assert system({}, task="summarization").version == "system@1"


def test_skills_and_instructions_stand_at_the_end() -> None:
    skill = a_tool(name="skills/triage", description="Sort issues.\nSlowly.")

    assert system({"triage": skill}, "Be brief.").text.endswith("- triage: Sort issues.\n\nBe brief.")
