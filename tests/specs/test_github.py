"""The GitHub description that we wrote says of GitHub only what is so, in our own words."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from toolgate import documents
from toolgate.integration import Bearer, Selection, read_integration

FOLDER = Path(__file__).resolve().parents[2] / "tool-specs" / "github"
METHODS = ("get", "put", "post", "patch", "delete")
VERB = re.compile(
    "(add|cancel|compare|create|delete|dispatch|fork|get|list|mark|merge|remove|replace|request|rerun|search|submit|update|upload)_"
)
CHANGES_MORE_THAN_IT_ADDS = {"cancel_workflow_run", "dispatch_workflow", "rerun_workflow_run"}
"""POSTs that keep the destructive default: they stop work, or run whatever a workflow does."""

WIDER_THAN_THE_OFFICIAL_SCHEMA = {
    # The official sentence and example delete a file with null; the official schema forgot it.
    "update_gist body.files.*: null is not officially a type",
    # The official sentence asks for a range such as `>=2026-11-01`, which is no date-time.
    "list_workflow_runs query.created: format is None, officially date-time",
    # Labels are called `area/api`; the official description has no word for a slash that is sent encoded.
    "remove_issue_label path.name: allowReserved differs",
}


@dataclass(frozen=True)
class Endpoint:
    """One operation of a description, its references followed."""

    method: str
    path: str
    node: Mapping[str, Any]
    parameters: Mapping[tuple[str, str], Mapping[str, Any]]
    """By location and name."""
    servers: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    document: Mapping[str, Any]

    def follow(self, node: Any) -> Any:
        """`node`, or what its `$ref` points at with the keys beside it laid over."""
        while isinstance(node, Mapping) and "$ref" in node:
            target: Any = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node

    @cached_property
    def endpoints(self) -> Mapping[tuple[str, str], Endpoint]:
        return {
            (method, path): self._endpoint(method, path)
            for path, item in self.document["paths"].items()
            for method in METHODS
            if method in item
        }

    @cached_property
    def by_name(self) -> Mapping[str, Endpoint]:
        return {endpoint.node["operationId"]: endpoint for endpoint in self.endpoints.values()}

    def _endpoint(self, method: str, path: str) -> Endpoint:
        item = self.document["paths"][path]
        node = item[method]
        parameters = [self.follow(each) for each in (*item.get("parameters", ()), *node.get("parameters", ()))]
        servers = node.get("servers") or item.get("servers") or self.document["servers"]
        return Endpoint(
            method, path, node, {(each["in"], each["name"]): each for each in parameters}, tuple(server["url"] for server in servers)
        )

    def bodies(self, endpoint: Endpoint) -> Mapping[str, Any]:
        """Schemas of the request body by media type."""
        return {name: media["schema"] for name, media in self.follow(endpoint.node.get("requestBody", {})).get("content", {}).items()}

    def answers(self, endpoint: Endpoint) -> Mapping[str, Mapping[str, Any]]:
        return {status: self.follow(answer) for status, answer in endpoint.node["responses"].items()}

    def alternatives(self, schema: Any) -> list[dict[str, Any]]:
        """`schema` as schemas of one type each: OpenAPI 3.0's `nullable` and 3.1's type lists look alike."""
        schema = self.follow(schema)
        found = [each for key in ("oneOf", "anyOf", "allOf") for part in schema.get(key, ()) for each in self.alternatives(part)]
        types = schema.get("type", "object" if "properties" in schema else None)
        for kind in types if isinstance(types, list) else [types]:
            if kind == "null":
                found.append({"type": "null"})
            elif kind is not None and not (found and kind == "object" and "properties" not in schema):
                plain = {**schema, "type": kind}
                if "enum" in plain:
                    plain["enum"] = [value for value in plain["enum"] if value is not None]
                found.append(plain)
        if schema.get("nullable"):
            found.append({"type": "null"})
        return found or [dict(schema)]


@cache
def ours() -> Description:
    return Description(documents.parse((FOLDER / "openapi.yaml").read_bytes(), name="openapi.yaml"))


@pytest.fixture(scope="session")
def official(real_specs: Path) -> Description:
    return Description(orjson.loads(gzip.decompress((real_specs / "github" / "api.github.com.json.gz").read_bytes())))


def walk(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every mapping in `node`, itself first."""
    if isinstance(node, Mapping):
        yield node
    for child in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from walk(child)


