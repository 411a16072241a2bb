"""The looks that a schema makes of one value are counted right, whatever its words."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from toolgate.burden import BACKTRACKING, Burden, TooHard, bounds

TWICE: list[Any] = [{"$ref": "#/$defs/n"}, {"$ref": "#/$defs/n"}]


def doubling(lines: int, keyword: str = "anyOf", reference: str = "#/$defs/a") -> dict[str, Any]:
    defs: dict[str, Any] = {f"a{n}": {keyword: [{"$ref": f"{reference}{n + 1}"}] * 2} for n in range(lines)}
    return {"$defs": {**defs, f"a{lines}": {"type": "string"}}, "$ref": "#/$defs/a0"}


def recurring(**keywords: Any) -> dict[str, Any]:
    return {"$defs": {"n": keywords}, "$ref": "#/$defs/n"}


NESTED = {"properties": {"c": {"$ref": "#/$defs/n"}}}
HARD = {
    "alternatives of alternatives": doubling(40),
    "written otherwise": doubling(40, reference="#/%24defs/a"),
    "all of them": doubling(40, "allOf"),
    "one of them": doubling(40, "oneOf"),
    "itself without end": {"$ref": "#"},
    "a long way": {"$ref": "#/$defs/a0", "$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(2000)}},
    "another document": {"$ref": "https://evil.example/s.json"},
    "a document within": {"$defs": {"n": {"$id": "other", "type": "string"}}, "$ref": "other"},
}
GROWING = {
    "one member twice": recurring(anyOf=[NESTED, NESTED]),
    "one member by two words": recurring(anyOf=[NESTED, {"additionalProperties": {"$ref": "#/$defs/n"}}]),
    "one member by its name's pattern": recurring(properties=NESTED["properties"], patternProperties={"c": {"$ref": "#/$defs/n"}}),
    "one item twice": recurring(items={"$ref": "#/$defs/n"}, contains={"$ref": "#/$defs/n"}),
    "one numbered item twice": recurring(prefixItems=[{"allOf": TWICE}]),
    "within conditions": recurring(**{"if": {"items": {"$ref": "#/$defs/n"}}, "then": {"items": {"$ref": "#/$defs/n"}}}),
    "by anchors": {"$defs": {"n": {"$anchor": "x", "items": {"allOf": [{"$ref": "#x"}, {"$ref": "#x"}]}}}, "$ref": "#x"},
}
LIGHT = {
    "any JSON": recurring(anyOf=[{"type": "string"}, {"items": {"$ref": "#/$defs/n"}}, {"additionalProperties": {"$ref": "#/$defs/n"}}]),
    "a tree": recurring(properties={"left": {"$ref": "#/$defs/n"}, "right": {"$ref": "#/$defs/n"}}),
    "an expression": recurring(anyOf=[{"type": "number"}, {"prefixItems": [{"const": "+"}, *TWICE]}]),
    "a list of a list": recurring(items={"$ref": "#/$defs/n"}),
    "its own address": {"$id": "https://x.example/s", "$defs": {"n": {"type": "string"}}, "$ref": "https://x.example/s#/$defs/n"},
    "members called like words": {"properties": {"$id": {"type": "string"}, "$ref": {"type": "string"}, "anyOf": {"type": "string"}}},
    "data that looks like schemas": {"default": {"x": {"$id": "y"}}, "enum": [{"$ref": "z"}]},
    "true and false": {"properties": {"a": True, "b": False}, "additionalProperties": False},
}


@pytest.mark.parametrize("name", HARD)
def test_what_multiplies_at_once_or_cannot_be_followed_is_refused(name: str) -> None:
    with pytest.raises(TooHard):
        bounds(HARD[name])


@pytest.mark.parametrize("name", GROWING)
def test_what_multiplies_with_each_level_bounds_them(name: str) -> None:
    found = bounds(GROWING[name])

    assert found is not None
    assert found.levels in range(5, 13)


@pytest.mark.parametrize("name", LIGHT)
def test_what_only_recurs_is_light(name: str) -> None:
    assert bounds(LIGHT[name]) is None
    assert max(Burden(LIGHT[name]).looks()) <= 8


WIDE = {"w": {"anyOf": [{"minimum": n} for n in range(3900)]}}
NUMBERED: dict[str, Any] = {str(n): {} for n in range(3000)}
LABORIOUS: dict[str, Any] = {
    "members of members": {
        "$defs": {f"a{n}": {"properties": {f"q{m}": {"$ref": f"#/$defs/a{m}"} for m in range(200)}} for n in range(200)},
        "$ref": "#/$defs/a0",
    },
    "names by many patterns": {
        "properties": NUMBERED,
        "patternProperties": NUMBERED,
    },
    "the same alternatives often": {"properties": {f"p{n}": {"$ref": "#/$defs/w", "title": f"{n}"} for n in range(1500)}, "$defs": WIDE},
    "long references": {"properties": {f"p{n}": {"$ref": "#" + "/x" * 20_000} for n in range(300)}},
}


@pytest.mark.parametrize("name", LABORIOUS)
def test_to_count_takes_no_more_work_than_it_saves(name: str) -> None:
    with within(2), pytest.raises(TooHard, match="too large"):
        bounds(LABORIOUS[name])


def test_large_schemas_that_are_simple_are_counted_soon() -> None:
    with within(2):
        assert bounds({"properties": {f"p{n}": {"type": "string"} for n in range(5000)}}) is None
        assert bounds({"prefixItems": [{}] * 10_000}) is None


HEAVY: dict[str, tuple[Any, Any]] = {
    "alternatives": ({"items": {"anyOf": [{"type": "null"}] * 1000 + [{"type": "integer"}]}}, 7),
    "choices among objects": ({"items": {"enum": [{"a": n} for n in range(1000)]}}, {"a": 999}),
    "patterns that go back": ({"items": {"anyOf": [{"pattern": "^(a|a)*(?!x)c$"}, {}]}}, "a" * 40),
    "names that depend": ({"items": {"dependentRequired": {f"k{n}": ["a"] for n in range(1000)}}}, {}),
    "patterns of names": ({"items": {"patternProperties": {f"{n}x": True for n in range(1000)}}}, {"k": 1}),
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_value_has_no_more_parts_than_a_heavy_schema_can_be_held_against(name: str) -> None:
    schema, item = HEAVY[name]
    limits = bounds(schema)

    assert limits is not None
    assert limits.broken([item] * 100) is None
    assert "more parts" in (limits.broken([item] * 20_000) or "")


@pytest.mark.parametrize("pattern", ["^(?!x)a", "(?<=a)b", r"(a)\1", r"\k<n>", "(?>a)", "a++"])
def test_patterns_that_may_go_back_are_known(pattern: str) -> None:
    assert BACKTRACKING.search(pattern)


@pytest.mark.parametrize("pattern", ["^[a-z]+$", r"^\d{3}-\w+\.$", "(?:a|b)*", "(?P<year>[0-9]{4})"])
def test_patterns_that_do_not_are_light(pattern: str) -> None:
    assert not BACKTRACKING.search(pattern)


@pytest.mark.parametrize("lines", range(8))
def test_alternatives_are_counted_one_by_one(lines: int) -> None:
    assert next(iter(Burden(doubling(lines)).looks())) == 2 ** (lines + 2) - 2  # each line two references and what they lead to


KEYWORDS = st.recursive(
    st.sampled_from([{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"type": "string"}, {}]),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"items": inner, "contains": inner}),
        st.fixed_dictionaries({"properties": st.dictionaries(st.sampled_from("xy"), inner), "additionalProperties": inner}),
        st.fixed_dictionaries({"prefixItems": st.lists(inner, min_size=1, max_size=2), "not": inner}),
    ),
    max_leaves=6,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.just("s"),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)),
    max_leaves=5,
)


def look(schema: Any, defs: Any, value: Any, place: str, seen: Counter[str]) -> None:
    """As a validator goes that never stops early, over the words that are generated here."""
    if not isinstance(schema, dict):
        return
    seen[place] += 1
    beside = [*schema.get("anyOf", ()), *([schema["not"]] if "not" in schema else ())]
    if "$ref" in schema:
        beside.append(defs[schema["$ref"].rpartition("/")[2]])
    for each in beside:
        look(each, defs, value, place, seen)
    if isinstance(value, dict):
        for name, member in value.items():
            below = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            look(below, defs, member, f"{place}/{name}", seen)
    if isinstance(value, list):
        first = schema.get("prefixItems", ())
        for number, item in enumerate(value):
            look(first[number] if number < len(first) else schema.get("items"), defs, item, f"{place}/{number}", seen)
            look(schema.get("contains"), defs, item, f"{place}/{number}", seen)


@given(KEYWORDS, KEYWORDS, VALUES)
def test_no_place_is_looked_at_more_often_than_was_counted(a: Any, b: Any, value: Any) -> None:
    defs = {"a": a, "b": b}
    schema = {"$defs": defs, "$ref": "#/$defs/a"}
    try:
        most = list(Burden(schema).looks())
    except TooHard:
        return
    seen: Counter[str] = Counter()

    look(schema, defs, value, "", seen)

    for place, looks in seen.items():
        assert looks <= most[min(place.count("/"), len(most) - 1)]
