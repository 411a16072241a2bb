from __future__ import annotations

from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.lift import Lifter
from toolgate.openapi.resolve import Resolver
from toolgate.openapi.share import loosened, stand_alone
from toolgate.openapi.slim import BUDGET, LEVELS, Level, Slimmer


def at(schema: dict[str, Any], level: Level) -> dict[str, Any]:
    return Slimmer().at(schema if level.depth is None else loosened(schema), level)


def tool(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, **more, "additionalProperties": False}


def test_words_that_restrict_nothing_are_left_out() -> None:
    schema = tool(
        {
            "title": {"type": "string", "title": "Title", "description": "See [docs](https://x.org). " + "More. " * 100, "examples": ["x"]},
            "n": {"type": "integer", "format": "int64", "minimum": 1, "default": 5},
        },
        required=["title"],
    )

    slim = Slimmer().slim(schema)

    description = slim["properties"]["title"].pop("description")
    assert slim == tool({"title": {"type": "string"}, "n": {"type": "integer", "minimum": 1, "default": 5}}, required=["title"])
    assert description.startswith("See docs. More. More.")
    assert len(description) <= 400
    assert description.endswith("More.")


def test_a_property_may_be_called_like_a_keyword_and_data_like_one() -> None:
    schema = tool({"examples": {"type": "object", "properties": {"title": {"enum": [{"title": "x"}]}}}})

    assert Slimmer().slim(schema) == schema


def test_an_array_says_what_it_is_of_also_where_that_is_anything() -> None:
    deep = {"type": "array", "items": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "string"}}}}}
    told = {"rows": {"type": "array", "items": {}}, "items": {"type": "array", "items": {"type": "array", "items": {}}}}
    plain = {"rows": {"type": "array"}, "items": {"type": "array", "items": {"type": "array"}}}

    assert Slimmer().slim(tool(plain))["properties"] == told
    collapsed = Slimmer().at(tool({"deep": deep}), Level(80, 1))["properties"]["deep"]
    assert collapsed == {"type": "array", "items": {}, "description": "full schema: describe_tool"}


def test_past_the_budget_optional_parts_are_told_by_their_type_alone() -> None:
    def level(depth: int) -> dict[str, Any]:
        if depth == 0:
            return {"type": "string", "enum": [f"value-{n}" for n in range(10)]}
        return {"type": "object", "description": "A part.", "properties": {name: level(depth - 1) for name in "abcd"}, "required": ["a"]}

    schema = tool({"body": level(5)}, required=["body"])

    slim = Slimmer().slim(schema)

    assert len(orjson.dumps(slim)) <= BUDGET
    body = slim["properties"]["body"]
    assert body["required"] == ["a"]
    assert body["properties"]["a"]["properties"]["b"] == {"type": "object", "description": "A part. (full schema: describe_tool)"}


@pytest.mark.parametrize(
    "schema",
    [
        tool(
            {
                f"parameter_number_{n}": {"type": "string", "description": "word " * 50, "enum": [str(v) for v in range(50)]}
                for n in range(100)
            }
        ),
        tool({f"p{n}": {"type": "string"} for n in range(5000)}, required=[f"p{n}" for n in range(3000)]),
        tool(
            {"a": {"$ref": "#/$defs/T0"}},
            **{"$defs": {f"T{n}": {"type": "object", "properties": {"x": {"$ref": f"#/$defs/T{(n + 1) % 900}"}}} for n in range(900)}},
        ),
    ],
    ids=["many enums", "thousands of arguments", "a long chain of definitions"],
)
def test_whatever_comes_fits_the_budget_and_is_a_schema(schema: dict[str, Any]) -> None:
    slim = Slimmer().slim(schema)

    jsonschema_rs.Draft202012Validator(slim, offline=True)
    assert len(orjson.dumps(slim)) <= BUDGET
    assert slim["type"] == "object"


NAMES = st.sampled_from("abc")
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(
        [
            {"type": "string", "maxLength": 2, "title": "T", "description": "Some words. Others."},
            {"type": "integer", "format": "int32", "minimum": 1, "examples": [2]},
            {"enum": ["x", 1, None, *range(10, 40)]},
            {"type": ["string", "null"]},
            {"$ref": "#/components/schemas/Tree"},
            {"$ref": "#/components/schemas/Either"},
            {"const": "x"},
            True,
        ]
    ),
    lambda inner: st.one_of(
        st.builds(
            lambda properties, required, closed: {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": not closed,
            },
            st.dictionaries(NAMES, inner, max_size=3),
            st.lists(NAMES, max_size=2, unique=True),
            st.booleans(),
        ),
        inner.map(lambda item: {"type": "array", "items": item, "maxItems": 3}),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"oneOf": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: {"anyOf": items}),
        st.lists(inner, min_size=1, max_size=2).map(lambda items: {"allOf": items}),
        inner.map(lambda item: {"not": item}),
        st.tuples(inner, inner).map(lambda pair: {"if": pair[0], "then": pair[1]}),
        inner.map(lambda item: {"properties": {"a": item}, "unevaluatedProperties": False}),
    ),
    max_leaves=8,
)
TREE = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Tree"}, "b": {"type": "string", "description": "x" * 130}}}
EITHER = {"oneOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}, {"type": "object", "required": ["b"]}]}
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from(["x", "long", 1, 0, None, True, 12]),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(NAMES, SCHEMAS, min_size=1, max_size=3), st.lists(st.dictionaries(NAMES, VALUES, max_size=3), min_size=5, max_size=20)
)
def test_the_slim_schema_takes_whatever_the_full_one_takes(properties: dict[str, Any], values: list[Any]) -> None:
    lifter = Lifter(Resolver({"components": {"schemas": {"Tree": TREE, "Either": EITHER}}}), "3.1.0", Findings())
    fragments = {name: lifter.lift(schema, f"/{name}") for name, schema in properties.items()}
    full = stand_alone(tool({name: fragment.schema for name, fragment in fragments.items()}), list(fragments.values()), lifter)
    taken = [value for value in values if jsonschema_rs.Draft202012Validator(full, offline=True).is_valid(value)]

    for level in LEVELS:
        slim = jsonschema_rs.Draft202012Validator(at(full, level), offline=True)
        if level.depth is None:
            assert [value for value in values if slim.is_valid(value)] == taken
        assert [value for value in taken if not slim.is_valid(value)] == []


@pytest.mark.parametrize("word", ["oneOf", "not", "if"])
def test_a_collapsed_part_makes_nothing_around_it_stricter(word: str) -> None:
    narrow = {
        "type": "object",
        "properties": {"a": {"type": "object", "properties": {"b": {"const": 1}}, "required": ["b"]}},
        "required": ["a"],
    }
    around: dict[str, Any] = {"oneOf": {"oneOf": [narrow, {"type": "object"}]}, "not": {"not": narrow}, "if": {"if": narrow, "then": False}}
    full, value = tool({"x": around[word]}), {"x": {"a": {"b": 2}}}
    assert jsonschema_rs.Draft202012Validator(full, offline=True).is_valid(value)

    for level in LEVELS:
        assert jsonschema_rs.Draft202012Validator(at(full, level), offline=True).is_valid(value)
