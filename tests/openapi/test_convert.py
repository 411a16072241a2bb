from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.effort import within
from toolgate.calls import Annotations
from toolgate.integration import Integration
from toolgate.money import Price
from toolgate.openapi.convert import convert
from toolgate.openapi.definition import Defined, Definition, plain, plan_from_json
from toolgate.openapi.operation import (
    Answer,
    BodyPlan,
    FieldPlan,
    Key,
    MediaType,
    Operation,
    Paging,
    Parameter,
    ParameterPlan,
    Plan,
    RequestBody,
    ServerTemplate,
)
from toolgate.openapi.resolve import Resolver

SCHEMAS = {"Tree": {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}}
SERVER = ServerTemplate("https://{region}.example.org", {"region": "eu"})


def converted(*operations: Operation, **declared: Any) -> Defined:
    integration = Integration.model_validate({"name": "shop", **declared})
    return convert(operations, Resolver({"components": {"schemas": SCHEMAS}}), integration, "3.0.3")


def only(operation: Operation, **declared: Any) -> Definition:
    conversion = converted(operation, **declared)
    (definition,) = conversion.definitions
    return definition


def op(method: str = "GET", path: str = "/orders", operation_id: str | None = "listOrders", **more: Any) -> Operation:
    return Operation(method, path, f"/paths/{path.replace('/', '~1')}/{method.lower()}", operation_id, **more)


def query(name: str, schema: Any = None) -> Parameter:
    return Parameter(name, "query", {"type": "string"} if schema is None else schema, f"/{name}", style="form", explode=True)


def test_an_operation_becomes_a_definition() -> None:
    operation = op(
        summary="List orders",
        description="Newest [first](https://x.org). " + "More words. " * 60,
        tags=("orders",),
        parameters=(query("state", {"type": "string", "title": "State"}), query("page", {"type": "integer"})),
        answers=(Answer("200", (MediaType("text/csv", {}, ""), MediaType("application/json", {}, ""))),),
        servers=(SERVER,),
    )

    definition = only(operation, defaults={"timeout": "5s"}, prices={"default": "0.001"})

    assert replace(definition, description="", full_description="", fingerprint="") == Definition(
        name="shop_listOrders",
        description="",
        title="List orders",
        schema={
            "type": "object",
            "properties": {"state": {"type": "string", "title": "State"}, "page": {"type": "integer"}},
            "additionalProperties": False,
        },
        advertised={
            "type": "object",
            "properties": {"state": {"type": "string"}, "page": {"type": "integer"}},
            "additionalProperties": False,
        },
        annotations=Annotations(read_only=True, destructive=False, idempotent=True, open_world=True),
        key="GET /orders",
        plan_data={
            "method": "GET",
            "path": "/orders",
            "servers": [{"url": "https://{region}.example.org", "variables": {"region": "eu"}}],
            "parameters": [
                {"name": "state", "location": "query", "argument": "state", "style": "form", "explode": True, "type": "string"},
                {"name": "page", "location": "query", "argument": "page", "style": "form", "explode": True, "type": "integer"},
            ],
            "accept": "application/json, text/csv",
            "paging": {"kind": "page", "argument": "page"},
        },
        tags=("orders",),
        listed=True,
        price=Price(1000),
        timeout=5.0,
        search_text="GET listOrders orders state page",
    )
    assert definition.full_description.startswith("List orders.\n\nNewest [first](https://x.org). More words.")
    assert definition.description.startswith("List orders. Newest first. More words.")
    assert definition.description.endswith("More words.")
    assert len(definition.description) <= 400