def sentences(document: Mapping[str, Any]) -> Iterator[str]:
    """Everything written for a reader."""
    return (node[key] for node in walk(document) for key in ("description", "summary") if isinstance(node.get(key), str))


# The description alone.


def test_about_eighty_operations_have_names_of_their_own_that_fit() -> None:
    names = [endpoint.node["operationId"] for endpoint in ours().endpoints.values()]

    assert 75 <= len(names) <= 95
    assert [name for name, count in Counter(names).items() if count > 1] == []
    assert [name for name in names if not re.fullmatch(r"[a-z]+(_[a-z]+)+", name) or len(f"github_{name}") > 48] == []
    assert [name for name in names if not VERB.match(name)] == []


def test_the_integration_lists_exactly_25_of_them() -> None:
    integration = read_integration(FOLDER, {})

    assert isinstance(integration.expose, Selection)
    assert len(integration.expose.operations) == len(set(integration.expose.operations)) == 25
    assert set(integration.expose.operations) <= set(ours().by_name)
    assert integration.tool_prefix == "github_"


def test_the_integration_goes_only_where_the_operations_live() -> None:
    integration = read_integration(FOLDER, {})

    assert {url for endpoint in ours().endpoints.values() for url in endpoint.servers} == {integration.base_url, *integration.servers}


def test_without_a_token_the_integration_still_loads_and_with_one_it_is_kept_secret() -> None:
    with_token = read_integration(FOLDER, {"GITHUB_TOKEN": "ghp_example"})

    assert read_integration(FOLDER, {}).auth == Bearer(type="bearer", token=None)
    assert with_token.auth.type == "bearer"
    assert with_token.auth.token is not None
    assert with_token.auth.token.get_secret_value() == "ghp_example"
    assert "ghp_example" not in repr(with_token)


def test_every_operation_says_in_at_most_400_characters_what_it_is_for() -> None:
    texts = {name: (endpoint.node.get("summary", ""), endpoint.node.get("description", "")) for name, endpoint in ours().by_name.items()}

    assert [name for name, (summary, _) in texts.items() if not 10 <= len(summary) <= 80 or summary.endswith(".")] == []
    assert [name for name, (_, description) in texts.items() if not 20 <= len(description) <= 400 or not description.endswith(".")] == []


def test_every_parameter_and_every_property_that_is_sent_is_described() -> None:
    silent = [
        f"{name} {where[1]}"
        for name, endpoint in ours().by_name.items()
        for where, parameter in endpoint.parameters.items()
        if not 5 <= len(parameter.get("description", "")) <= 400
    ]
    silent += [
        f"{name} body.{key}"
        for name, endpoint in ours().by_name.items()
        for schema in ours().bodies(endpoint).values()
        for key, value in sent_properties(schema)
        if not 5 <= len(value.get("description", "")) <= 400
    ]

    assert silent == []


