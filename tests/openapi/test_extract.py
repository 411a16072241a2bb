from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.effort import within
from toolgate.openapi.diagnostics import Diagnostic
from toolgate.openapi.extract import extract
from toolgate.openapi.operation import Answer, Key, MediaType, Operation, Parameter, RequestBody, ServerTemplate
from toolgate.openapi.read import METHODS, Document, Version
from toolgate.openapi.resolve import Resolver

GET = "/paths/~1a/get"


def read(paths: dict[str, Any], version: Version = "3.1", **root: Any) -> tuple[list[Operation], list[Diagnostic]]:
    root = {"paths": paths, **root}
    operations, findings = extract(Document(root, version), Resolver(root))
    return list(operations), list(findings)


def read_one(operation: dict[str, Any], version: Version = "3.1", **root: Any) -> tuple[Operation, list[str]]:
    [found], findings = read({"/a": {"get": operation}}, version, **root)
    return found, [finding.code for finding in findings]


def test_an_operation_of_3_1_is_read_whole() -> None:
    paths = {
        "/pets/{id}": {
            "summary": "of the path",
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
            "patch": {
                "operationId": "pets/update",
                "description": "Change a pet.",
                "tags": ["pets", "pets", "x"],
                "deprecated": True,
                "parameters": [{"name": "q", "in": "query", "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "description": "The pet",
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}},
                        "multipart/form-data": {"schema": {}, "encoding": {"a": {"contentType": "text/plain"}}},
                    },
                },
                "responses": {
                    "200": {"$ref": "#/components/responses/Ok"},
                    "4xx": {"description": "No"},
                    "default": {"content": {"application/zip": None}},
                    "x-more": {},
                },
                "security": [{"key": []}, {}],
                "x-mcp": {"name": "change"},
            },
        }
    }
    components = {
        "schemas": {"Pet": {"type": "object"}},
        "responses": {
            "Ok": {"description": "Yes", "headers": {"Link": {}}, "content": {"application/json": {"schema": {"type": "object"}}}}
        },
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    }
    here = "/paths/~1pets~1{id}/patch"

    root: dict[str, Any] = {"components": components, "servers": [{"url": "https://pets.example"}], "x-mcp": {"enabled": True}}

    operations, findings = read(paths, **root)

    assert findings == []
    assert operations == [
        Operation(
            method="PATCH",
            path="/pets/{id}",
            pointer=here,
            operation_id="pets/update",
            summary="of the path",
            description="Change a pet.",
            tags=("pets", "x"),
            parameters=(
                Parameter("id", "path", {"type": "integer"}, "/paths/~1pets~1{id}/parameters/0", required=True),
                Parameter("q", "query", {"type": "string"}, f"{here}/parameters/0", style="form", explode=True),
            ),
            body=RequestBody(
                (
                    MediaType("application/json", {"$ref": "#/components/schemas/Pet"}, f"{here}/requestBody/content/application~1json"),
                    MediaType(
                        "multipart/form-data", {}, f"{here}/requestBody/content/multipart~1form-data", {"a": {"contentType": "text/plain"}}
                    ),
                ),
                required=True,
                description="The pet",
            ),
            answers=(
                Answer(
                    "200",
                    (MediaType("application/json", {"type": "object"}, "/components/responses/Ok/content/application~1json"),),
                    ("link",),
                ),
                Answer("4XX"),
                Answer("default", (MediaType("application/zip", {}, f"{here}/responses/default/content/application~1zip"),)),
            ),
            keys=(Key("X-Key", "header"),),
            servers=(ServerTemplate("https://pets.example"),),
            servers_own=False,
            deprecated=True,
            extensions={"enabled": True, "name": "change"},
        )
    ]


