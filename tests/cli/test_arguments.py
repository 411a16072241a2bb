from __future__ import annotations

import json
import shlex
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.cli.arguments import read_arguments, write_arguments
from toolgate.cli.example import command_line, example
from toolgate.errors import InvalidArguments
from toolgate.testing import a_tool

POINT = {"type": "object", "properties": {"x": {"type": "integer"}, "label": {"type": "string"}}, "additionalProperties": False}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "owner": {"type": "string"},
        "count": {"type": "integer"},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "maybe": {"type": ["string", "null"]},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "state": {"enum": ["open", "closed", 7]},
        "labels": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "rows": {"type": "array", "items": {"type": "array", "items": {"type": "integer"}}},
        "one_or_more": {"type": ["string", "array"], "items": {"type": "string"}},
        "point": {"$ref": "#/$defs/point"},
        "file": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"path": {"type": "string"}}}]},
        "map": {"type": "object", "additionalProperties": {"type": "integer"}},
        "anything": {},
    },
    "$defs": {"point": POINT},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        (["owner=acme"], {"owner": "acme"}),
        (["owner=7"], {"owner": "7"}),
        (["owner=true"], {"owner": "true"}),
        (["owner=null"], {"owner": "null"}),
        (["owner="], {"owner": ""}),
        (["owner=a=b:=c"], {"owner": "a=b:=c"}),
        (['owner={"a": 1}'], {"owner": '{"a": 1}'}),
        (["count=30"], {"count": 30}),
        (["count=-1"], {"count": -1}),
        (["ratio=3"], {"ratio": 3}),
        (["ratio=2.5e3"], {"ratio": 2500.0}),
        (["flag=true"], {"flag": True}),
        (["flag=false"], {"flag": False}),
        (["maybe=null"], {"maybe": None}),
        (['maybe:="null"'], {"maybe": "null"}),
        (["either=7"], {"either": 7}),
        (["either=007"], {"either": "007"}),
        (['either:="7"'], {"either": "7"}),
        (["state=open"], {"state": "open"}),
        (["state=7"], {"state": 7}),
        (["labels=bug"], {"labels": ["bug"]}),
        (["labels=bug", "labels=ui"], {"labels": ["bug", "ui"]}),
        (['labels=["bug","ui"]'], {"labels": ["bug", "ui"]}),
        (["labels=[bug]"], {"labels": ["[bug]"]}),
        (["labels=[]"], {"labels": []}),
        (["labels=a,b"], {"labels": ["a,b"]}),
        (["sizes=1", "sizes=2"], {"sizes": [1, 2]}),
        (["sizes=[1,2]"], {"sizes": [1, 2]}),
        (["rows=[1,2]", "rows=[3]"], {"rows": [[1, 2], [3]]}),
        (["one_or_more=a"], {"one_or_more": "a"}),
        (["one_or_more=a", "one_or_more=b"], {"one_or_more": ["a", "b"]}),
        (["point.x=1", "point.label=1"], {"point": {"x": 1, "label": "1"}}),
        (['point={"x":1}'], {"point": {"x": 1}}),
        (['point:={"x":1}'], {"point": {"x": 1}}),
        (["file=aGk="], {"file": "aGk="}),
        (["file.path=notes.txt"], {"file": {"path": "notes.txt"}}),
        (["map.a=1", "map.b=2"], {"map": {"a": 1, "b": 2}}),
        (["anything=1"], {"anything": 1}),
        (["anything=word"], {"anything": "word"}),
        (["count:=null"], {"count": None}),
        ([], {}),
    ],
)
def test_a_word_means_what_the_schema_permits(words: list[str], arguments: dict[str, Any]) -> None:
    read = read_arguments(words, SCHEMA)

    assert json.dumps(read) == json.dumps(arguments)  # 1 == 1.0 == True in Python, not in JSON


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["count=many"], "count wants an integer"),
        (["count=1.5"], "count wants an integer"),
        (["count=1_000"], "count wants an integer"),
        (["ratio=NaN"], "ratio wants a number"),
        (["ratio=1e999"], "ratio wants a number"),
        (["flag=yes"], "flag wants true or false"),
        (["sizes=1", "sizes=x"], "sizes wants an integer"),
        (["point=x"], "point wants a JSON object"),
        (["point.x=far"], "point.x wants an integer"),
        (["point.y=1"], "there is no argument point.y; there is label, x"),
        (["point.lable=1"], "there is no argument point.lable; did you mean point.label?"),
        (["onwer=acme"], "there is no argument onwer; did you mean owner?"),
        (["owner=a", "owner=b"], "owner is given 2 times, and takes one value"),
        (['point={"x":1}', "point.x=2"], "point and point.x are both given; give the whole or its parts"),
        (["count:=x"], "count is not JSON, which := asks for; write count=TEXT for text"),
        (["count:=NaN"], "count is not JSON, which := asks for; write count=TEXT for text"),
        (["hunter2"], "an argument is written key=value or key:=JSON; the one that begins with 'h' is neither"),
    ],
)
def test_a_word_that_fits_nothing_is_named_without_its_value(words: list[str], message: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        read_arguments(words, SCHEMA)

    assert str(refused.value) == message


def test_words_are_laid_over_the_arguments_of_a_file() -> None:
    base = {"owner": "acme", "point": {"x": 1, "label": "here"}}

    read = read_arguments(["owner=other", "point.x=2"], SCHEMA, base)

    assert read == {"owner": "other", "point": {"x": 2, "label": "here"}}
    assert base == {"owner": "acme", "point": {"x": 1, "label": "here"}}


def test_a_reference_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"loop": {"$ref": "#/$defs/loop"}}, "$defs": {"loop": {"$ref": "#/$defs/loop"}}}

    assert read_arguments(["loop=1"], schema) == {"loop": 1}


