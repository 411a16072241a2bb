"""What a task is about bounds what it has called by others, too."""

from __future__ import annotations

from typing import Any

import pytest

from toolgate.agent.offer import outside

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
