from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from tests.effort import within
from toolgate.openapi import overlay
from toolgate.openapi.diagnostics import Diagnostic


def a_description() -> dict[str, Any]:
    return {
        "info": {"title": "Pets", "version": "1"},
        "paths": {
            "/pets": {
                "get": {"summary": "List", "tags": ["a", "dummy"], "parameters": [{"name": "q"}, {"name": "dummy"}, {"name": "x"}]},
                "post": {"summary": "Add"},
            },
            "/pets/{id}": {"get": {"summary": "Show"}},
        },
    }


def changed(*actions: dict[str, Any], of: dict[str, Any] | None = None) -> tuple[dict[str, Any], list[Diagnostic]]:
    root = of if of is not None else a_description()
    return root, overlay.apply(root, {"overlay": "1.1.0", "info": {"title": "t", "version": "1"}, "actions": list(actions)})


@pytest.mark.parametrize(
    ("before", "action", "after"),
    [  # Overlay Specification 1.1.0, "Action Object", field by field
        pytest.param({"a": {"b": 1}}, {"target": "$.a", "update": {"c": 2}}, {"a": {"b": 1, "c": 2}}, id="inserted"),
        pytest.param({"a": {"b": 1}}, {"target": "$.a", "update": {"b": 2}}, {"a": {"b": 2}}, id="replaced"),
        pytest.param({"a": {"b": 1}}, {"target": "$", "update": {"a": {"c": 2}}}, {"a": {"b": 1, "c": 2}}, id="merged recursively"),
        pytest.param({"a": {"b": [1]}}, {"target": "$.a", "update": {"b": [2]}}, {"a": {"b": [1, 2]}}, id="arrays inside concatenated"),
        pytest.param({"a": [1]}, {"target": "$.a", "update": [2, 3]}, {"a": [1, 2, 3]}, id="array concatenated"),
        pytest.param({"a": [1]}, {"target": "$.a", "update": {"b": 2}}, {"a": [1, {"b": 2}]}, id="object appended"),
        pytest.param({"a": [1]}, {"target": "$.a", "update": "x"}, {"a": [1, "x"]}, id="primitive appended"),
        pytest.param({"a": 1}, {"target": "$.a", "update": "x"}, {"a": "x"}, id="primitive replaced"),
        pytest.param({"a": [1, 2]}, {"target": "$.a[0]", "update": None}, {"a": [None, 2]}, id="element replaced"),
        pytest.param({"a": {}}, {"target": "$.b", "update": {"c": 2}}, {"a": {}}, id="nothing selected"),
        pytest.param({"a": 1, "b": 2}, {"target": "$.a", "remove": True}, {"b": 2}, id="removed"),
        pytest.param({"a": [1, 2, 1, 1]}, {"target": "$.a[?@ == 1]", "remove": True}, {"a": [2]}, id="several elements removed"),
        pytest.param({"a": [1, 2]}, {"target": "$.a[0, 0]", "remove": True}, {"a": [2]}, id="an element selected twice removed once"),
        pytest.param({"a": {"a": {"a": 1}}}, {"target": "$..a", "remove": True}, {}, id="parent and child removed"),
        pytest.param({"a": {"x": 1}, "b": {"y": 2}}, {"target": "$.b", "copy": "$.a"}, {"a": {"x": 1}, "b": {"y": 2, "x": 1}}, id="copied"),
        pytest.param({"a": {"b": {}}}, {"target": "$.a.b", "copy": "$.a"}, {"a": {"b": {"b": {}}}}, id="copied into itself"),
        pytest.param({"a": 1}, {"target": "$.a", "remove": True, "update": 2}, {}, id="removal wins over update"),
        pytest.param({"a": 1}, {"target": "$.a", "remove": False, "update": 2}, {"a": 2}, id="remove false is no removal"),
    ],
)
def test_an_action_does_what_the_specification_says(before: dict[str, Any], action: dict[str, Any], after: dict[str, Any]) -> None:
    root, findings = changed(action, of=deepcopy(before))

    assert root == after
    assert [finding.code for finding in findings] == (["overlay-matches-nothing"] if before == after else [])