ANNOTATIONS: list[tuple[str, dict[str, Any], Annotations]] = [
    ("GET", {}, Annotations(read_only=True, destructive=False, idempotent=True)),
    ("HEAD", {}, Annotations(read_only=True, destructive=False, idempotent=True)),
    ("QUERY", {}, Annotations(read_only=True, destructive=False, idempotent=True)),
    ("PUT", {}, Annotations(read_only=False, destructive=True, idempotent=True)),
    ("DELETE", {}, Annotations(read_only=False, destructive=True, idempotent=True)),
    ("PATCH", {}, Annotations(read_only=False, destructive=True, idempotent=False)),
    ("POST", {}, Annotations(read_only=False, destructive=True, idempotent=False)),
    ("POST", {"readOnly": True}, Annotations(read_only=True, destructive=False, idempotent=True)),
    ("POST", {"annotations": {"destructive": False, "openWorld": False}}, Annotations(False, False, False, False)),
    ("GET", {"read_only": False}, Annotations(read_only=False, destructive=False, idempotent=True)),
]


@pytest.mark.parametrize(("method", "said", "expected"), ANNOTATIONS)
def test_hints_come_from_the_verb_unless_the_description_says_better(method: str, said: dict[str, Any], expected: Annotations) -> None:
    assert only(op(method, extensions=said)).annotations == expected


@pytest.mark.parametrize(
    ("path", "operation_id", "warned"),
    [
        ("/v1/cache/evict", None, True),
        ("/v1/cache/evict", "resetCacheUsingGET", True),
        ("/v1/x", "cache/delete-all", True),
        ("/v1/addresses", None, False),
        ("/v1/x", "migrations/get-archive", False),
        ("/settings", "setsOfThings", False),
    ],
)
def test_a_read_that_is_called_a_change_is_reported(path: str, operation_id: str | None, warned: bool) -> None:
    assert [one.code for one in converted(op("GET", path, operation_id)).diagnostics] == ["get-that-mutates"] * warned


class TestSelection:
    OPERATIONS = (
        op("GET", "/orders", "orders/list", tags=("orders",)),
        op("POST", "/orders", "orders/create", tags=("orders",), deprecated=True),
        op("GET", "/users/{id}", None, tags=("users",)),
        op("DELETE", "/users/{id}", "users.delete", extensions={"enabled": False}),
    )

    @pytest.mark.parametrize(
        ("declared", "expected"),
        [
            ({}, ["shop_orders_list", "shop_orders_create", "shop_get_users_by_id"]),
            ({"include": {"tags": ["users"]}}, ["shop_get_users_by_id"]),
            ({"include": ["orders/*"]}, ["shop_orders_list", "shop_orders_create"]),
            ({"include": ["GET /*"]}, ["shop_orders_list", "shop_get_users_by_id"]),
            ({"include": ["GET /users/{id}", "shop_orders_list"]}, ["shop_orders_list", "shop_get_users_by_id"]),
            ({"exclude": {"deprecated": True, "operations": ["??? /users/{id}"]}}, ["shop_orders_list"]),
        ],
    )
    def test_an_operation_is_in_by_tag_id_or_pattern(self, declared: dict[str, Any], expected: list[str]) -> None:
        assert [definition.name for definition in converted(*self.OPERATIONS, **declared).definitions] == expected

    @pytest.mark.parametrize(
        ("expose", "expected"),
        [
            ("list", [True, True, True]),
            ("search", [False, False, False]),
            (["orders/list"], [True, False, False]),
            ({"tags": ["users"]}, [False, False, True]),
        ],
    )
    def test_what_is_listed_is_chosen_alike(self, expose: Any, expected: list[bool]) -> None:
        assert [definition.listed for definition in converted(*self.OPERATIONS, expose=expose).definitions] == expected

    def test_an_entry_that_names_nothing_is_reported(self) -> None:
        diagnostics = converted(*self.OPERATIONS, expose=["orders/lst"], exclude={"tags": ["user"]}).diagnostics

        assert [(one.code, one.message) for one in diagnostics] == [
            ("idle-entry", "exclude of shop names user, and no operation is called so"),
            ("idle-entry", "expose of shop names orders/lst, and no operation is called so"),
        ]

    def test_leaving_out_one_never_renames_another(self) -> None:
        twins = (op("GET", "/a", "same"), op("GET", "/b", "same"))

        both = converted(*twins).definitions
        one = converted(*twins, exclude={"operations": ["GET /a"]}).definitions

        assert one == both[1:]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({}, None),
        ({"default": "0.5"}, Price(500_000)),
        ({"default": "0.5", "list_orders": "0.000001"}, Price(1)),
        ({"shop_list_orders": "2", "default": "0"}, Price(2_000_000)),
        ({"list-orders!": "3"}, Price(3_000_000)),
        ({"list_orders": {"call": "0.01", "kilobyte": "0.001", "most": "0.5"}}, Price(10_000, 1_024_000, most=500_000)),
        ({"list_orders": {"header": "X-Cost", "most": "1"}}, Price(header="X-Cost", most=1_000_000)),
    ],
)
def test_a_price_is_found_by_any_name_of_the_operation(prices: dict[str, Any], expected: Price | None) -> None:
    assert only(op(operation_id="list-orders!", extensions={"name": "list_orders"}), prices=prices).price == expected