def test_an_operation_of_2_0_with_a_body_is_read_whole() -> None:
    paths = {
        "/pets": {
            "post": {
                "consumes": ["application/json", "application/xml"],
                "parameters": [
                    {"name": "pet", "in": "body", "required": True, "description": "It", "schema": {"$ref": "#/definitions/Pet"}}
                ],
                "responses": {"201": {"description": "Made", "schema": {"$ref": "#/definitions/Pet"}}, "400": {"description": "No"}},
            }
        }
    }
    here = "/paths/~1pets/post"

    operations, findings = read(
        paths,
        "2.0",
        host="pets.example",
        basePath="/v1",
        schemes=["http", "https"],
        produces=["application/hal+json"],
        securityDefinitions={"b": {"type": "basic"}, "o": {"type": "oauth2", "flow": "application", "tokenUrl": "https://t.example"}},
        security=[{"b": [], "o": []}],
        definitions={"Pet": {}},
    )

    assert findings == []
    assert operations == [
        Operation(
            method="POST",
            path="/pets",
            pointer=here,
            body=RequestBody(
                (
                    MediaType("application/json", {"$ref": "#/definitions/Pet"}, f"{here}/parameters/0"),
                    MediaType("application/xml", {"$ref": "#/definitions/Pet"}, f"{here}/parameters/0"),
                ),
                required=True,
                description="It",
            ),
            answers=(
                Answer("201", (MediaType("application/hal+json", {"$ref": "#/definitions/Pet"}, f"{here}/responses/201"),)),
                Answer("400"),
            ),
            servers=(ServerTemplate("https://pets.example/v1"), ServerTemplate("http://pets.example/v1")),
        )
    ]


@pytest.mark.parametrize(
    ("consumes", "fields", "media_types", "schema", "encoding", "codes"),
    [
        (
            None,
            [{"name": "a", "type": "string", "description": "d", "required": True}, {"name": "b", "type": "integer"}],
            ["application/x-www-form-urlencoded"],
            {
                "type": "object",
                "properties": {"a": {"type": "string", "description": "d"}, "b": {"type": "integer"}},
                "required": ["a"],
            },
            {},
            [],
        ),
        (
            ["multipart/form-data", "application/x-www-form-urlencoded", "application/json"],
            [{"name": "a", "type": "string"}],
            ["multipart/form-data", "application/x-www-form-urlencoded"],
            {"type": "object", "properties": {"a": {"type": "string"}}},
            {},
            [],
        ),
        (
            ["multipart/form-data"],
            [{"name": "f", "type": "file"}],
            ["multipart/form-data"],
            {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}}},
            {},
            [],
        ),
        (
            ["application/x-www-form-urlencoded"],
            [{"name": "f", "type": "file"}],
            ["multipart/form-data"],
            {"type": "object", "properties": {"f": {"type": "string", "format": "binary"}}},
            {},
            ["file-without-multipart"],
        ),
        (
            None,
            [{"name": "m", "type": "array", "collectionFormat": "multi"}, {"name": "c", "type": "array"}],
            ["application/x-www-form-urlencoded"],
            {"type": "object", "properties": {"m": {"type": "array"}, "c": {"type": "array"}}},
            {"m": {"style": "form", "explode": True}, "c": {"style": "form", "explode": False}},
            [],
        ),
    ],
)
def test_form_data_becomes_one_body(
    consumes: Any, fields: list[dict[str, Any]], media_types: list[str], schema: Any, encoding: Any, codes: list[str]
) -> None:
    operation = {"parameters": [{"in": "formData", **field} for field in fields], **({"consumes": consumes} if consumes else {})}

    found, findings = read_one(operation, "2.0")

    assert (found.body, found.parameters, findings) == (
        RequestBody(tuple(MediaType(name, schema, GET, encoding) for name in media_types), required="required" in schema),
        (),
        codes,
    )


