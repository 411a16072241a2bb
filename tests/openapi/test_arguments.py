from __future__ import annotations

import re
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from toolgate.integration import Integration
from toolgate.openapi.arguments import ORDER, Arguments, Unservable, arguments, keys
from toolgate.openapi.bodies import FILE
from toolgate.openapi.diagnostics import Findings
from toolgate.openapi.lift import Lifter
from toolgate.openapi.operation import BodyPlan, FieldPlan, Key, Location, MediaType, Operation, Parameter, ParameterPlan, RequestBody
from toolgate.openapi.resolve import Resolver

TEXT = {"type": "string"}


def parameter(name: str, location: Location = "query", schema: Any = TEXT, **more: Any) -> Parameter:
    return Parameter(name, location, schema, f"/parameters/{name}", style="form", explode=True, **more)


def content(media_type: str, schema: Any, **encoding: Any) -> MediaType:
    return MediaType(media_type, schema, f"/content/{media_type}", encoding)


def asked(
    *parameters: Parameter, body: RequestBody | None = None, integration: dict[str, Any] | None = None, **more: Any
) -> tuple[Arguments, Findings]:
    schemas = more.pop("schemas", {})
    findings = Findings()
    lifter = Lifter(Resolver({"components": {"schemas": schemas}}), "3.0.3", findings)
    operation = Operation("POST", "/x", "/paths/~1x/post", parameters=parameters, body=body, **more)
    found = arguments(operation, lifter, Integration.model_validate({"name": "x", **(integration or {})}))
    jsonschema_rs.Draft202012Validator(found.schema, offline=True)
    return found, findings


def json_body(schema: Any, *, required: bool = True, **more: Any) -> RequestBody:
    return RequestBody((content("application/json", schema),), required, **more)


class TestParameters:
    def test_each_is_an_argument_with_its_way_onto_the_wire(self) -> None:
        found, findings = asked(
            parameter("id", "path", {"type": "integer", "minimum": 1}, required=True, description="Which."),
            Parameter(
                "filter[name]",
                "query",
                {"type": "array"},
                "/p",
                style="deepObject",
                explode=True,
                allow_reserved=True,
                deprecated=True,
                example=["a"],
            ),
            Parameter("where", "query", {"type": "object"}, "/p", content_type="application/json"),
        )

        assert found == Arguments(
            schema={
                "type": "object",
                "properties": {
                    "id": {"type": "integer", "minimum": 1, "description": "Which."},
                    "filter_name": {"type": "array", "deprecated": True, "examples": [["a"]]},
                    "where": {"type": "object"},
                },
                "required": ["id"],
                "additionalProperties": False,
            },
            parameters=(
                ParameterPlan("id", "path", "id", style="form", explode=True, required=True, type="integer"),
                ParameterPlan("filter[name]", "query", "filter_name", style="deepObject", explode=True, allow_reserved=True, type="array"),
                ParameterPlan("where", "query", "where", content_type="application/json", type="object"),
            ),
        )
        assert findings == []

    def test_an_operation_without_any_takes_no_argument(self) -> None:
        assert asked()[0] == Arguments({"type": "object", "properties": {}, "additionalProperties": False})

    @pytest.mark.parametrize("schema", [{"type": "string", "enum": ["v1"]}, {"const": "v1"}])
    def test_the_only_value_of_a_required_one_is_sent_unasked(self, schema: Any) -> None:
        found, _ = asked(parameter("version", schema=schema, required=True))

        assert found.schema["properties"] == {}
        assert [(plan.name, plan.argument, plan.constant) for plan in found.parameters] == [("version", None, "v1")]

    @pytest.mark.parametrize(
        ("required", "schema"), [(False, {"enum": ["v1"]}), (True, {"type": "string", "enum": ["v1"], "nullable": True})]
    )
    def test_one_with_a_choice_left_is_asked_for(self, required: bool, schema: Any) -> None:
        found, _ = asked(parameter("version", schema=schema, required=required))

        assert list(found.schema["properties"]) == ["version"]

    @pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Cookie", "X-Forwarded-For", "X-HTTP-Method-Override"])
    def test_headers_that_no_caller_may_set_are_not_asked_for(self, name: str) -> None:
        found, findings = asked(parameter(name, "header", required=True))

        assert (found.schema["properties"], found.parameters) == ({}, ())
        assert [(one.level, one.code) for one in findings] == [("info", "header-not-settable")]

    def test_headers_that_the_operator_sends_are_not_asked_for(self) -> None:
        more = {"X-Version": "3", "X-Team": None}

        found, findings = asked(
            parameter("x-version", "header", required=True), parameter("X-Team", "header"), integration={"headers": more}
        )

        assert (list(found.schema["properties"]), findings) == (["X-Team"], [])


