from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from toolgate.errors import InvalidArguments
from toolgate.upstream.keys import KEY, meant, renamed

WHOLE: dict[str, Any] = {
    "type": "object",
    "properties": {"$top": {"type": "integer", "properties": {"$top": {}}}, "a b": {"type": "string"}, "a_b": {}, "é": {}},
    "required": ["$top", "a_b"],
    "dependentRequired": {"a b": ["é"]},
    "anyOf": [{"required": ["a b"]}, {"properties": {"@kind": {"const": "x"}}, "required": ["@kind"]}],
    "additionalProperties": False,
}


def test_what_not_every_client_takes_is_called_otherwise_wherever_it_is_meant() -> None:
    schema, theirs = renamed(WHOLE)

    ours = {name: short for short, name in theirs.items()}
    assert theirs.keys().isdisjoint(WHOLE["properties"])
    assert all(map(KEY.fullmatch, theirs))
    assert (ours["$top"], ours["@kind"]) == ("top", "kind")
    assert schema == {
        "type": "object",
        "properties": {"top": {"type": "integer", "properties": {"$top": {}}}, ours["a b"]: {"type": "string"}, "a_b": {}, ours["é"]: {}},
        "required": ["top", "a_b"],
        "dependentRequired": {ours["a b"]: [ours["é"]]},
        "anyOf": [{"required": [ours["a b"]]}, {"properties": {"kind": {"const": "x"}}, "required": ["kind"]}],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {}, "b.c-d_E": {"properties": {"$x": {}}}}},
        {"type": "object"},
        {"type": "object", "properties": {"$x": {}}, "patternProperties": {"^\\$": {"type": "string"}}},
        {"type": "object", "properties": {"$x": {}}, "allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {}}},
    ],
)
def test_all_else_stays_as_it_is(schema: dict[str, Any]) -> None:
    assert renamed(schema) == (schema, {})


def test_who_gives_the_servers_own_name_is_told_ours_since_policy_knows_that_alone() -> None:
    with pytest.raises(InvalidArguments, match=r"it is top$"):
        meant({"top": 1, "$top": 1000}, {"top": "$top"})


NAMES = st.sampled_from(["$a", "a", "a b", "a_b", "é", "@", "$", "x" * 70, "_a"])
VALUES = st.sampled_from([1, "x"])


@given(st.dictionaries(NAMES, st.sampled_from(["integer", "string"])), st.dictionaries(NAMES, VALUES), st.booleans())
def test_arguments_fit_by_our_names_when_they_fit_by_theirs(types: dict[str, str], values: dict[str, Any], more: bool) -> None:
    properties = {name: {"type": kind} for name, kind in types.items()}
    schema = {"type": "object", "properties": properties, "required": [*types][:1], "additionalProperties": False}
    arguments = {name: value for name, value in values.items() if name in types} | ({"more": 1} if more else {})
    told, theirs = renamed(schema)
    ours = {name: short for short, name in theirs.items()}
    given = {ours.get(name, name): value for name, value in arguments.items()}

    assert Draft202012Validator(told).is_valid(given) == Draft202012Validator(schema).is_valid(arguments)
    assert meant(given, theirs) == arguments
