"""What `validate` owes beyond what tests/gateway/test_gateway.py says of the whole gate."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.effort import within
from toolgate.errors import InvalidArguments, Misconfigured
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

    with anyio.fail_after(30), pytest.raises(InvalidArguments, match="nested too deep"):
        await Validate()(a_call(a_tool(schema=RECURSIVE), {"tree": tree}), Echo())


async def test_a_hostile_pattern_costs_nobody_anything() -> None:
    tool = a_tool(schema={"type": "object", "properties": {"x": {"type": "string", "pattern": "^(a+)+$"}}})

    with anyio.fail_after(30), pytest.raises(InvalidArguments):
        await Validate()(a_call(tool, {"x": "a" * 50_000 + "!"}), Echo())


async def test_what_a_schema_multiplies_with_each_level_is_refused_before_it_is_looked_through() -> None:
    below = {"properties": {"c": {"$ref": "#/$defs/n"}}}
    schema = {"type": "object", "properties": {"v": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "object", "anyOf": [below, below]}}}
    deep: Any = 5
    for _ in range(50):
        deep = {"c": deep}
    tool, echo = a_tool(schema=schema), Echo()

    with anyio.fail_after(30), pytest.raises(InvalidArguments, match="nested too deep"):
        await Validate()(a_call(tool, {"v": deep}), echo)
    await Validate()(a_call(tool, {"v": {"c": {"c": {}}}}), echo)

    assert len(echo.seen) == 1


async def test_arguments_of_many_parts_are_refused_where_each_is_looked_at_often() -> None:
    schema = {"type": "object", "properties": {"v": {"items": {"allOf": [{"type": "integer"}] * 3900}}}}
    tool, echo = a_tool(schema=schema), Echo()

    with within(2), pytest.raises(InvalidArguments, match="more parts than can be looked through"):
        await Validate()(a_call(tool, {"v": [1] * 1_000_000}), echo)
    await Validate()(a_call(tool, {"v": [1] * 1000}), echo)

    assert len(echo.seen) == 1


async def test_patterns_that_go_back_stop_soon() -> None:
    tool = a_tool(schema={"type": "object", "properties": {"v": {"items": {"anyOf": [{"pattern": "^(a|a)*(?!x)c$"}, {}]}}}})

    with within(5), pytest.raises(InvalidArguments):
        await Validate()(a_call(tool, {"v": ["a" * 40 + str(n) for n in range(1000)]}), Echo())


async def test_a_schema_that_makes_endless_work_of_any_value_is_never_used() -> None:
    defs = {f"a{n}": {"anyOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(40)}
    schema = {"type": "object", "properties": {"v": {"$ref": "#/$defs/a0"}}, "$defs": {**defs, "a40": {"type": "string"}}}

    with anyio.fail_after(30), pytest.raises(Misconfigured, match="cannot be called"):
        await Validate()(a_call(a_tool(schema=schema), {"v": 5}), Echo())