class TestGates:
    def test_a_tool_that_no_validator_takes_is_left_out_alone(self) -> None:
        broken = op("GET", "/a", "broken", parameters=(query("q", {"default": float("nan"), "maximum": 2**80, "enum": [2**80]}),))

        conversion = converted(broken, op("GET", "/b", "fine"))

        assert [definition.name for definition in conversion.definitions] == ["shop_fine"]
        assert [(one.level, one.code, one.pointer) for one in conversion.diagnostics] == [("error", "tool-left-out", "/paths/~1a/get")]

    def test_ten_thousand_operations_take_seconds(self) -> None:
        operations = [op("GET", f"/a{n}/{{id}}", f"get{n}", parameters=(query("q"), query("limit"))) for n in range(10_000)]

        with within(4):
            conversion = converted(*operations)

        assert len(conversion.definitions) == 10_000

    def test_a_large_schema_that_thousands_share_fills_no_memory(self) -> None:
        large = query("q", {"type": "string", "enum": [f"value number {n}" for n in range(20_000)]})
        operations = [op("GET", f"/a{n}", f"get{n}", parameters=(large,)) for n in range(3000)]

        with within(4):
            conversion = converted(*operations)

        assert 0 < sum(len(orjson.dumps(definition.schema)) for definition in conversion.definitions) <= 32 * 1024 * 1024
        assert {one.code for one in conversion.diagnostics} == {"tool-left-out"}

    def test_a_long_list_of_servers_that_thousands_share_fills_no_memory(self) -> None:
        servers = tuple(ServerTemplate(f"https://{n}.example.com") for n in range(3000))
        operations = [op("GET", f"/a{n}", f"get{n}", servers=servers) for n in range(3000)]

        with within(4):
            conversion = converted(*operations)

        assert 0 < len(conversion.definitions) < 3000
        assert {one.code for one in conversion.diagnostics} == {"tool-left-out"}

    @pytest.mark.parametrize("digits", ["01", "!?"], ids=["legal", "of one key"])
    def test_twenty_thousand_arguments_take_seconds(self, digits: str) -> None:
        names = [f"{n:b}".translate(str.maketrans("01", digits)) for n in range(20_000)]
        parameters = tuple(replace(query(name), required=True) for name in names)

        with within(4):
            conversion = converted(op("GET", "/a", "many", parameters=parameters))

        assert len(conversion.definitions[0].schema["properties"]) == 20_000


