from __future__ import annotations

from typing import Any

import pytest

from toolgate.calls import UNSET
from toolgate.openapi.diagnostics import Diagnostic
from toolgate.openapi.operation import Parameter
from toolgate.openapi.parameters import Inputs, inputs
from toolgate.openapi.read import Document, Version
from toolgate.openapi.reading import Reading
from toolgate.openapi.resolve import Resolver

PLACE = "/paths/~1a/get"


def taken(*declared: Any, version: Version = "3.1", **root: Any) -> tuple[Inputs, list[Diagnostic]]:
    reading = Reading(Document(root, version), Resolver(root))
    found = inputs(reading, {"parameters": list(declared)}, PLACE)
    return found, list(reading.findings)


def one(declared: Any, version: Version = "3.1", **root: Any) -> tuple[Parameter | None, list[str]]:
    found, findings = taken(declared, version=version, **root)
    return next(iter(found.parameters.values()), None), [finding.code for finding in findings]


@pytest.mark.parametrize(
    ("location", "said", "style", "explode"),
    [  # OpenAPI 3.2.0, "Parameter Object", style and explode
        ("path", {}, "simple", False),
        ("path", {"style": "label", "explode": True}, "label", True),
        ("path", {"style": "matrix"}, "matrix", False),
        ("query", {}, "form", True),
        ("query", {"explode": False}, "form", False),
        ("query", {"style": "form"}, "form", True),
        ("query", {"style": "spaceDelimited"}, "spaceDelimited", False),
        ("query", {"style": "pipeDelimited"}, "pipeDelimited", False),
        ("query", {"style": "deepObject"}, "deepObject", False),
        ("query", {"style": "deepObject", "explode": True}, "deepObject", True),
        ("header", {}, "simple", False),
        ("header", {"explode": True}, "simple", True),
        ("cookie", {}, "form", True),
        ("cookie", {"style": "cookie"}, "cookie", True),
        ("cookie", {"style": "cookie", "explode": False}, "cookie", False),
    ],
)
def test_style_and_explode_have_the_defaults_of_their_location(location: Any, said: Any, style: Any, explode: bool) -> None:
    declared = {"name": "x", "in": location, "required": True, "schema": {"type": "array"}, **said}

    assert one(declared) == (
        Parameter("x", location, {"type": "array"}, f"{PLACE}/parameters/0", required=True, style=style, explode=explode),
        [],
    )


@pytest.mark.parametrize(
    ("location", "said", "style", "explode", "codes"),
    [  # OpenAPI 2.0, "Parameter Object", collectionFormat: csv unless said
        ("query", {}, "form", False, []),
        ("query", {"collectionFormat": "csv"}, "form", False, []),
        ("query", {"collectionFormat": "multi"}, "form", True, []),
        ("query", {"collectionFormat": "ssv"}, "spaceDelimited", False, []),
        ("query", {"collectionFormat": "pipes"}, "pipeDelimited", False, []),
        ("query", {"collectionFormat": "tsv"}, "tabDelimited", False, []),
        ("path", {}, "simple", False, []),
        ("path", {"collectionFormat": "csv"}, "simple", False, []),
        ("path", {"collectionFormat": "pipes"}, "simple", False, ["collection-format"]),
        ("header", {"collectionFormat": "multi"}, "simple", False, ["collection-format"]),
    ],
)
def test_a_collection_format_becomes_a_style(location: Any, said: Any, style: Any, explode: bool, codes: list[str]) -> None:
    declared = {"name": "x", "in": location, "required": True, "type": "array", "items": {"type": "string"}, **said}

    assert one(declared, version="2.0") == (
        Parameter(
            "x",
            location,
            {"type": "array", "items": {"type": "string"}},
            f"{PLACE}/parameters/0",
            required=True,
            style=style,
            explode=explode,
        ),
        codes,
    )


def test_everything_that_a_parameter_says_is_kept() -> None:
    declared = {
        "name": "x",
        "in": "query",
        "required": True,
        "deprecated": True,
        "allowReserved": True,
        "description": "Words",
        "example": None,
        "schema": {"$ref": "#/components/schemas/X"},
    }

    assert one(declared)[0] == Parameter(
        name="x",
        location="query",
        schema={"$ref": "#/components/schemas/X"},
        pointer=f"{PLACE}/parameters/0",
        required=True,
        style="form",
        explode=True,
        allow_reserved=True,
        description="Words",
        deprecated=True,
        example=None,
    )


def test_a_parameter_of_2_0_is_its_own_schema() -> None:
    said = {"type": "integer", "format": "int32", "minimum": 1, "maximum": 9, "exclusiveMaximum": True, "default": 3, "enum": [1, 3]}

    parameter, codes = one({"name": "x", "in": "query", "description": "d", "x-example": 3, **said}, version="2.0")

    assert codes == []
    assert parameter == Parameter(
        "x", "query", said, f"{PLACE}/parameters/0", style="form", explode=True, description="d", example=3
    )  # fmt: skip


def test_a_parameter_with_content_is_serialised_as_its_media_type() -> None:
    media = {"schema": {"type": "object"}, "examples": {"a": {"$ref": "#/components/examples/A"}}}
    declared = {"name": "x", "in": "query", "content": {"application/json": media}}

    parameter, codes = one(declared, components={"examples": {"A": {"value": {"b": 1}}}})

    assert codes == []
    assert parameter == Parameter(
        "x",
        "query",
        {"type": "object"},
        f"{PLACE}/parameters/0",
        style="form",
        explode=True,
        content_type="application/json",
        example={"b": 1},
    )