def test_every_method_of_a_path_is_an_operation_and_nothing_else_is() -> None:
    item: dict[str, Any] = {
        method: {} for method in ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query", "x-y", "servers")
    }

    assert [operation.method for operation in read({"/a": {**item, "servers": []}})[0]] == [
        *("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
    ]


def test_3_2_has_query_and_any_other_method() -> None:
    operations, findings = read({"/a": {"query": {}, "additionalOperations": {"COPY": {"operationId": "copy"}, "A B": {}}}}, "3.2")

    assert [(operation.method, operation.pointer, operation.operation_id) for operation in operations] == [
        ("QUERY", "/paths/~1a/query", None),
        ("COPY", "/paths/~1a/additionalOperations/COPY", "copy"),
    ]
    assert [(finding.level, finding.pointer) for finding in findings] == [("error", "/paths/~1a/additionalOperations/A B")]


def test_one_defect_costs_one_operation() -> None:
    paths: dict[str, Any] = {
        "/good": {"get": {}, "post": "nothing", "put": {"requestBody": {"$ref": "#/nowhere"}}},
        "/gone": {"$ref": "other.yaml#/gone"},
        "/loop": {"$ref": "#/paths/~1pool"},
        "/pool": {"$ref": "#/paths/~1loop"},
        "/null": None,
        "/list": [],
        "/responses": {"get": {"responses": {"200": {"$ref": "#/nowhere"}, "201": "text", "202": {"content": {"a/b": 7}}}}},
        "/odd": {"get": {"responses": [], "parameters": 5, "tags": {}, "servers": "x", "security": "y", "requestBody": {}}},
    }

    operations, findings = read(paths)

    assert [operation.key for operation in operations] == ["GET /good", "GET /responses", "GET /odd"]
    assert [(finding.code, finding.pointer) for finding in findings if finding.level == "error"] == [
        ("operation-left-out", "/paths/~1good/post"),
        ("operation-left-out", "/paths/~1good/put"),
        ("path-left-out", "/paths/~1gone"),
        ("path-left-out", "/paths/~1loop"),
        ("path-left-out", "/paths/~1pool"),
        ("path-left-out", "/paths/~1null"),
        ("path-left-out", "/paths/~1list"),
    ]
    assert all(finding.message.endswith(tuple("abcdefghijklmnopqrstuvwxyz}")) for finding in findings)


def test_placeholders_and_path_parameters_are_made_to_fit() -> None:
    declared = [{"name": "other", "in": "path", "required": True, "schema": {}}]

    [operation], findings = read({"/a/{id}/{+rest}": {"get": {"parameters": declared}}})

    here = "/paths/~1a~1{id}~1{+rest}/get"
    assert operation.path == "/a/{id}/{rest}"
    assert operation.parameters == (
        Parameter("id", "path", {"type": "string"}, here, required=True),
        Parameter("rest", "path", {"type": "string"}, here, required=True, multi_segment=True),
    )
    assert [(finding.level, finding.code) for finding in findings] == [
        ("warning", "unknown-path-parameter"),
        ("warning", "undeclared-placeholder"),
        ("warning", "undeclared-placeholder"),
    ]


@pytest.mark.parametrize("path", ["/a/{p}", "/a/{+p}"])
def test_slashes_stay_where_the_description_says_so(path: str) -> None:
    declared = {"name": "p", "in": "path", "required": True, "schema": {}, "x-multi-segment": "+" not in path}

    [operation], _ = read({path: {"get": {"parameters": [declared]}}})

    assert [parameter.multi_segment for parameter in operation.parameters] == [True]


def test_a_query_string_in_the_path_becomes_query_parameters() -> None:
    word = {"name": "word", "in": "path", "required": True, "description": "What to look for", "schema": {"type": "string"}}

    [status, simple, search], findings = read(
        {"/status": {"get": {}}, "/status?simple=1": {"get": {}}, "/s?q={word}": {"get": {"parameters": [word]}}}
    )

    assert [status.key, simple.key, search.key] == ["GET /status", "GET /status?simple=1", "GET /s?q={word}"]
    assert simple.parameters == (
        Parameter(
            "simple", "query", {"type": "string", "enum": ["1"], "default": "1"}, simple.pointer, required=True, style="form", explode=True
        ),
    )
    assert search.path == "/s"
    assert search.parameters == (
        Parameter(
            "q",
            "query",
            {"type": "string"},
            "/paths/~1s?q={word}/get/parameters/0",
            required=True,
            style="form",
            explode=True,
            description="What to look for",
        ),
    )
    assert {finding.code for finding in findings} == {"query-in-path"}


def test_two_operations_that_nothing_tells_apart_are_one() -> None:
    operations, findings = read(
        {"/a/{x}": {"get": {"operationId": "same"}}, "/a/{+x}": {"get": {}}, "/b": {"get": {"operationId": "same"}}}
    )

    assert [operation.key for operation in operations] == ["GET /a/{x}", "GET /b"]
    assert [finding.code for finding in findings if finding.code != "undeclared-placeholder"] == [
        "operation-left-out",
        "duplicate-operation-id",
    ]


@pytest.mark.parametrize(
    ("root", "path", "operation", "servers", "own"),
    [
        ({}, {}, {}, ["/"], False),
        ({"servers": [{"url": "https://r.example/"}]}, {}, {}, ["https://r.example/"], False),
        ({"servers": [{"url": "https://r.example"}]}, {"servers": [{"url": "https://p.example"}]}, {}, ["https://p.example"], True),
        ({}, {"servers": [{"url": "https://p.example"}]}, {"servers": [{"url": "https://o.example"}]}, ["https://o.example"], True),
        ({"servers": [{"url": "//r.example"}, {}, None]}, {}, {"servers": []}, ["https://r.example"], False),
    ],
)
def test_the_nearest_servers_count(root: Any, path: Any, operation: Any, servers: list[str], own: bool) -> None:
    [found], _ = read({"/a": {"get": operation, **path}}, **root)

    assert ([server.url for server in found.servers], found.servers_own) == (servers, own)


def test_server_variables_have_their_defaults() -> None:
    variables = {"v": {"default": 2}, "region": {"enum": ["eu", "us"]}, "unused": {"default": "x"}, "none": {}}

    found, codes = read_one({}, servers=[{"url": "https://{region}.example/{v}/{none}", "variables": variables}])

    assert found.servers == (ServerTemplate("https://{region}.example/{v}/{none}", {"v": "2", "region": "eu"}),)
    assert codes == ["no-server-default"]


@pytest.mark.parametrize(
    ("root", "servers"),
    [  # OpenAPI 2.0, "Swagger Object": host, basePath, schemes
        ({}, ["/"]),
        ({"basePath": "v1"}, ["/v1"]),
        ({"host": "a.example"}, ["https://a.example/"]),
        ({"host": "a.example:8", "basePath": "/v1", "schemes": ["http"]}, ["http://a.example:8/v1"]),
        ({"host": "a.example", "schemes": ["ws"]}, ["https://a.example/"]),
    ],
)
def test_2_0_says_its_servers_in_pieces(root: Any, servers: list[str]) -> None:
    found, codes = read_one({}, "2.0", **root)

    assert ([server.url for server in found.servers], codes) == (servers, [])


@pytest.mark.parametrize(
    ("scheme", "keys"),
    [
        ({"type": "apiKey", "in": "cookie", "name": "sid"}, (Key("sid", "cookie"),)),
        ({"type": "http", "scheme": "Bearer"}, ()),
        ({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://t.example", "scopes": {}}}}, ()),
        ({"type": "openIdConnect", "openIdConnectUrl": "https://o.example"}, ()),
        ({"type": "mutualTLS"}, ()),
        ({"type": "apiKey", "in": "body", "name": "k"}, None),
        ({"type": "http"}, None),
        ({"type": ["x"]}, None),
    ],
)
def test_a_security_scheme_is_read_or_told(scheme: Any, keys: tuple[Key, ...] | None) -> None:
    found, codes = read_one({}, components={"securitySchemes": {"s": scheme}}, security=[{"s": []}])

    assert found.keys == (keys or ())
    assert codes == ([] if keys is not None else ["unknown-scheme", "unknown-scheme"])


def test_an_empty_security_takes_the_documents_away() -> None:
    schemes = {"securitySchemes": {"s": {"type": "apiKey", "in": "query", "name": "k"}}}

    assert read_one({"security": []}, components=schemes, security=[{"s": []}])[0].keys == ()
    assert read_one({}, components=schemes, security=[{"s": []}])[0].keys == (Key("k", "query"),)


def test_a_key_of_several_alternatives_is_told_once() -> None:
    schemes = {name: {"type": "apiKey", "in": "header", "name": f"X-{name[0]}"} for name in ("a", "b", "also a")}

    found, _ = read_one({}, components={"securitySchemes": schemes}, security=[{"a": [], "b": []}, {"also a": []}, {}])

    assert found.keys == (Key("X-a", "header"), Key("X-b", "header"))


@pytest.mark.parametrize(
    ("root", "path", "operation", "extensions"),
    [
        ({}, {}, {}, {}),
        ({"x-mcp": False}, {}, {"x-mcp": True}, {"enabled": True}),
        ({"x-mcp": {"a": 1, "b": 1, "c": 1}}, {"x-mcp": {"b": 2, "c": 2}}, {"x-mcp": {"c": 3}}, {"a": 1, "b": 2, "c": 3}),
        (
            {"x-mcp": {"annotations": {"readOnly": True}}},
            {},
            {"x-mcp": {"annotations": {"idempotent": True}}},
            {"annotations": {"readOnly": True, "idempotent": True}},
        ),
        (
            {},
            {},
            {"x-speakeasy-mcp": {"disabled": True, "name": "n", "scopes": ["read"], "readOnlyHint": True}},
            {"enabled": False, "name": "n", "tags": ["read"], "annotations": {"readOnly": True}},
        ),
        ({}, {}, {"x-speakeasy-mcp": {"name": "theirs"}, "x-mcp": {"name": "ours"}}, {"name": "ours"}),
        ({"x-mcp": "yes"}, {}, {"x-mcp": None}, {}),
    ],
)
def test_what_is_said_to_tool_makers_is_merged_the_nearer_over_the_farther(root: Any, path: Any, operation: Any, extensions: Any) -> None:
    [found], _ = read({"/a": {"get": operation, **path}}, **root)

    assert found.extensions == extensions


@pytest.mark.parametrize(
    ("operation", "expected", "codes"),
    [
        ({"operationId": 7}, {"operation_id": "7"}, ["operation-id-not-text"]),
        ({"operationId": " "}, {"operation_id": None}, ["operation-id-not-text"]),
        ({"operationId": " a "}, {"operation_id": "a"}, []),
        ({"tags": "one"}, {"tags": ("one",)}, []),
        ({"tags": [{"name": "one"}, 5]}, {"tags": ("one",)}, ["tag-not-text", "tag-not-text"]),
        ({"deprecated": "yes"}, {"deprecated": True}, ["flag-not-boolean"]),
        ({"requestBody": {"content": {}}}, {"body": None}, ["empty-body"]),
        ({"summary": ""}, {"summary": None}, []),
    ],
)
def test_what_an_operation_says_wrongly_is_repaired(operation: Any, expected: dict[str, Any], codes: list[str]) -> None:
    found, findings = read_one(operation)

    assert {key: getattr(found, key) for key in expected} == expected
    assert findings == codes


RICH: dict[str, Any] = {
    "paths": {
        "/a/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}, "style": "simple"}],
            "servers": [{"url": "https://{v}.example", "variables": {"v": {"default": "x", "enum": ["x"]}}}],
            "post": {
                "operationId": "x",
                "tags": ["t"],
                "parameters": [
                    {"$ref": "#/components/parameters/Q"},
                    {"name": "f", "in": "formData", "type": "array", "collectionFormat": "pipes"},
                ],
                "requestBody": {"required": True, "content": {"a/b": {"schema": {}, "encoding": {"a": {}}}}},
                "responses": {"200": {"content": {"a/b": {"schema": {}}}, "headers": {"Link": {}}}},
                "security": [{"s": []}],
                "x-mcp": {"annotations": {"readOnly": True}},
                "x-speakeasy-mcp": {"scopes": [], "disabled": False},
            },
            "additionalOperations": {"COPY": {}},
        },
        "/untouched": {"get": {"operationId": "untouched"}},
    },
    "components": {
        "parameters": {"Q": {"name": "q", "in": "query", "content": {"a/b": {"schema": {}, "examples": {"e": {"value": 1}}}}}},
        "securitySchemes": {"s": {"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://t.example"}}}},
    },
    "security": [{"s": []}],
    "consumes": ["a/b"],
}
WRONG: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1.5, "", "x", "#/nowhere", [], [[]], [None], {}, {"$ref": "#/paths"}, {"$ref": "#/"}, {"$ref": 5}, {"": {}}]
)


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document but those of the path that nobody touches."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if (*place, key) not in {("paths",), ("paths", "/untouched")}:
            yield (*place, key)
        if key != "/untouched":
            yield from places(value, (*place, key))


