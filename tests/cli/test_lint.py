from __future__ import annotations

from typing import Any

import pytest

from toolgate.cli.lint import look_over
from toolgate.testing import a_tool

GOOD: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string", "description": "A letter."}}}


def test_nothing_is_said_of_a_good_tool() -> None:
    assert list(look_over(a_tool(schema=GOOD))) == []


@pytest.mark.parametrize(
    ("tool", "level", "code"),
    [
        (a_tool(name="has spaces", schema=GOOD), "error", "name"),
        (a_tool(name="x" * 49, schema=GOOD), "error", "name"),
        (a_tool(schema={**GOOD, "required": "a"}), "error", "schema"),
        (a_tool(schema=GOOD, advertised={**GOOD, "type": "objekt"}), "error", "schema"),
        (a_tool(schema={}), "error", "not-an-object"),
        (a_tool(schema={**GOOD, "anyOf": [{}]}), "error", "combined"),
        (a_tool(schema=GOOD, advertised={**GOOD, "oneOf": [{}]}), "error", "combined"),
        (a_tool(schema={"type": "object", "properties": {"a b": {"description": "Two."}}}), "error", "key"),
        (a_tool(schema=GOOD, description=""), "warning", "undescribed"),
        (a_tool(name="do_it", schema=GOOD, description="Do it."), "warning", "undescribed"),
        (a_tool(schema=GOOD, description="x" * 1025), "warning", "long"),
        (a_tool(schema={"type": "object", "properties": {"a": {"type": "string"}}}), "warning", "bare-arguments"),
        (a_tool(schema={"type": "object", "properties": {"a": {"description": "x" * 16_384}}}), "warning", "large"),
    ],
)
def test_each_fault_has_its_finding(tool: Any, level: str, code: str) -> None:
    assert [(finding.level, finding.code, finding.tool) for finding in look_over(tool)] == [(level, code, tool.name)]
