"""The description of our own service is a contract: valid, complete, and its examples obey it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from toolgate import documents
from toolgate.integration import read_integration
from toolgate.internal.service import SERVICES

SPECS = Path(__file__).resolve().parents[2] / "tool-specs"
FOLDER = SPECS / "internal"
METHODS = ("get", "put", "post", "patch", "delete")

OPERATIONS = {
    "create_issues": "POST /v1/issues:batch",
    "update_issue": "POST /v1/issues:update",
    "list_issues": "GET /v1/issues",
    "create_pull_request": "POST /v1/pull-requests",
    "review_pull_request": "POST /v1/pull-requests:review",
    "create_workflow": "POST /v1/actions/workflows",
    "deploy_preview": "POST /v1/actions/previews",
}


OTHERS = {
    "execute_code": "POST /v1/code:execute",
    "run_tests": "POST /v1/tests:run",
    "web_search": "POST /v1/web:search",
    "retrieve_context": "POST /v1/documents:retrieve",
    "run_workflow": "POST /v1/workflows:run",
    "list_workflows": "POST /v1/workflows:list",
    "submit_job": "POST /v1/jobs:submit",
    "get_job": "POST /v1/jobs:get",
    "cancel_job": "POST /v1/jobs:cancel",
    "usage_report": "POST /v1/usage:report",
    "analyze_code": "POST /v1/code:analyze",
    "generate_tests": "POST /v1/tests:generate",
    "refactor_code": "POST /v1/code:refactor",
}
"""Not about one repository."""


@cache
def document(name: str = "internal") -> Mapping[str, Any]:
    loaded: Mapping[str, Any] = documents.parse((SPECS / name / "openapi.yaml").read_bytes(), name=f"{name}/openapi.yaml")
    return loaded


def operations(name: str = "internal") -> dict[str, tuple[str, Mapping[str, Any]]]:
    """`METHOD /path` and the operation, by operationId."""
    return {
        item[method]["operationId"]: (f"{method.upper()} {path}", item[method])
        for path, item in document(name)["paths"].items()
        for method in METHODS
        if method in item
    }


def json_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    media: Mapping[str, Any] = content["content"]["application/json"]
    return media


def validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """For a schema of the description, whose references lead into the description."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]})


def walk(node: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, Mapping):
        yield node
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from walk(child)


def refused(name: str, **changes: Any) -> bool:
    """Whether the operation's example request, so changed, is no valid request any more."""
    media = json_of(operations()[name][1]["requestBody"])
    return not validator(media["schema"]).is_valid({**media["example"], **changes})


def test_tools_are_described_under_names_of_their_own() -> None:
    integration = read_integration(FOLDER, {})

    assert {name: where for name, (where, _) in operations().items()} == OPERATIONS | OTHERS
    assert all(len(integration.tool_prefix + name) <= 48 for name in OPERATIONS | OTHERS)
    assert (integration.tool_prefix, integration.expose) == ("internal_", "list")


def test_the_service_is_in_this_process_and_needs_no_credential() -> None:
    integration = read_integration(FOLDER, {})

    assert (integration.asgi, integration.base_url, integration.servers) == ("internal", "http://internal.toolgate", ())
    assert [server["url"] for server in document()["servers"]] == [integration.base_url]
    assert integration.auth.type == "none"
    assert "securitySchemes" not in document()["components"]


def test_every_other_tool_says_what_it_does_to_the_world_and_how_long_it_takes() -> None:
    told = {name: operations()[name][1]["x-mcp"] for name in OTHERS}

    assert {name for name, said in told.items() if not said["readOnly"]} == {
        "execute_code", "run_tests", "run_workflow", "submit_job", "cancel_job",
    }  # fmt: skip
    assert all(re.fullmatch(r"\d+s", said["timeout"]) for said in told.values())
    assert {name for name, said in told.items() if "feature:code_execution" in said.get("tags", ())} == {"execute_code", "run_tests"}


def test_every_tool_of_ours_is_served() -> None:
    assert {f"POST {path}" for path in SERVICES} == set(OTHERS.values())


def test_reading_reads_and_every_write_only_adds_or_may_be_repeated() -> None:
    assert {name: node["x-mcp"] for name, (_, node) in operations().items() if name in OPERATIONS} == {
        "create_issues": {"destructive": False, "idempotent": True},
        "update_issue": {"idempotent": True},
        "list_issues": {"read_only": True},
        "create_pull_request": {"destructive": False, "idempotent": True},
        "review_pull_request": {"destructive": False, "idempotent": True},
        "create_workflow": {"destructive": False, "idempotent": True},
        "deploy_preview": {"destructive": True, "idempotent": False, "timeout": "300s"},
    }


def test_every_operation_is_made_of_github_tools_that_exist() -> None:
    prefix = read_integration(SPECS / "github", {}).tool_prefix
    known = {f"{prefix}{name}" for name in operations("github")}

    made = [operations()[name][1]["x-calls"] for name in OPERATIONS]
    assert {tool for calls in made for tool in calls} - known == set()
    assert all(len(calls) == len(set(calls)) > 0 for calls in made)


def test_reading_calls_nothing_that_writes() -> None:
    methods = {f"github_{name}": where.split()[0] for name, (where, _) in operations("github").items()}

    assert {methods[tool] for tool in operations()["list_issues"][1]["x-calls"]} == {"GET"}


