from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolgate.openapi.resolve import Dangling, Resolver
from toolgate.pointer import escape, join, unescape

PET: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
ROOT: dict[str, Any] = {
    "paths": {"/pets/{id}": {"get": {"parameters": [{"$ref": "#/components/parameters/Id"}]}}},
    "components": {
        "parameters": {"Id": {"name": "id", "schema": {"type": "integer"}}},
        "schemas": {
            "Pet": PET,
            "Alias": {"$ref": "#/components/schemas/Pet"},
            "Twice": {"$ref": "#/components/schemas/Alias"},
            "Resources«City»": {"type": "array"},
            "100%": {"type": "number"},
            "Loop": {"$ref": "#/components/schemas/Pool"},
            "Pool": {"$ref": "#/components/schemas/Loop"},
            "Inner": {"$ref": "#/components/schemas/Inner/properties"},
            "Left": {"$ref": "#/components/schemas/Right/x"},
            "Right": {"$ref": "#/components/schemas/Left/x"},
            "Tree": {"properties": {"child": {"$ref": "#/components/schemas/Tree"}}},
            "Anchored": {"$anchor": "here", "type": "null"},
            "Named": {"$id": "https://example.com/named", "type": "boolean"},
        },
    },
}


@pytest.mark.parametrize(
    ("reference", "target", "pointer"),
    [
        ("#/components/schemas/Pet", PET, "/components/schemas/Pet"),
        ("#/components/schemas/Alias", PET, "/components/schemas/Pet"),
        ("#/components/schemas/Twice", PET, "/components/schemas/Pet"),
        ("#/components/schemas/Pet/properties/name", {"type": "string"}, "/components/schemas/Pet/properties/name"),
        ("#/paths/~1pets~1{id}/get/parameters/0", {"name": "id", "schema": {"type": "integer"}}, "/components/parameters/Id"),
        ("#/paths/~1pets~1%7Bid%7D/get/parameters/0/schema", {"type": "integer"}, "/components/parameters/Id/schema"),
        ("#/components/schemas/Resources%C2%ABCity%C2%BB", {"type": "array"}, "/components/schemas/Resources«City»"),
        ("#/components/schemas/Resources«City»", {"type": "array"}, "/components/schemas/Resources«City»"),
        ("#/components/schemas/100%25", {"type": "number"}, "/components/schemas/100%"),
        ("#/components/schemas/100%", {"type": "number"}, "/components/schemas/100%"),
        ("#/components/schemas/Alias/properties/name", {"type": "string"}, "/components/schemas/Pet/properties/name"),
        (
            "#/components/schemas/Tree/properties/child/properties/child",
            ROOT["components"]["schemas"]["Tree"],
            "/components/schemas/Tree",
        ),
        ("#here", ROOT["components"]["schemas"]["Anchored"], "/components/schemas/Anchored"),
        ("https://example.com/named", ROOT["components"]["schemas"]["Named"], "/components/schemas/Named"),
        ("#", ROOT, ""),
    ],
)
def test_a_reference_leads_to_its_target_and_says_where_that_stands(reference: str, target: Any, pointer: str) -> None:
    resolver = Resolver(ROOT)

    assert resolver.deref({"$ref": reference}) == (target, pointer)
    assert resolver.lookup(pointer) is resolver.deref({"$ref": reference})[0]


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("#/components/schemas/Nope", "points nowhere"),
        ("#/paths/~1pets~1{id}/get/parameters/1", "points nowhere"),
        ("#/paths/~1pets~1{id}/get/parameters/-1", "points nowhere"),
        ("#/paths/~1pets~1{id}/get/parameters/٠", "points nowhere"),
        ("#nowhere", "points nowhere"),
        ("https://example.com/x.json", "lies outside this document and is not fetched"),
        ("other.yaml#/Pet", "lies outside this document and is not fetched"),
        ("#/components/schemas/Loop", "leads back to itself"),
        ("#/components/schemas/Loop/x", "leads back to itself"),
        ("#/components/schemas/Inner", "leads back to itself"),
        ("#/components/schemas/Left", "leads back to itself"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(reference: str, why: str) -> None:
    with pytest.raises(Dangling) as dangling:
        Resolver(ROOT).deref({"$ref": reference})

    assert dangling.value.why == why


@pytest.mark.parametrize("node", [{"type": "string"}, {"$ref": {"type": "string"}}, [], "#/components", None, True])
def test_what_is_no_reference_comes_back_as_it_is(node: Any) -> None:
    assert Resolver(ROOT).deref(node) == (node, None)


def test_a_long_chain_that_ends_nowhere_is_refused_and_not_followed_for_ever() -> None:
    chain = {str(n): {"$ref": f"#/{n + 1}/x%41"} for n in range(5_000)}

    with pytest.raises(Dangling):
        Resolver(chain).deref({"$ref": "#/0"})


@given(st.lists(st.text(), max_size=4))
def test_every_key_can_be_written_as_a_pointer_and_as_a_reference(keys: list[str]) -> None:
    root: Any = {"leaf": True}
    for key in reversed(keys):
        root = {key: root}
    root = {"root": root}
    pointer = join("", "root", *keys)

    resolver = Resolver(root)

    assert [unescape(escape(key)) for key in keys] == keys
    assert resolver.lookup(pointer) == resolver.follow("#" + quote(pointer, errors="surrogatepass", safe="/~"))[0] == {"leaf": True}
