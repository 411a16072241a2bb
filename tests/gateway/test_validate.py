"""What `validate` owes beyond what tests/gateway/test_gateway.py says of the whole gate."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from toolgate.errors import InvalidArguments
from toolgate.gateway.validate import Validate
from toolgate.testing import Echo, a_call, a_tool

RECURSIVE = {
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/node"}},
    "$defs": {
        "node": {
            "anyOf": [
                {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "a": {"const": 1}}, "required": ["a"]},
                {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}, "b": {"const": 1}}, "required": ["b"]},
            ]
        }
    },
}


async def test_arguments_nested_to_make_an_explanation_explode_are_refused_at_once() -> None:
    tree: dict[str, Any] = {}
    for _ in range(40):
        tree = {"next": tree}

    with anyio.fail_after(2), pytest.raises(InvalidArguments, match="nested too deep"):
        await Validate()(a_call(a_tool(schema=RECURSIVE), {"tree": tree}), Echo())


async def test_a_hostile_pattern_costs_nobody_anything() -> None:
    tool = a_tool(schema={"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}})

    with anyio.fail_after(2), pytest.raises(InvalidArguments):
        await Validate()(a_call(tool, {"x": "a" * 50_000 + "!"}), Echo())
