"""Schemas on their way to a model, and its arguments on their way back."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.llm.instances import instances
from toolgate.integration import Integration
from toolgate.llm.shape import modern
from toolgate.llm.strict import ANTHROPIC, OPENAI, Dialect, convert
from toolgate.openapi.convert import convert as convert_operations
from toolgate.openapi.extract import extract
from toolgate.openapi.load import load
from toolgate.openapi.read import read_document
from toolgate.openapi.resolve import Resolver
from toolgate.settings import bundled

DIALECTS = pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
MCP = Path(__file__).resolve().parents[3] / "shared" / "data" / "schemas" / "mcp-tools.json.gz"


def an_object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def test_an_optional_property_becomes_a_required_one_that_may_be_null_and_its_null_is_dropped_again() -> None:
    schema = an_object(("owner",), owner={"type": "string"}, state={"enum": ["open", "closed"]}, limit={"type": "integer", "maximum": 100})

    made = convert(schema, OPENAI)

    assert made.strict
    assert made.schema == {
        "type": "object",
        "properties": {
            "owner": {"type": "string"},
            "state": {"type": ["string", "null"], "enum": ["open", "closed", None]},
            "limit": {"type": ["integer", "null"], "maximum": 100},
        },
        "required": ["owner", "state", "limit"],
        "additionalProperties": False,
    }
    assert made.restore({"owner": "acme", "state": None, "limit": None}) == {"owner": "acme"}
    assert made.restore({"owner": "acme", "state": "open", "limit": 5}) == {"owner": "acme", "state": "open", "limit": 5}


def test_anthropic_leaves_optional_properties_optional() -> None:
    made = convert(an_object(("owner",), owner={"type": "string"}, limit={"type": "integer", "maximum": 100}), ANTHROPIC)

    assert made.schema == {
        "type": "object",
        "properties": {"owner": {"type": "string"}, "limit": {"type": "integer", "description": "(maximum: 100)"}},
        "required": ["owner"],
        "additionalProperties": False,
    }
    assert made.moved == frozenset({"maximum"})
    assert made.optional == 1


def test_what_strict_mode_does_not_know_is_told_in_the_description() -> None:
    schema = an_object(("title",), title={"type": "string", "minLength": 1, "default": "New", "description": "The headline.", "title": "T"})

    made = convert(schema, OPENAI)

    assert made.schema["properties"]["title"] == {"type": "string", "description": 'The headline. (default: "New"; minLength: 1)'}
    assert made.moved == frozenset({"minLength"})


def test_references_are_put_in_place_and_a_constant_is_an_enumeration_of_one() -> None:
    schema = an_object(("at",), at={"$ref": "#/$defs/Place", "description": "Where."}) | {
        "$defs": {"Place": an_object(("kind",), kind={"const": "point"}, x={"type": "number"})}
    }

    made = convert(schema, OPENAI)

    assert made.schema["properties"]["at"] == {
        "type": "object",
        "properties": {"kind": {"type": "string", "enum": ["point"]}, "x": {"type": ["number", "null"]}},
        "required": ["kind", "x"],
        "additionalProperties": False,
        "description": "Where.",
    }
    assert made.restore({"at": {"kind": "point", "x": None}}) == {"at": {"kind": "point"}}


@pytest.mark.parametrize(
    ("inner", "why"),
    [
        ({"type": "object"}, "any properties"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "any properties"),
        ({}, "anything"),
        (True, "anything"),
        ({"type": "array", "items": {}}, "anything"),
        ({"type": ["string", "null"]}, "null or absent"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null or absent"),
        ({"$ref": "#"}, "contains itself"),
        ({"$ref": "#/nowhere"}, "leads nowhere"),
        ({"not": {"type": "string"}, "type": "integer"}, "not cannot be said"),
        ({"oneOf": [{"type": "string"}, {"type": "string", "format": "date"}]}, "at the same time"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "string"}}, "prefixItems"),
    ],
)
def test_what_strict_mode_would_lose_is_offered_without_it(inner: Any, why: str) -> None:
    schema = an_object((), x=inner)

    made = convert(schema, OPENAI)

    assert not made.strict
    assert why in made.why
    assert made.schema == an_object((), x=inner) or made.schema == {key: value for key, value in schema.items() if key != "required"}


def test_null_stands_for_absence_where_absence_means_null() -> None:
    schema = an_object((), since={"anyOf": [{"type": "string"}, {"type": "null"}], "default": None})

    made = convert(schema, OPENAI)

    assert made.strict
    assert made.schema["properties"]["since"] == {"type": ["string", "null"], "description": "(default: null)"}
    assert made.restore({"since": None}) == {}


def test_a_null_that_is_meant_stays() -> None:
    made = convert(an_object(("milestone",), milestone={"type": ["integer", "null"]}), OPENAI)

    assert made.strict
    assert made.restore({"milestone": None}) == {"milestone": None}


def test_nulls_are_dropped_within_alternatives_and_lists_too() -> None:
    circle = an_object(("kind", "r"), kind={"const": "circle"}, r={"type": "number"}, label={"type": "string"})
    square = an_object(("kind", "a"), kind={"const": "square"}, a={"type": "number"}, turned={"type": "number"})
    made = convert(an_object(("shapes",), shapes={"type": "array", "items": {"oneOf": [circle, square]}}), OPENAI)

    assert made.strict
    assert made.restore({"shapes": [{"kind": "square", "a": 1, "turned": None}, {"kind": "circle", "r": 2, "label": None}]}) == {
        "shapes": [{"kind": "square", "a": 1}, {"kind": "circle", "r": 2}]
    }


def test_alternatives_of_openai_begin_with_different_names() -> None:
    circle = an_object(("kind", "r"), kind={"const": "circle"}, r={"type": "number"})
    square = an_object(("kind", "a"), kind={"const": "square"}, a={"type": "number"})
    twin = an_object(("kind", "r"), kind={"const": "twin"}, r={"type": "number"})

    made = convert(an_object(("shape",), shape={"anyOf": [circle, square]}), OPENAI)

    assert [list(branch["properties"]) for branch in made.schema["properties"]["shape"]["anyOf"]] == [["kind", "r"], ["a", "kind"]]
    assert convert(an_object(("shape",), shape={"anyOf": [circle, square, twin]}), OPENAI).strict
    again = an_object(("kind", "r"), kind={"const": "again"}, r={"type": "number"})
    assert convert(an_object(("shape",), shape={"anyOf": [circle, twin, again]}), OPENAI).why == "alternatives have the same properties"


def test_alternatives_at_the_top_become_properties_which_every_provider_takes() -> None:
    schema = {
        "type": "object",
        "properties": {"owner": {"type": "string"}},
        "required": ["owner"],
        "oneOf": [an_object(("id",), id={"type": "integer"}), an_object(("name",), name={"type": "string"})],
    }

    for dialect in (OPENAI, ANTHROPIC):
        made = convert(schema, dialect)

        assert not made.strict
        assert made.schema == {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "owner": {"type": "string"}},
            "required": ["owner"],
            "description": 'Exactly one of these has to be given: [["id"], ["name"]]',
        }


def test_arrays_say_what_they_are_of_since_openai_refuses_those_that_do_not() -> None:
    schema = an_object((), rows={"anyOf": [{"type": "array"}, {"type": "null"}]}, items={"type": ["array", "null"]}, type={})
    schema |= {"$defs": {"pair": {"type": "array", "prefixItems": [{"type": "array"}]}}}

    made = convert(schema, OPENAI)

    assert not made.strict
    assert made.schema["properties"] == {
        "rows": {"anyOf": [{"type": "array", "items": {}}, {"type": "null"}]},
        "items": {"type": ["array", "null"], "items": {}},
        "type": {},
    }
    assert made.schema["$defs"] == {"pair": {"type": "array", "prefixItems": [{"type": "array", "items": {}}], "items": {}}}


def test_a_tool_without_parameters_is_strict() -> None:
    assert convert({"type": "object"}, OPENAI).schema == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_limits_of_the_dialect_are_kept() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        deep = an_object(("x",), x=deep)

    assert convert(deep, OPENAI).why == "it is too deep or too large"
    assert convert(an_object((), x={"enum": list(range(1001))}), OPENAI).why == "its enumerations are too long"


@DIALECTS
@given(
    schema=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "properties", "items", "anyOf", "oneOf", "allOf", "$ref", "enum", "const", "required", "default", "x"]
                ),
                inner | st.sampled_from(["object", "array", "string", "#", "#/properties/x", "#/$defs/x"]),
                max_size=4,
            )
        ),
        max_leaves=12,
    ).filter(lambda each: isinstance(each, dict)),
    value=st.recursive(
        st.none() | st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner), max_leaves=6
    ),
)
def test_no_schema_is_too_odd(dialect: Dialect, schema: dict[str, Any], value: Any) -> None:
    made = convert(schema, dialect)

    assert made.schema["type"] == "object"
    made.restore(value)


def test_a_schema_with_more_branches_than_anybody_can_follow_costs_little() -> None:
    twice = [{"$ref": "#/$defs/X"}, {"$ref": "#/$defs/X"}]
    schema = an_object((), x={"$ref": "#/$defs/X"}) | {"$defs": {"X": {"anyOf": twice}}}
    ring = an_object((), x={"$ref": "#/$defs/X"}) | {"$defs": {"X": {"type": "array", "items": {"allOf": [{"$ref": "#/$defs/X"}]}}}}

    for each in (schema, ring):
        for dialect in (OPENAI, ANTHROPIC, None):
            made = convert(each, dialect)
            assert not made.strict
            assert made.restore({"x": [{"y": None}] * 50})["x"] == [{"y": None}] * 50


def test_a_schema_that_is_too_deep_to_be_read_is_any_object() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        deep = {"type": "array", "items": deep}

    made = convert(an_object((), x=deep), OPENAI)

    assert (made.strict, made.why) == (False, "it is too deep")
    assert made.schema == {"type": "object", "properties": {}}


def real_schemas() -> list[tuple[str, dict[str, Any]]]:
    if not MCP.is_file():
        return []
    servers = json.loads(gzip.decompress(MCP.read_bytes()))
    tools = [tool for server in servers for each in server["tools"].values() for tool in each["tools"]]
    return [(f"{index}:{tool['name']}", tool["inputSchema"]) for index, tool in enumerate(tools)]


@pytest.fixture(scope="module")
def mcp() -> list[tuple[str, dict[str, Any]]]:
    schemas = real_schemas()
    if not schemas:
        pytest.skip("needs the real MCP schemas in ../shared/data, which are not here")
    return schemas


@pytest.mark.specs
@DIALECTS
def test_every_real_mcp_schema_converts_and_most_are_strict(dialect: Dialect, mcp: list[tuple[str, dict[str, Any]]]) -> None:
    made = [convert(copy.deepcopy(schema), dialect) for _, schema in mcp]

    assert len(made) == 527
    for each in made:
        Draft202012Validator.check_schema(each.schema)
        assert not each.strict or list(broken_rules(each.schema, dialect)) == []
    assert sum(each.strict for each in made) >= 490


@pytest.mark.specs
@pytest.mark.slow
@DIALECTS
def test_every_real_mcp_schema_goes_there_and_back(dialect: Dialect, mcp: list[tuple[str, dict[str, Any]]]) -> None:
    for name, schema in mcp:
        goes_there_and_back(name, schema, dialect)


@DIALECTS
def test_every_bundled_tool_converts_and_goes_there_and_back(dialect: Dialect, tmp_path: Path) -> None:
    loaded = [load(folder, tmp_path, environ={}) for folder in sorted(bundled("tool-specs").iterdir()) if folder.is_dir()]
    tools = [definition for one in loaded for definition in one.definitions]
    assert len(tools) > 100

    made = {tool.name: convert(tool.advertised, dialect) for tool in tools}

    for name, each in made.items():
        Draft202012Validator.check_schema(each.schema)
        assert not each.strict or list(broken_rules(each.schema, dialect)) == [], name
    assert sum(each.strict for each in made.values()) >= 100
    for tool in tools[::5]:
        goes_there_and_back(tool.name, tool.advertised, dialect)


@pytest.mark.specs
@DIALECTS
def test_every_operation_of_the_official_github_description_converts(dialect: Dialect, real_specs: Path) -> None:
    document = read_document((real_specs / "github" / "api.github.com.json.gz").read_bytes(), name="github", fragment=True)
    resolver = Resolver(document.root)
    definitions = convert_operations(extract(document, resolver)[0], resolver, Integration(name="official"), document.version).definitions
    assert len(definitions) == 1223

    made = [convert(schema, dialect) for tool in definitions for schema in (tool.advertised, tool.schema)]

    assert [each.why for each in made if each.strict and list(broken_rules(each.schema, dialect))] == []
    assert sum(each.strict for each in made) > 1700


def goes_there_and_back(name: str, schema: Mapping[str, Any], dialect: Dialect) -> None:
    """What a model may send is what the original means, and what the original allows a model can send."""
    schema = modern(schema)
    made = convert(schema, dialect)
    original, converted = Draft202012Validator(without(schema, made.moved)), Draft202012Validator(made.schema)

    @settings(
        max_examples=5, database=None, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck], report_multiple_bugs=False
    )
    @given(sent=instances(made.schema), meant=instances(schema))
    def check(sent: Any, meant: Any) -> None:
        assume(converted.is_valid(sent) and original.is_valid(meant))
        restored = made.restore(sent)
        assert original.is_valid(restored), f"{name}: {sent} became {restored}: {next(original.iter_errors(restored)).message}"
        if made.strict:
            padded = pad(meant, made.schema) if dialect.all_required else meant
            assume(known(meant, made.schema))
            assert converted.is_valid(padded), f"{name}: {padded} cannot be sent: {next(converted.iter_errors(padded)).message}"
            assert same_but_for_defaults(made.restore(padded), meant)

    check()


def without(schema: Any, keywords: frozenset[str]) -> Any:
    """`schema`, without assertions that are only in descriptions."""
    if isinstance(schema, list):
        return [without(each, keywords) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: {name: without(inner, keywords) for name, inner in value.items()}
        if key in ("properties", "$defs", "definitions")
        else without(value, keywords)
        for key, value in schema.items()
        if key not in keywords
    }


def pad(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` as a model has to write it that leaves nothing out."""
    if "anyOf" in schema:
        fitting = (branch for branch in schema["anyOf"] if Draft202012Validator(branch).is_valid(pad(value, branch)))
        return pad(value, next(fitting, {}))
    if isinstance(value, dict) and "properties" in schema:
        return {name: pad(value.get(name), inner) for name, inner in schema["properties"].items()} | {
            name: inner for name, inner in value.items() if name not in schema["properties"]
        }
    return [pad(item, schema.get("items", {})) for item in value] if isinstance(value, list) else value