def sent_properties(schema: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    schema = ours().follow(schema)
    for name, value in schema.get("properties", {}).items():
        yield name, ours().follow(value)
        yield from sent_properties(value)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from sent_properties(schema[key])


def test_a_tool_named_in_a_sentence_exists() -> None:
    named = {
        word
        for text in sentences(ours().document)
        for word in re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", re.sub(r"`[^`]*`", " ", text))
        if VERB.match(word)
    }

    assert len(named) > 30
    assert named - set(ours().by_name) == set()


def test_the_placeholders_of_a_path_are_its_path_parameters_and_all_are_required() -> None:
    wrong = {
        name: endpoint.path
        for name, endpoint in ours().by_name.items()
        if set(re.findall(r"\{(\w+)\}", endpoint.path)) != {name for where, name in endpoint.parameters if where == "path"}
        or not all(each.get("required") for (where, _), each in endpoint.parameters.items() if where == "path")
    }

    assert wrong == {}


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    references = {node["$ref"] for node in walk(ours().document) if "$ref" in node}
    components = {
        f"#/components/{kind}/{name}"
        for kind, named in ours().document["components"].items()
        if kind != "securitySchemes"
        for name in named
    }

    assert references == components


def test_every_schema_is_valid_json_schema() -> None:
    document = ours().document
    schemas = [node["schema"] for node in walk(document) if "schema" in node] + list(document["components"]["schemas"].values())
    dialect = "https://json-schema.org/draft/2020-12/schema"

    assert len(schemas) > 200
    assert [schema for schema in schemas if not jsonschema_rs.meta.is_valid({"$schema": dialect, **schema})] == []


def test_an_operation_that_has_pages_declares_the_link_to_the_next_one_and_no_other_does() -> None:
    paged = {name for name, endpoint in ours().by_name.items() if ("query", "page") in endpoint.parameters}
    linked = {name for name, endpoint in ours().by_name.items() if "Link" in ours().answers(endpoint).get("200", {}).get("headers", {})}

    assert len(paged) > 30
    assert linked == paged


def test_every_tag_is_declared_and_used() -> None:
    assert {tag["name"] for tag in ours().document["tags"]} == {tag for each in ours().endpoints.values() for tag in each.node["tags"]}


def test_only_additions_are_declared_harmless() -> None:
    remarks = {name: endpoint.node.get("x-mcp", {}) for name, endpoint in ours().by_name.items()}
    posts = {name for name, endpoint in ours().by_name.items() if endpoint.method == "post"}

    assert {key for remark in remarks.values() for key in remark} <= {
        "read_only",
        "destructive",
        "idempotent",
        "open_world",
        "name",
        "title",
        "description",
    }
    assert {name for name in posts if remarks[name].get("destructive") is not False} == CHANGES_MORE_THAN_IT_ADDS
    assert {name for name, remark in remarks.items() if remark.get("destructive") is False} - posts == {
        "mark_notification_read",
        "update_pull_request_branch",
    }


# Against the official description.


def test_every_operation_exists_officially_at_the_same_server(official: Description) -> None:
    mine = ours().endpoints

    assert set(mine) - set(official.endpoints) == set()
    assert {key: each.servers for key, each in mine.items()} == {key: official.endpoints[key].servers for key in mine}
    assert [each.node["operationId"] for key, each in mine.items() if official.endpoints[key].node.get("deprecated")] == []


def test_parameters_and_bodies_fit_the_official_ones(official: Description) -> None:
    found = {fault for key, endpoint in ours().endpoints.items() for fault in request_faults(endpoint, official.endpoints[key], official)}

    assert found == WIDER_THAN_THE_OFFICIAL_SCHEMA


def request_faults(endpoint: Endpoint, real: Endpoint, official: Description) -> Iterator[str]:
    name = endpoint.node["operationId"]
    yield from (f"{name} lacks the required {missing}" for missing in required_parameters(real) - endpoint.parameters.keys())
    for key, parameter in endpoint.parameters.items():
        where = f"{name} {key[0]}.{key[1]}"
        if key not in real.parameters:
            yield f"{where} is unknown officially"
            continue
        theirs = real.parameters[key]
        for word in ("required", "x-multi-segment", "style", "explode", "allowReserved", "deprecated"):
            if parameter.get(word, False) != theirs.get(word, False):
                yield f"{where}: {word} differs"
        yield from schema_faults(where, parameter["schema"], with_bounds_of_prose(theirs, official), official)
    bodies, real_bodies = ours().bodies(endpoint), official.bodies(real)
    if bodies.keys() != real_bodies.keys():
        yield f"{name} body: media types differ"
        return
    if official.follow(real.node.get("requestBody", {})).get("required") and not endpoint.node["requestBody"].get("required"):
        yield f"{name} body is required officially"
    for media_type, schema in bodies.items():
        yield from schema_faults(f"{name} body", schema, real_bodies[media_type], official)


def required_parameters(endpoint: Endpoint) -> set[tuple[str, str]]:
    return {key for key, parameter in endpoint.parameters.items() if parameter.get("required")}


def with_bounds_of_prose(parameter: Mapping[str, Any], official: Description) -> Mapping[str, Any]:
    """The schema with the bounds that the official description gives in words only: "(max 100)", pages from 1."""
    schema: Mapping[str, Any] = official.follow(parameter["schema"])
    if parameter["name"] == "page":
        return {**schema, "minimum": 1}
    if parameter["name"] == "per_page" and (maximum := re.search(r"\(max (\d+)\)", parameter["description"])):
        return {**schema, "minimum": 1, "maximum": int(maximum[1])}
    return schema


def schema_faults(where: str, schema: Any, real: Any, official: Description) -> list[str]:
    """Why something that `schema` allows is not allowed officially; each of its types needs one official type to fit."""
    found: list[str] = []
    for one in ours().alternatives(schema):
        attempts = [list(misfits(where, one, other, official)) for other in official.alternatives(real)]
        fewest = min(attempts, key=len)
        found += fewest
    return found


def misfits(where: str, one: Mapping[str, Any], other: Mapping[str, Any], official: Description) -> Iterator[str]:
    if one.get("type") != other.get("type"):
        yield f"{where}: {one.get('type')} is not officially a type"
        return
    if "enum" in other and not set(one.get("enum", [object()])) <= set(other["enum"]):
        yield f"{where}: values outside {other['enum']}"
    for word in ("format", "default", "minimum", "maximum", "minItems", "maxItems", "minLength", "maxLength", "pattern", "maxProperties"):
        if one.get(word) != other.get(word):
            yield f"{where}: {word} is {one.get(word)}, officially {other.get(word)}"
    known = other.get("properties", {})
    yield from (f"{where}.{name} is required officially" for name in set(other.get("required", ())) - set(one.get("required", ())))
    for name, value in one.get("properties", {}).items():
        if name not in known:
            yield f"{where}.{name} is unknown officially"
        elif official.follow(known[name]).get("deprecated"):
            yield f"{where}.{name} is deprecated officially"
        else:
            yield from schema_faults(f"{where}.{name}", value, known[name], official)
    for word in ("items", "additionalProperties"):
        if isinstance(one.get(word), Mapping):
            yield from schema_faults(f"{where}.*", one[word], other.get(word, {}), official)


def test_answers_are_among_the_official_ones_and_name_official_fields(official: Description) -> None:
    found = {fault for key, endpoint in ours().endpoints.items() for fault in answer_faults(endpoint, official.endpoints[key], official)}

    assert found == set()


def answer_faults(endpoint: Endpoint, real: Endpoint, official: Description) -> Iterator[str]:
    name = endpoint.node["operationId"]
    answers, real_answers = ours().answers(endpoint), official.answers(real)
    yield from (f"{name} {status} is unknown officially" for status in answers.keys() - real_answers.keys())
    good = {status for status in real_answers if status < "300"}
    yield from (f"{name} lacks {status}" for status in good - answers.keys())
    for status in answers.keys() & real_answers.keys():
        if status > "400":
            continue
        answer, theirs = answers[status], real_answers[status]
        if "Link" in theirs.get("headers", {}) and "Link" not in answer.get("headers", {}):
            yield f"{name} {status}: Link is missing"
        if "application/json" in answer.get("content", {}):
            real_schema = theirs["content"]["application/json"]["schema"]
            yield from field_faults(f"{name} {status}", answer["content"]["application/json"]["schema"], real_schema, official)


def field_faults(where: str, schema: Any, real: Any, official: Description) -> Iterator[str]:
    """Which official answers our schema would not describe, and which of its fields do not exist."""
    mine, theirs = ours().alternatives(schema), official.alternatives(real)
    missing = {each.get("type") for each in theirs} - {each.get("type") for each in mine}
    yield from (f"{where}: may officially be {kind}" for kind in missing if kind is not None)
    fields = {name: value for each in theirs for name, value in each.get("properties", {}).items()}
    for one in mine:
        for name, value in one.get("properties", {}).items():
            if name in fields:
                yield from field_faults(f"{where}.{name}", value, fields[name], official)
            else:
                yield f"{where}.{name} is unknown officially"
        inner = [each["items"] for each in theirs if "items" in each]
        if "items" in one and inner:
            yield from field_faults(f"{where}.*", one["items"], {"anyOf": inner}, official)


def test_no_eight_words_in_a_row_are_theirs(official: Description) -> None:
    mine = {run: text for text in sentences(ours().document) for run in runs_of_eight(text)}

    copied = {" ".join(run): mine[run] for text in set(sentences(official.document)) for run in runs_of_eight(text) if run in mine}

    assert len(mine) > 1000
    assert copied == {}


def runs_of_eight(text: str) -> Iterator[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9_]+", text.lower())
    return zip(*(words[start:] for start in range(8)), strict=False)