def spoil(node: Any, place: tuple[Any, ...], value: Any) -> None:
    """Put `value` at `place`, unless an earlier defect took the place away."""
    try:
        for key in place[:-1]:
            node = node[key]
        if isinstance(node, list) == isinstance(place[-1], int):  # keys are text
            node[place[-1]] = value
    except (KeyError, IndexError, TypeError):
        return


@given(
    st.lists(st.tuples(st.sampled_from(list(places(RICH))), WRONG), min_size=1, max_size=3), st.sampled_from(["2.0", "3.0", "3.1", "3.2"])
)
def test_whatever_is_wrong_elsewhere_the_other_operations_are_read(defects: list[tuple[tuple[Any, ...], Any]], version: Version) -> None:
    root = deepcopy(RICH)
    for place, value in defects:
        spoil(root, place, deepcopy(value))

    operations, findings = extract(Document(root, version), Resolver(root))

    untouched = [operation for operation in operations if operation.path == "/untouched"]
    assert [(operation.method, operation.operation_id) for operation in untouched] == [("GET", "untouched")]
    item = root["paths"]["/a/{id}"]
    if isinstance(item, dict) and "$ref" not in item:
        said = sum(key.lower() in METHODS for key in item)
        left_out = [finding for finding in findings if finding.code == "operation-left-out"]
        assert said + 1 <= len(operations) + len(left_out)