class TestCredentials:
    KEY = Key("x-key", "header")

    @pytest.mark.parametrize(
        ("name", "location"),
        [
            ("api_key", "query"),
            ("apikey", "query"),
            ("api-key", "header"),
            ("X-API-Key", "header"),
            ("access_token", "cookie"),
            ("token", "query"),
            ("x-key", "header"),
        ],
    )
    def test_are_never_asked_for(self, name: str, location: Location) -> None:
        found, findings = asked(parameter(name, location), keys=(self.KEY,))

        assert (found.schema["properties"], found.parameters) == ({}, ())
        assert [(one.level, one.code) for one in findings] == ([] if name == "x-key" else [("info", "credential-hidden")])

    def test_that_nobody_has_are_reported_where_they_are_required(self) -> None:
        _, findings = asked(parameter("api_key", required=True))

        assert [(one.level, one.code, one.pointer) for one in findings] == [("warning", "credential-unbound", "/parameters/api_key")]

    def test_that_the_integration_has_are_fine(self) -> None:
        found, findings = asked(
            parameter("Serial", required=True), integration={"auth": {"type": "api_key", "in": "query", "name": "Serial", "value": "s"}}
        )

        assert (found.schema["properties"], found.parameters, findings) == ({}, (), [])

    def test_in_a_body_are_data(self) -> None:
        found, _ = asked(body=json_body({"type": "object", "properties": {"token": TEXT, "api_key": TEXT}}))

        assert list(found.schema["properties"]) == ["token", "api_key"]

    def test_of_a_name_that_is_used_for_other_things_too_are_asked_for(self) -> None:
        assert list(asked(parameter("page_token"), parameter("key"))[0].schema["properties"]) == ["page_token", "key"]


class TestHidden:
    def test_with_a_value_is_sent_unasked(self) -> None:
        found, _ = asked(parameter("mode"), integration={"hide": [{"name": "mode", "value": "fast"}]})

        assert found.schema["properties"] == {}
        assert [(plan.name, plan.argument, plan.constant) for plan in found.parameters] == [("mode", None, "fast")]

    def test_without_a_value_is_not_sent(self) -> None:
        found, _ = asked(parameter("mode"), parameter("mode", "header"), integration={"hide": [{"name": "mode"}]})

        assert [(plan.name, plan.location) for plan in found.parameters] == [("mode", "header")]

    def test_a_part_of_the_path_needs_a_value(self) -> None:
        with pytest.raises(Unservable, match="`hide` names tenant of its path without a value"):
            asked(parameter("tenant", "path"), integration={"hide": [{"name": "tenant", "in": "path"}]})


class TestIdempotencyKey:
    @pytest.mark.parametrize("name", ["Idempotency-Key", "idempotency-key", "X-Idempotency-Key"])
    def test_the_header_for_it_is_filled_and_nobody_is_asked(self, name: str) -> None:
        found, findings = asked(parameter(name, "header", required=True), parameter("q"))

        assert found == Arguments(
            schema={"type": "object", "properties": {"q": TEXT}, "additionalProperties": False},
            parameters=(ParameterPlan("q", "query", "q", style="form", explode=True, type="string"),),
            idempotency_header=name,
        )
        assert list(findings) == []

    def test_only_as_a_header(self) -> None:
        found, _ = asked(parameter("idempotency-key", "query"))

        assert (list(found.schema["properties"]), found.idempotency_header) == (["idempotency-key"], None)

    @pytest.mark.parametrize(("hidden", "sent"), [({"value": "fixed"}, ["Idempotency-Key"]), ({}, [])])
    def test_the_operator_may_fill_it_or_leave_it_out(self, hidden: dict[str, Any], sent: list[str]) -> None:
        hide = [{"name": "idempotency-key", "in": "header", **hidden}]

        found, _ = asked(parameter("Idempotency-Key", "header"), integration={"hide": hide})

        assert ([plan.name for plan in found.parameters], found.idempotency_header) == (sent, None)