def test_actions_apply_in_order_each_on_what_the_one_before_left() -> None:
    root, findings = changed(
        {"target": "$.paths.*.get", "update": {"x-mcp": {"enabled": True}}},
        {"target": "$.paths['/pets'].get.parameters[?@.name == 'dummy']", "remove": True},
        {"target": "$.paths.*.get.tags[?@ == 'dummy']", "remove": True},
        {"target": "$.paths.*[?@['x-mcp'].enabled == true].summary", "update": "Read"},
        {"target": "$.paths['/pets'].post", "remove": True},
    )

    assert (root, findings) == (
        {
            "info": {"title": "Pets", "version": "1"},
            "paths": {
                "/pets": {
                    "get": {"summary": "Read", "tags": ["a"], "parameters": [{"name": "q"}, {"name": "x"}], "x-mcp": {"enabled": True}}
                },
                "/pets/{id}": {"get": {"summary": "Read", "x-mcp": {"enabled": True}}},
            },
        },
        [],
    )


def test_what_is_inserted_in_many_places_is_not_shared_between_them() -> None:
    root, _ = changed({"target": "$.paths.*.get", "update": {"x-mcp": {"tags": []}}})

    root["paths"]["/pets"]["get"]["x-mcp"]["tags"].append("mine")

    assert root["paths"]["/pets/{id}"]["get"]["x-mcp"] == {"tags": []}


@pytest.mark.parametrize(
    ("action", "pointer", "says"),
    [
        ({"update": {}}, "", "no target"),
        ("remove everything", "", "no target"),
        ({"target": "$.paths[", "update": {}}, "", "line 1"),
        ({"target": "$.info", "update": {}, "copy": "$.paths"}, "", "exactly one"),
        ({"target": "$.info"}, "", "exactly one"),
        ({"target": "$.info", "copy": "$.paths.*"}, "", "selects 2"),
        ({"target": "$", "remove": True}, "", "cannot be removed"),
        ({"target": "$.info", "update": [1]}, "/info", "only an object"),
        ({"target": "$.info.title", "update": {"a": 1}}, "/info/title", "only a primitive"),
        (
            {"target": "$.paths['/pets']", "update": {"get": {"summary": "new", "tags": "x"}}},
            "/paths/~1pets",
            "/get/tags is of another kind",
        ),
    ],
)
def test_an_action_that_cannot_be_carried_out_is_told_and_the_others_apply(action: Any, pointer: str, says: str) -> None:
    root, findings = changed(action, {"target": "$.info", "update": {"x-last": True}})

    [finding] = findings
    assert (finding.level, finding.code, finding.pointer) == ("warning", "overlay-action-failed", pointer)
    assert says in finding.message
    assert root == a_description() | {"info": {"title": "Pets", "version": "1", "x-last": True}}


@pytest.mark.parametrize("document", [None, [], {"overlay": "1.0.0"}, {"actions": {}}])
def test_what_is_no_overlay_changes_nothing(document: Any) -> None:
    root = a_description()

    findings = overlay.apply(root, document)

    assert [finding.code for finding in findings] == ["overlay-unreadable"]
    assert root == a_description()


def test_a_wildcard_over_ten_thousand_operations_is_fast() -> None:
    root: dict[str, Any] = {
        "paths": {f"/p{n}": {"get": {"responses": {str(code): {"description": "x"} for code in range(200, 220)}}} for n in range(10_000)}
    }

    with within(1):
        changed({"target": "$.paths.*.*", "update": {"x-mcp": {"enabled": True}}}, of=root)

    assert all(item["get"]["x-mcp"] == {"enabled": True} for item in root["paths"].values())