def test_ten_thousand_operations_are_read_within_two_seconds() -> None:
    operation = {
        "parameters": [{"$ref": "#/components/parameters/P"}, {"name": "q", "in": "query", "schema": {"type": "string"}}],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}},
        "responses": {"200": {"$ref": "#/components/responses/R"}, "404": {"$ref": "#/components/responses/nowhere"}},
    }
    components = {
        "parameters": {"P": {"name": "id", "in": "path", "required": True, "schema": {}}},
        "schemas": {"S": {"properties": {"self": {"$ref": "#/components/schemas/S"}}}},
        "responses": {"R": {"description": "ok"}},
    }

    with within(2):
        operations, _ = read({f"/a{n}/{{id}}": {"post": operation} for n in range(10_000)}, components=components)

    assert len(operations) == 10_000


def test_what_stands_beside_a_paths_reference_counts_as_well() -> None:
    there = {"parameters": [{"name": "a", "in": "query", "schema": {}}], "summary": "There", "get": {"operationId": "there"}}
    beside = {
        "$ref": "#/components/pathItems/P",
        "parameters": [{"name": "b", "in": "query", "schema": {}}],
        "servers": [{"url": "https://beside.example"}],
        "post": {"operationId": "beside"},
        "get": {"operationId": "twice"},
    }

    operations, findings = read({"/a": beside, "/b": {"$ref": "#/components/pathItems/P"}}, components={"pathItems": {"P": there}})

    assert [(one.operation_id, one.pointer, one.summary) for one in operations] == [
        ("beside", "/paths/~1a/post", "There"),
        ("twice", "/paths/~1a/get", "There"),
        ("there", "/components/pathItems/P/get", "There"),
    ]
    assert [[parameter.name for parameter in one.parameters] for one in operations] == [["a", "b"], ["a", "b"], ["a"]]
    assert [one.servers_own for one in operations] == [True, True, False]
    assert [(one.level, one.code, one.pointer) for one in findings] == [("error", "operation-left-out", "/components/pathItems/P/get")]


@pytest.mark.parametrize("shared", ["answers", "paths", "extensions"])
def test_what_thousands_of_operations_share_is_read_as_often_as_it_fits(shared: str) -> None:
    large: dict[str, Any] = {"200": {"content": {f"text/x-{n}": {} for n in range(2000)}}}
    components = {"responses": {"R": large["200"]}, "pathItems": {"P": {"get": {"responses": large}}}}
    operation = {"responses": {"200": {"$ref": "#/components/responses/R"}}}
    item = {"$ref": "#/components/pathItems/P"} if shared == "paths" else {"get": operation}
    root: dict[str, Any] = {"x-mcp": {str(n): n for n in range(100_000)}} if shared == "extensions" else {}

    with within(4):
        operations, findings = read({f"/a{n}": item for n in range(10_000)}, components=components, **root)

    assert 0 < len(operations) < 10_000
    assert [(one.level, one.pointer) for one in findings if one.code == "too-much"] == [("error", operations[-1].pointer)]