def known(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether `value` keeps to the properties that are named; objects of real schemas are open where nobody thought of it."""
    if "anyOf" in schema:
        return any(known(value, branch) for branch in schema["anyOf"])
    if isinstance(value, dict) and "properties" in schema:
        return value.keys() <= schema["properties"].keys() and all(
            known(inner, schema["properties"][name]) for name, inner in value.items()
        )
    return all(known(item, schema.get("items", {})) for item in value) if isinstance(value, list) else True


def same_but_for_defaults(one: Any, other: Any) -> bool:
    """Equal, but for nulls where null is what absence means."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same_but_for_defaults(one.get(name), other.get(name)) for name in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_but_for_defaults, one, other))
    return bool(one == other)


def broken_rules(schema: Any, dialect: Dialect, path: str = "") -> Iterator[str]:
    """Where a strict schema breaks the rules of its mode, as the providers' guides have them."""
    if "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from broken_rules(branch, dialect, path)
        return
    if "type" not in schema:
        yield f"{path} has no type"
    allowed = {"type", "description", "enum", "properties", "required", "additionalProperties", "items", "format"} | dialect.keeps
    if unknown := schema.keys() - allowed:
        yield f"{path} has {unknown}"
    if "object" in schema.get("type", ()):
        if schema.get("additionalProperties") is not False:
            yield f"{path} is open"
        if dialect.all_required and set(schema["required"]) != set(schema["properties"]):
            yield f"{path} has optional properties"
        for name, inner in schema["properties"].items():
            yield from broken_rules(inner, dialect, f"{path}/{name}")
    if "array" in schema.get("type", ()):
        yield from broken_rules(schema["items"], dialect, f"{path}/*")