def test_a_whole_query_string_is_a_parameter_of_3_2() -> None:
    declared = {"name": "q", "in": "querystring", "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}}

    parameter, codes = one(declared, version="3.2")

    assert (parameter and (parameter.location, parameter.content_type, parameter.schema), codes) == (
        ("querystring", "application/x-www-form-urlencoded", {"type": "object"}),
        [],
    )


def test_a_referenced_parameter_stands_where_it_is_defined_and_may_be_described_anew() -> None:
    components = {"parameters": {"Id": {"name": "id", "in": "query", "description": "old", "schema": True}}}

    parameter, codes = one({"$ref": "#/components/parameters/Id", "description": "new"}, components=components)

    assert codes == []
    assert parameter == Parameter("id", "query", True, "/components/parameters/Id", style="form", explode=True, description="new")
    assert components["parameters"]["Id"]["description"] == "old"


@pytest.mark.parametrize("name", ["Accept", "content-type", "AUTHORIZATION"])
def test_three_headers_are_never_parameters(name: str) -> None:
    """OpenAPI 3.2.0, "Parameter Object": the definition SHALL be ignored."""
    assert one({"name": name, "in": "header", "schema": {"type": "string"}}) == (None, ["ignored-header"])


@pytest.mark.parametrize(
    ("declared", "codes"),
    [
        ({"in": "query"}, ["incomplete-parameter"]),
        ({"name": "x"}, ["incomplete-parameter"]),
        ({"name": ["x"], "in": "query"}, ["incomplete-parameter"]),
        ({"name": "", "in": "query"}, ["incomplete-parameter"]),
        ({"name": "x", "in": "fragment"}, ["unknown-location"]),
        ({"name": "a\r\nb", "in": "header"}, ["illegal-name"]),
        ({"name": "a;b", "in": "cookie"}, ["illegal-name"]),
        ({"$ref": "#/nowhere"}, ["dangling-reference"]),
        ({"$ref": "https://example.com/x.json"}, ["dangling-reference"]),
        ("x", ["not-an-object"]),
        (None, ["not-an-object"]),
    ],
)
def test_what_cannot_be_a_parameter_is_passed_over_alone(declared: Any, codes: list[str]) -> None:
    found, findings = taken(declared, {"name": "good", "in": "query", "schema": {}})

    assert list(found.parameters) == [("query", "good")]
    assert [(finding.level, finding.code) for finding in findings] == [("warning", code) for code in codes]


@pytest.mark.parametrize(
    ("said", "expected", "codes"),
    [
        ({"in": "Query"}, {}, ["unknown-location"]),
        ({"name": 7}, {"name": "7"}, []),
        ({"required": "No"}, {"required": False}, ["flag-not-boolean"]),
        ({"required": "true"}, {"required": True}, ["flag-not-boolean"]),
        ({"required": ["a"]}, {"required": False}, ["flag-not-boolean"]),
        ({"required": None}, {"required": False}, []),
        ({"style": "simple"}, {"style": "form", "explode": True}, ["unknown-style"]),
        ({"style": ["form"]}, {"style": "form", "explode": True}, ["unknown-style"]),
        ({"explode": "false"}, {"explode": False}, ["flag-not-boolean"]),
        ({"schema": None}, {"schema": {}}, []),
        ({"schema": "string"}, {"schema": {}}, ["not-a-schema"]),
        ({"description": 5}, {"description": None}, []),
        ({"examples": ["a"]}, {"example": UNSET}, []),
    ],
)
def test_what_a_parameter_says_wrongly_is_repaired(said: Any, expected: dict[str, Any], codes: list[str]) -> None:
    parameter, found = one({"name": "x", "in": "query", "schema": {}, **said})

    assert parameter is not None
    assert {key: getattr(parameter, key) for key in expected} == expected
    assert found == codes


@pytest.mark.parametrize(
    ("declared", "version", "schema", "codes"),
    [
        ({"type": "string"}, "3.0", {"type": "string"}, ["no-schema"]),
        ({}, "3.0", {}, ["no-schema"]),
        ({"schema": {"type": "string"}}, "2.0", {"type": "string"}, ["schema-in-2.0"]),
    ],
)
def test_a_schema_in_the_other_versions_place_is_found(declared: Any, version: Version, schema: Any, codes: list[str]) -> None:
    parameter, found = one({"name": "x", "in": "query", **declared}, version=version)

    assert (parameter and parameter.schema, found) == (schema, codes)


def test_of_two_alike_the_first_counts_and_of_path_and_operation_the_operation() -> None:
    first, findings = taken(
        {"name": "x", "in": "query", "schema": {"type": "string"}}, {"name": "x", "in": "query"}, {"name": "x", "in": "header"}
    )
    shared, _ = taken({"name": "x", "in": "query", "schema": {"type": "integer"}}, {"name": "y", "in": "query", "schema": {}})

    both = first.over(shared)

    assert "duplicate-parameter" in [finding.code for finding in findings]
    assert [(*key, parameter.schema) for key, parameter in both.parameters.items()] == [
        ("query", "x", {"type": "string"}),
        ("query", "y", {}),
        ("header", "x", {}),
    ]


@pytest.mark.parametrize(
    ("pattern", "many"),
    [
        ("projects/[^/]+/topics/[^/]+", True),  # as protoc-gen-openapiv2 writes `{name=projects/*/topics/*}`
        ("^operations/.*$", True),
        ("[^/]+", False),
        ("^[a-z/]+$", False),
        ("^(?!/).*$", False),
    ],
)
def test_the_name_of_a_resource_has_several_segments(pattern: str, many: bool) -> None:
    parameter, _ = one({"name": "name", "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}})

    assert parameter is not None
    assert parameter.multi_segment is many