class TestKeys:
    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (
                [("filter[name]", "query"), ("$top", "query"), ("ids[]", "query"), ("page[size]", "query")],
                ["filter_name", "top", "ids", "page_size"],
            ),
            ([("id", "query"), ("id", "path")], ["id_query", "id"]),
            ([("id", "body"), ("id", "query"), ("id", "path")], ["id_body", "id_query", "id"]),
            ([("id", "header"), ("id", "cookie")], ["id", "id_cookie"]),
            ([("ids[]", "path"), ("ids", "query")], ["ids_path", "ids"]),
            ([("_id", "query"), ("-", "query"), ("[]", "query"), ("é", "body")], ["_id", "-", "value", "value_body"]),
            ([("a" * 64, "query"), ("a" * 64, "body")], ["a" * 64, "a" * 59 + "_body"]),
        ],
    )
    def test_are_legal_and_tell_the_later_one_apart(self, wanted: list[tuple[str, str]], expected: list[str]) -> None:
        assert keys(wanted) == expected

    @given(
        st.lists(st.tuples(st.text("ab[]$_é", max_size=70), st.sampled_from(ORDER)), max_size=12, unique=True),
        st.randoms(use_true_random=False),
    )
    def test_are_legal_unique_and_the_same_in_any_order(self, wanted: list[tuple[str, str]], random: Any) -> None:
        found = dict(zip(wanted, keys(wanted), strict=True))
        shuffled = list(wanted)
        random.shuffle(shuffled)

        assert dict(zip(shuffled, keys(shuffled), strict=True)) == found
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) for key in found.values())
        assert len(set(found.values())) == len(wanted)


class TestFlatBodies:
    def test_each_property_is_an_argument(self) -> None:
        schema = {
            "type": "object",
            "properties": {"id": {"type": "integer", "nullable": True}, "kind": {"enum": ["a"]}, "b.c": TEXT},
            "required": ["id", "kind"],
        }

        found, _ = asked(parameter("id", "path"), body=json_body(schema))

        assert found.schema == {
            "type": "object",
            "properties": {"id": TEXT, "id_body": {"type": ["integer", "null"]}, "b_c": TEXT},
            "required": ["id", "id_body"],
            "additionalProperties": False,
        }
        assert found.bodies == (
            BodyPlan(
                "application/json",
                "flat",
                required=True,
                fields=(FieldPlan("id", "id_body"), FieldPlan("b.c", "b_c")),
                constants={"kind": "a"},
            ),
        )

    def test_all_of_plain_objects_is_one_object(self) -> None:
        schema = {"allOf": [{"$ref": "#/components/schemas/Base"}, {"properties": {"b": TEXT, "a": {"maxLength": 3}}}], "required": ["b"]}

        found, _ = asked(body=json_body(schema), schemas={"Base": {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}})

        assert found.schema["properties"] == {"a": {"allOf": [{"maxLength": 3}, TEXT]}, "b": TEXT}
        assert set(found.schema["required"]) == {"a", "b"}

    def test_a_required_property_without_a_schema_is_an_argument_too(self) -> None:
        found, _ = asked(body=json_body({"type": "object", "properties": {"a": TEXT}, "required": ["b"]}))

        assert found.schema["properties"] == {"a": TEXT, "b": {}}

    def test_recursive_ones_share_their_definitions(self) -> None:
        tree = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}

        found, _ = asked(body=json_body({"$ref": "#/components/schemas/Tree"}), schemas={"Tree": tree})

        assert found.schema["properties"] == {"child": {"$ref": "#/$defs/Tree"}}

    def test_an_optional_one_may_be_flat_when_nothing_in_it_is_required(self) -> None:
        found, _ = asked(body=json_body({"type": "object", "properties": {"a": TEXT}}, required=False))

        assert found.bodies == (BodyPlan("application/json", "flat", required=False, fields=(FieldPlan("a", "a"),)),)


WHOLE = [
    {"type": "object", "properties": {"a": TEXT}, "additionalProperties": True},
    {"type": "object", "properties": {"a": TEXT}, "additionalProperties": {"type": "integer"}},
    {"type": "object", "additionalProperties": TEXT},
    {"type": "object"},
    {"type": "object", "properties": {"a": TEXT}, "oneOf": [{"required": ["a"]}]},
    {"oneOf": [{"type": "object", "properties": {"a": TEXT}}]},
    {"type": "object", "properties": {"a": TEXT}, "nullable": True},
    {"type": "object", "properties": {"a": TEXT}, "minProperties": 1},
    {"type": "object", "properties": {"a": TEXT}, "default": {"a": "x"}},
    {"type": "object", "properties": {"a": TEXT}, "patternProperties": {"^x": TEXT}},
    {"type": "object", "properties": {f"p{n}": TEXT for n in range(61)}},
    {"allOf": [{"properties": {"a": TEXT}, "additionalProperties": False}, {"properties": {"b": TEXT}}]},
    {"type": "array", "items": TEXT},
    {"type": "string"},
    {},
]