def test_every_operation_says_in_at_most_400_characters_what_it_is_for() -> None:
    for name, (_, node) in operations().items():
        assert 10 <= len(node["summary"]) <= 80, name
        assert 20 <= len(node["description"]) <= 400, name


def test_a_tool_named_in_a_sentence_exists() -> None:
    sentences = [node[key] for node in walk(document()) for key in ("description", "summary") if isinstance(node.get(key), str)]

    named = {word for text in sentences for word in re.findall(r"\bgithub_\w+", text)}

    assert named
    assert named <= {f"github_{name}" for name in operations("github")}


def test_every_parameter_and_every_property_that_is_sent_is_described() -> None:
    silent = [each["name"] for _, node in operations().values() for each in node.get("parameters", ()) if not each.get("description")]
    silent += [
        f"{name} {key}"
        for name, (_, node) in operations().items()
        if "requestBody" in node
        for key, value in sent_properties(json_of(node["requestBody"])["schema"])
        if not value.get("description")
    ]

    assert silent == []


def sent_properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    schema = followed(schema)
    for name, value in schema.get("properties", {}).items():
        yield name, followed(value)
        yield from sent_properties(value)
    if "items" in schema:
        yield from sent_properties(schema["items"])


def followed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    named = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return {**named, **schema}


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    used = {node["$ref"] for node in walk(document()) if "$ref" in node}

    assert used == {f"#/components/{kind}/{name}" for kind, named in document()["components"].items() for name in named}


def test_objects_are_closed_so_that_a_misspelt_field_is_refused() -> None:
    schemas = [node for node in walk(document()["components"]["schemas"]) if node.get("type") == "object"]

    assert len(schemas) > 12
    assert [
        node for node in schemas if node.get("additionalProperties") is not False and node.get("additionalProperties") is not True
    ] == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_example_request_and_answer_obey_their_schemas(name: str) -> None:
    node = operations()[name][1]
    examples = [json_of(node["responses"]["200"])] + ([json_of(node["requestBody"])] if "requestBody" in node else [])

    assert [list(validator(media["schema"]).iter_errors(media["example"])) for media in examples] == [[]] * len(examples)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_failure_is_told_as_a_problem(name: str) -> None:
    answers = operations()[name][1]["responses"]
    problems = {
        status: document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        for status, answer in answers.items()
        if status != "200"
    }

    assert set(problems) in ({"403", "404", "422", "502"}, {"403", "404", "409", "422", "502"})
    assert {json_of(answer)["schema"]["$ref"] for answer in problems.values()} == {"#/components/schemas/Problem"}


def test_a_task_list_needs_names_and_stays_within_bounds() -> None:
    one = {"key": "form", "title": "Build it"}

    assert not refused("create_issues", issues=[one], dry_run=True)
    assert not refused("create_issues", issues=[{**one, "depends_on": ["api", "#7"], "related": ["#8"], "parent": "#1"}])
    assert refused("create_issues", issues=[])
    assert refused("create_issues", issues=[one] * 51)
    assert refused("create_issues", issues=[{"title": "No key"}])
    assert refused("create_issues", issues=[{"key": "form"}])
    assert refused("create_issues", issues=[{**one, "key": "two words"}])
    assert refused("create_issues", issues=[{**one, "key": "#7"}])
    assert refused("create_issues", issues=[{**one, "title": "two\nlines"}])
    assert refused("create_issues", issues=[{**one, "depends_on": ["#0"]}])
    assert refused("create_issues", issues=[{**one, "labels": ["a,b"]}])
    assert refused("create_issues", issues=[{**one, "lables": ["typo"]}])
    assert refused("create_issues", batch="--> injected")


def test_owner_and_repository_are_names_and_never_paths() -> None:
    for name in ("create_issues", "update_issue", "create_pull_request", "review_pull_request"):
        assert refused(name, owner="ada/engine")
        assert refused(name, owner="..")
        assert refused(name, repo="engine/issues")
        assert refused(name, repo="")
        assert refused(name, repo="..")
        assert not refused(name, repo=".github")


def test_a_review_has_one_of_three_verdicts_and_lines_that_exist() -> None:
    remark = {"path": "a.py", "line": 1, "body": "Why?"}

    assert not refused("review_pull_request", comments=[{**remark, "side": "old"}])
    assert refused("review_pull_request", verdict="merge")
    assert refused("review_pull_request", comments=[{**remark, "line": 0}])
    assert refused("review_pull_request", comments=[{**remark, "side": "LEFT"}])
    assert refused("review_pull_request", expected_head="main")


def test_a_file_is_written_or_deleted_and_never_outside_the_repository() -> None:
    assert not refused("create_pull_request", files=[{"path": "a.py", "content": ""}, {"path": "b.py", "content": None}])
    assert refused("create_pull_request", files=[])
    assert refused("create_pull_request", files=[{"path": "a.py"}])
    for outside in ("/etc/passwd", "..", "a/../../b", "./a", "a//b", "a/", "a/."):
        assert refused("create_pull_request", files=[{"path": outside, "content": ""}]), outside
    for inside in ("a", ".github/workflows/ci.yml", "docs/..well", "...", "a b/ü.txt"):
        assert not refused("create_pull_request", files=[{"path": inside, "content": ""}]), inside