VALUES = {
    "owner": st.text(),
    "count": st.integers(-(2**63), 2**63),
    "ratio": st.floats(allow_nan=False, allow_infinity=False),
    "flag": st.booleans(),
    "maybe": st.none() | st.text(),
    "either": st.integers() | st.text(),
    "labels": st.lists(st.text()),
    "one_or_more": st.text() | st.lists(st.text()),
    "point": st.fixed_dictionaries({}, optional={"x": st.integers(), "label": st.text()}),
    "map": st.dictionaries(st.text(), st.integers()),
    "anything": st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
}


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_written_is_read_as_it_was(arguments: dict[str, Any]) -> None:
    words = write_arguments(arguments, SCHEMA)

    assert json.dumps(read_arguments(words, SCHEMA), sort_keys=True) == json.dumps(arguments, sort_keys=True)


NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,12}", fullmatch=True)
SCALARS = st.sampled_from(
    [
        {"type": "string"},
        {"type": "string", "minLength": 12},
        {"type": "string", "maxLength": 2},
        {"type": "string", "format": "date-time"},
        {"type": "string", "enum": ["it's", "a b", "7"]},
        {"type": "integer", "minimum": 5},
        {"type": "integer", "maximum": -5},
        {"type": "number", "exclusiveMinimum": 3},
        {"type": "integer", "exclusiveMaximum": 0},
        {"type": "boolean"},
        {"type": ["null", "integer"], "default": 3},
        {"const": "x=y"},
        {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        {"allOf": [{"type": "string"}, {"minLength": 3}]},
        {"$ref": "#/$defs/name"},
    ]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 3))
        | st.builds(
            lambda items: {"type": "object", "properties": items, "required": list(items)}, st.dictionaries(NAMES, inner, max_size=3)
        )
        | st.builds(lambda first, second: {"anyOf": [first, second]}, inner, inner)
    ),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, SCHEMAS, min_size=1, max_size=4))
def test_the_example_that_is_shown_can_be_typed_and_is_valid(properties: dict[str, Any]) -> None:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
        "$defs": {"name": {"type": "string", "examples": ["ada", "bob"]}},
    }

    program, noun, verb, name, *words = shlex.split(command_line(a_tool(name="a_tool", schema=schema)))

    assert (program, noun, verb, name) == ("toolgate", "tools", "call", "a_tool")
    arguments = read_arguments(words, schema)
    assert arguments == example(schema)
    assert [error.message for error in jsonschema_rs.validator_for(schema).iter_errors(arguments)] == []