@pytest.mark.parametrize("schema", WHOLE, ids=str)
def test_a_body_that_says_more_than_its_properties_is_one_argument(schema: Any) -> None:
    found, _ = asked(body=json_body(schema, description="What to make."))

    assert list(found.schema["properties"]) == ["body"]
    assert found.schema["properties"]["body"]["description"] == "What to make."
    assert found.schema["required"] == ["body"]
    assert found.bodies == (BodyPlan("application/json", "whole", "body", required=True),)


def test_an_optional_body_with_required_properties_is_one_argument() -> None:
    schema = {"type": "object", "properties": {"a": TEXT}, "required": ["a"]}

    found, _ = asked(body=json_body(schema, required=False))

    assert found.schema == {"type": "object", "properties": {"body": schema}, "additionalProperties": False}


OBJECT = {"type": "object", "properties": {"a": TEXT}}


class TestSeveralMediaTypes:
    @pytest.mark.parametrize(
        "others", [["application/x-www-form-urlencoded"], ["multipart/form-data", "application/xml"], ["application/vnd.x+json", "*/*"]]
    )
    def test_of_one_schema_are_one_json(self, others: list[str]) -> None:
        body = RequestBody(tuple(content(kind, OBJECT) for kind in [*others, "application/json"]), True)

        found, _ = asked(body=body)

        assert [plan.media_type for plan in found.bodies] == ["application/json"]
        assert list(found.schema["properties"]) == ["a"]

    def test_that_ask_for_different_things_are_a_choice(self) -> None:
        body = RequestBody((content("text/plain", TEXT), content("text/x-markdown", TEXT), content("application/json", OBJECT)), True)

        found, _ = asked(body=body)

        assert [(plan.media_type, plan.mode, plan.argument) for plan in found.bodies] == [
            ("application/json", "whole", "body"),
            ("text/plain", "whole", "body"),
        ]
        assert found.content_type_argument == "content_type"
        assert found.schema["properties"]["body"] == {"anyOf": [OBJECT, TEXT]}
        assert found.schema["properties"]["content_type"]["enum"] == ["application/json", "text/plain"]
        assert found.schema["required"] == ["body"]

    def test_with_a_file_in_them_are_a_form_that_carries_it(self) -> None:
        schema = {"type": "object", "properties": {"name": TEXT, "photo": {"type": "string", "format": "binary"}}}
        kinds = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]

        found, _ = asked(body=RequestBody(tuple(content(kind, schema) for kind in kinds), True))

        assert [plan.media_type for plan in found.bodies] == ["multipart/form-data"]
        assert found.schema["properties"]["photo"] == FILE

    def test_of_patches_take_an_object_as_no_list_of_operations(self) -> None:
        kinds = ["json-patch", "merge-patch", "strategic-merge-patch"]  # as Kubernetes describes them

        found, _ = asked(body=RequestBody(tuple(content(f"application/{kind}+json", {"type": "object"}) for kind in kinds), True))

        assert [plan.media_type for plan in found.bodies] == ["application/merge-patch+json"]


