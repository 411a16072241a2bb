"""What a model is shown of the tools, and that what a task is about bounds what it has called by others, too."""

from __future__ import annotations

from typing import Any

import pytest

from toolgate.agent.offer import added, offered, outside
from toolgate.testing import a_tool

GLOBS = ("list_*", "agent_run", "internal_submit_job")


@pytest.mark.parametrize(
    ("name", "arguments", "found"),
    [
        ("list_issues", {}, None),
        ("drop", {}, "drop"),
        ("internal_submit_job", {"tool": "list_issues"}, None),
        ("internal_submit_job", {"tool": "drop"}, "drop"),
        ("internal_submit_job", {"tool": "call_tool", "arguments": {"name": "drop"}}, "drop"),
        ("internal_submit_job", {"tool": "internal_submit_job", "arguments": {"tool": "drop"}}, "drop"),
        ("agent_run", {"task": "x"}, "agent_run without `tools`"),
        ("agent_run", {"task": "x", "tools": ["list_issues", "list_p*"]}, None),
        ("agent_run", {"task": "x", "tools": ["list_issues", "*"]}, "agent_run with *"),
        ("agent_run", {"task": "x", "tools": ["l*"]}, "agent_run with l*"),
    ],
)
def test_what_is_called_by_way_of_another_tool_is_bounded_as_well(name: str, arguments: dict[str, Any], found: str | None) -> None:
    assert outside(name, arguments, GLOBS) == found
    assert outside(name, arguments, None) is None


OPENAI = 128
"""Tools in a request, by its API reference."""
MANY = {name: a_tool(name=name) for name in (*(f"t{number}" for number in range(300)), "read_result")}


@pytest.mark.parametrize("finders", [("search_tools", "describe_tool", "call_tool"), ()])
def test_no_more_tools_are_shown_than_every_provider_takes_however_wide_the_window(finders: tuple[str, ...]) -> None:
    tools = MANY | {name: a_tool(name=name) for name in finders}

    shown, whole = offered(tools, None, 10_000_000)
    more = [] if whole else added(tools, None, MANY)

    assert len(shown) + len(more) <= OPENAI
    assert {spec.name for spec in shown} >= {"read_result", *finders}


def test_as_many_as_fit_are_shown_at_once() -> None:
    shown, whole = offered({f"t{number}": a_tool(name=f"t{number}") for number in range(100)}, None, 10_000_000)

    assert (len(shown), whole) == (100, True)