class TestFingerprint:
    OPERATION = op(summary="List orders", parameters=(query("state"),))

    @pytest.mark.parametrize(
        "changed",
        [
            replace(OPERATION, summary="List all orders"),
            replace(OPERATION, description="x" * 390 + ". " + "cut from what is advertised"),
            replace(OPERATION, parameters=(query("status"),)),
            replace(OPERATION, parameters=(query("state", {"type": "string", "title": "not advertised"}),)),
            replace(OPERATION, extensions={"destructive": True}),
        ],
    )
    def test_differs_when_anything_differs_that_a_model_sees(self, changed: Operation) -> None:
        assert only(changed).fingerprint != only(self.OPERATION).fingerprint

    @pytest.mark.parametrize(("base_url", "same"), [(None, False), ("https://ours.example", True)])
    def test_differs_when_calls_go_elsewhere_by_the_description_alone(self, base_url: str | None, same: bool) -> None:
        here, there = (replace(self.OPERATION, servers=(ServerTemplate(url),)) for url in ("https://a.example", "https://b.example"))

        assert (only(here, base_url=base_url).fingerprint == only(there, base_url=base_url).fingerprint) is same

    @pytest.mark.parametrize("declared", [{"prices": {"default": "1"}}, {"expose": "search"}, {"defaults": {"timeout": "1s"}}])
    def test_is_the_same_when_only_the_operator_changed_something(self, declared: dict[str, Any]) -> None:
        assert only(self.OPERATION, **declared).fingerprint == only(self.OPERATION).fingerprint


FULL_PLAN = Plan(
    method="POST",
    path="/x/{id}",
    servers=(SERVER,),
    servers_own=True,
    parameters=(
        ParameterPlan("id", "path", "id", required=True, multi_segment=True, type="string"),
        ParameterPlan("v", "query", None, style="form", explode=True, constant=None),
        ParameterPlan("w", "query", None, constant=False),
    ),
    bodies=(
        BodyPlan("application/json", "flat", required=True, fields=(FieldPlan("a", "a"),), constants={"b": None}),
        BodyPlan("multipart/form-data", "whole", "body", fields=(FieldPlan("f", None, binary=True, headers=(("X-A", "b"),)),)),
    ),
    content_type_argument="content_type",
    accept="application/json",
    keys=(Key("k", "header"),),
    paging=Paging("cursor", "cursor", field="/next", first=0),
)


def test_a_plan_survives_json() -> None:
    assert plan_from_json(orjson.loads(orjson.dumps(plain(FULL_PLAN)))) == FULL_PLAN


def test_a_definition_survives_json() -> None:
    body = RequestBody((MediaType("application/json", {"$ref": "#/components/schemas/Tree"}, "/x"),), True)
    definition = only(op("POST", body=body, tags=("a",), summary="S", deprecated=True), expose="search")

    again = Definition.from_json(orjson.loads(orjson.dumps(definition.to_json())))

    assert again == definition
    assert again.plan == definition.plan
    assert again.plan.bodies[0].fields == (FieldPlan("child", "child"),)


def test_a_description_may_be_replaced_and_deprecation_is_told() -> None:
    definition = only(
        op(
            summary="S",
            description="D",
            deprecated=True,
            extensions={"title": "T", "description": "Better.", "timeout": "2m", "tags": ["x"]},
        )
    )

    assert (definition.title, definition.description, definition.full_description) == ("T", "Deprecated. Better.", "Better.")
    assert (definition.timeout, definition.tags) == (120.0, ("x",))


@pytest.mark.parametrize(
    ("said", "declared", "expected"),
    [
        ({}, {}, 0),
        ({}, {"cache": "1m"}, 60),
        ({"cache": "5s"}, {"cache": "1m"}, 5),
        ({"cache": 0}, {"cache": "1m"}, 0),
        ({"cache": "long"}, {}, 0),
    ],
)
def test_how_long_an_answer_is_kept_is_said_by_the_integration_or_the_operation(
    said: dict[str, Any], declared: dict[str, Any], expected: float
) -> None:
    definition = only(op(extensions=said), defaults=declared)

    assert definition.cache == expected
    assert Definition.from_json(orjson.loads(orjson.dumps(definition.to_json()))) == definition


def test_a_header_for_idempotency_keys_is_in_the_plan() -> None:
    definition = only(op(parameters=(Parameter("Idempotency-Key", "header", {"type": "string"}, "/p"),)))

    assert definition.plan.idempotency_header == "Idempotency-Key"


def test_an_operation_that_says_nothing_is_called_by_its_path() -> None:
    assert only(op(operation_id=None)).description == "GET /orders"