class TestFiles:
    def test_a_body_of_bytes_is_a_file(self) -> None:
        found, _ = asked(body=RequestBody((content("application/octet-stream", {"type": "string", "format": "binary"}),), True))

        assert found.schema["properties"] == {"body": FILE}
        assert found.bodies == (BodyPlan("application/octet-stream", "whole", "body", required=True, binary=True),)

    @pytest.mark.parametrize("encoding", ["base64", "base64url"])
    def test_bytes_that_are_sent_as_text_are_a_file_too(self, encoding: str) -> None:
        image = content("image/png", {"type": "string", "contentMediaType": "image/png", "contentEncoding": encoding})

        found, _ = asked(body=RequestBody((image,), True))

        assert found.schema["properties"] == {"body": FILE}
        assert found.bodies == (BodyPlan("image/png", "whole", "body", required=True, binary=True, encoded=encoding),)

    def test_several_types_of_bytes_are_told_apart_by_the_file(self) -> None:
        found, _ = asked(body=RequestBody((content("image/png", {}), content("image/jpeg", {})), True))

        assert [(plan.media_type, plan.binary) for plan in found.bodies] == [("image/png, image/jpeg", True)]
        assert found.content_type_argument is None

    @pytest.mark.parametrize("word", ["anyOf", "oneOf"])
    @pytest.mark.parametrize("file", [{"type": "string", "format": "binary"}, {"$ref": "#/components/schemas/File"}])
    def test_that_may_be_null_by_alternatives_are_files(self, word: str, file: dict[str, Any]) -> None:
        one = {word: [file, {"type": "null"}], "description": "The photo."}
        several = {word: [{"type": "array", "items": file}, {"type": "null"}]}
        schema = {"type": "object", "properties": {"photo": one, "more": several, "either": {word: [TEXT, {"type": "null"}]}}}

        found, _ = asked(
            body=RequestBody((content("multipart/form-data", schema),), True), schemas={"File": {"type": "string", "format": "binary"}}
        )

        assert found.bodies[0].fields == (
            FieldPlan("photo", "photo", binary=True),
            FieldPlan("more", "more", binary=True),
            FieldPlan("either", "either"),
        )
        assert found.schema["properties"] == {
            "photo": {
                "description": f"The photo. {FILE['description']}",
                "anyOf": [{"anyOf": FILE["anyOf"]}, {"type": "null"}],
            },
            "more": {"anyOf": [{"type": "array", "items": FILE}, {"type": "null"}]},
            "either": {word: [TEXT, {"type": "null"}]},
        }

    def test_parts_may_be_files_with_headers_and_types_of_their_own(self) -> None:
        file = {"type": "string", "format": "binary", "description": "The photo."}
        schema = {
            "type": "object",
            "properties": {"photo": file, "more": {"type": "array", "items": file}, "about": {"type": "object"}},
            "required": ["photo"],
        }
        encoding = {
            "photo": {"contentType": "image/png", "headers": {"X-Kind": {"schema": {"const": "photo"}}, "X-Free": {"schema": TEXT}}},
            "about": {"contentType": "application/json"},
        }

        found, _ = asked(body=RequestBody((content("multipart/form-data", schema, **encoding),), True))

        assert found.bodies[0].fields == (
            FieldPlan("photo", "photo", content_type="image/png", binary=True, headers=(("X-Kind", "photo"),)),
            FieldPlan("more", "more", binary=True),
            FieldPlan("about", "about", content_type="application/json"),
        )
        assert found.schema["properties"]["photo"] == {**FILE, "description": f"The photo. {FILE['description']}"}
        assert found.schema["properties"]["more"] == {"type": "array", "items": FILE}

    @pytest.mark.parametrize(
        ("value", "fits"),
        [
            ("aGk=", True),
            ({"path": "a.png"}, True),
            ({"base64": "aGk=", "filename": "a"}, True),
            ({}, False),
            ({"url": "x"}, False),
            (5, False),
        ],
    )
    def test_a_file_is_base64_or_a_path(self, value: Any, fits: bool) -> None:
        assert jsonschema_rs.Draft202012Validator(FILE, offline=True).is_valid(value) is fits


def test_a_list_of_itself_in_a_form_is_no_file_and_costs_no_other_operation() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/components/schemas/Lists"}}}
    lists = {"type": "array", "items": {"$ref": "#/components/schemas/Lists"}}

    found, _ = asked(body=RequestBody((content("multipart/form-data", schema),), True), schemas={"Lists": lists})

    assert found.bodies[0].fields == (FieldPlan("a", "a"),)


def test_alternatives_of_alternatives_of_a_form_are_looked_at_once() -> None:
    schemas: dict[str, Any] = {f"s{n}": {"anyOf": [{"$ref": f"#/components/schemas/s{n + 1}"}] * 10} for n in range(30)}
    schemas["s30"] = {"type": "object", "properties": {"photo": {"type": "string", "format": "binary"}}}
    body = RequestBody((content("multipart/form-data", {"$ref": "#/components/schemas/s0"}),), True)

    with within(2):
        found, _ = asked(body=body, schemas=schemas)

    assert found.bodies[0].fields == (FieldPlan("photo", None, binary=True),)


def test_a_form_keeps_the_style_that_its_encoding_names() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object"}, "b": {"type": "array"}, "c": TEXT}}
    encoding = {"a": {"style": "deepObject"}, "b": {"explode": False, "allowReserved": True}}

    found, _ = asked(body=RequestBody((content("application/x-www-form-urlencoded", schema, **encoding),)))

    assert found.bodies[0].fields == (
        FieldPlan("a", "a", style="deepObject", explode=False),
        FieldPlan("b", "b", style="form", explode=False, allow_reserved=True),
        FieldPlan("c", "c"),
    )


def test_xml_is_asked_for_as_text() -> None:
    found, _ = asked(body=RequestBody((content("application/xml", {"type": "object", "properties": {"a": TEXT}}),), True))

    assert found.schema["properties"]["body"] == {"type": "string", "description": "The application/xml document, as text."}


def test_nothing_stands_at_the_top_that_makes_clients_refuse_a_list() -> None:
    found, _ = asked(body=json_body({"oneOf": [{"type": "object"}, {"type": "array"}]}))

    assert set(found.schema) == {"type", "properties", "required", "additionalProperties"}
