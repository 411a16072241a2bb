"""The official descriptions of GitHub and GSA as tools, checked by what shares no code with the converter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import orjson
import pytest

from toolgate.integration import Integration
from toolgate.openapi.convert import convert
from toolgate.openapi.definition import Defined, Definition
from toolgate.openapi.extract import extract
from toolgate.openapi.operation import Operation, Plan
from toolgate.openapi.read import Document, read_document
from toolgate.openapi.resolve import Resolver

pytestmark = pytest.mark.specs
CONSTRAINTS = frozenset(
    {
        *("enum", "format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minLength", "maxLength", "pattern"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties", "default", "multipleOf", "type"),
    }
)
LEVELS = 12  # deeper than any request of GitHub


@cache
def described(file: Path) -> tuple[Document, tuple[Operation, ...], Defined]:
    document = read_document(file.read_bytes(), name=file.name, fragment=True)
    resolver = Resolver(document.root)
    operations, _ = extract(document, resolver)
    return document, operations, convert(operations, resolver, Integration(name="official"), document.version)


@pytest.fixture
def github(real_specs: Path) -> tuple[Document, tuple[Operation, ...], Defined]:
    return described(real_specs / "github" / "api.github.com.json.gz")


def gsa_files(folder: Path) -> list[Path]:
    return sorted(file for file in (folder / "gsa").rglob("*") if file.suffix in {".json", ".yml", ".yaml"})


def test_every_operation_of_github_is_a_tool(github: tuple[Document, tuple[Operation, ...], Defined]) -> None:
    document, _, conversion = github
    verbs = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
    keys = {f"{verb.upper()} {path}" for path, item in document.root["paths"].items() for verb in item if verb in verbs}

    assert len(keys) == 1223
    assert {definition.key for definition in conversion.definitions} == keys
    assert [one for one in conversion.diagnostics if one.level == "error"] == []


def test_the_complete_list_of_github_is_short(github: tuple[Document, tuple[Operation, ...], Defined]) -> None:
    sizes = [len(orjson.dumps(told(definition))) for definition in github[2].definitions]

    assert sum(sizes) <= 2_000_000
    assert max(sizes) <= 16 * 1024


def test_nothing_that_github_restricts_is_lost(github: tuple[Document, tuple[Operation, ...], Defined]) -> None:
    document, _, conversion = github
    raw = Raw(document.root)
    lost = []
    for definition in conversion.definitions:
        method, _, path = definition.key.partition(" ")
        operation = document.root["paths"][path][method.lower()]
        shared = document.root["paths"][path].get("parameters", [])
        lost += [f"{definition.key} {problem}" for problem in raw.lost(operation, shared, definition.schema, definition.plan)]

    assert lost == []
    assert raw.not_asked == {"token"}  # of a package to restore: a credential
    assert raw.checked > 8000


def test_every_operation_of_gsa_is_a_tool(real_specs: Path) -> None:
    files = gsa_files(real_specs)
    found = {file: described(file) for file in files}

    assert len(files) == 37
    for file, (_, operations, conversion) in found.items():
        left_out = [one.message for one in conversion.diagnostics if one.level == "error"]
        assert (file, len(conversion.definitions), left_out) == (file, len(operations), [])
    assert sum(len(operations) for _, operations, _ in found.values()) == 301


def test_all_are_legal_everywhere(real_specs: Path) -> None:
    problems = []
    for file in [real_specs / "github" / "api.github.com.json.gz", *gsa_files(real_specs)]:
        definitions = described(file)[2].definitions
        names = [definition.name.lower() for definition in definitions]
        assert len(set(names)) == len(names)
        for definition in definitions:
            problems += [f"{file.name} {definition.key}: {problem}" for problem in illegal(definition)]

    assert problems == []


def illegal(definition: Definition) -> Iterator[str]:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,48}", definition.name):
        yield "its name"
    for schema in (definition.schema, definition.advertised):
        jsonschema_rs.Draft202012Validator(dict(schema), offline=True)
        if not jsonschema_rs.meta.is_valid({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}):
            yield "its schema"
        if (
            not schema.keys() <= {"type", "properties", "required", "additionalProperties", "$defs", "description"}
            or schema["type"] != "object"
        ):
            yield "its top level"
        if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) for key in schema["properties"]):
            yield "a key"
        for reference in references(schema):
            if not reference.startswith("#/$defs/") or reference.removeprefix("#/$defs/") not in schema.get("$defs", {}):
                yield f"dangling {reference}"
    if definition.schema["additionalProperties"] is not False:
        yield "unknown arguments"
    if len(definition.description) > 400 or not definition.description:
        yield "its description"


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for item in schema:
            yield from references(item)
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key == "$ref" and isinstance(item, str):
                yield item
            elif key not in {"enum", "const", "default", "examples"}:
                yield from references(item)


def told(definition: Definition) -> dict[str, Any]:
    """The definition as `tools/list` shows it."""
    hints = definition.annotations
    return {
        "name": definition.name,
        "title": definition.title,
        "description": definition.description,
        "inputSchema": definition.advertised,
        "annotations": {
            "readOnlyHint": hints.read_only,
            "destructiveHint": hints.destructive,
            "idempotentHint": hints.idempotent,
            "openWorldHint": hints.open_world,
        },
    }


class Raw:
    """Holds a tool's schema against the raw description, keyword by keyword."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self.checked = 0
        self.not_asked: set[str] = set()

    def target(self, node: Any) -> Any:
        while isinstance(node, dict) and "$ref" in node:
            found: Any = self.root
            for token in node["$ref"].removeprefix("#/").split("/"):
                found = found[token.replace("~1", "/").replace("~0", "~")]
            node = found
        return node

    def lost(self, operation: Mapping[str, Any], shared: list[Any], schema: Mapping[str, Any], plan: Plan) -> Iterator[str]:
        for node in [*shared, *operation.get("parameters", [])]:
            parameter = self.target(node)
            planned = next((each for each in plan.parameters if (each.name, each.location) == (parameter["name"], parameter["in"])), None)
            if planned is None:
                self.not_asked.add(parameter["name"])
                continue
            if planned.argument is None:
                if not parameter["required"] or self.target(parameter["schema"])["enum"] != [planned.constant]:
                    yield f"{planned.name} is bound"
                continue
            if (parameter.get("required") is True) != (planned.argument in schema.get("required", ())):
                yield f"{planned.name} required"
            yield from self.compare(parameter["schema"], schema["properties"][planned.argument], schema, planned.argument, LEVELS)
        body = self.target(operation.get("requestBody"))
        if body is not None:
            yield from self.body(body, schema, plan)

    def body(self, body: Mapping[str, Any], schema: Mapping[str, Any], plan: Plan) -> Iterator[str]:
        (planned,) = plan.bodies
        raw = self.target(body["content"][planned.media_type]["schema"])
        if planned.binary:
            return
        if planned.mode == "whole":
            if body.get("required", False) != (planned.argument in schema.get("required", ())):
                yield "body required"
            yield from self.compare(raw, schema["properties"][planned.argument or ""], schema, "body", LEVELS)
            return
        keys = {field.name: field.argument for field in planned.fields}
        for name, item in raw["properties"].items():
            if self.target(item).get("readOnly"):
                continue
            if name in planned.constants:
                if self.target(item)["enum"] != [planned.constants[name]] or name not in raw["required"]:
                    yield f"{name} is bound"
                continue
            if (name in raw.get("required", ())) != (keys[name] in schema.get("required", ())):
                yield f"{name} required"
            yield from self.compare(item, schema["properties"][keys[name] or ""], schema, name, LEVELS)

    def compare(self, raw: Any, ours: Any, whole: Mapping[str, Any], place: str, levels: int) -> Iterator[str]:
        """What `raw` says and `ours` does not."""
        raw = self.target(raw)
        if not isinstance(raw, dict) or levels == 0:
            return
        while "$ref" in ours:
            ours = {**whole["$defs"][ours["$ref"].removeprefix("#/$defs/")], **{key: value for key, value in ours.items() if key != "$ref"}}
        if raw.get("nullable") and ours.get("anyOf", [None])[-1] == {"type": "null"} and "anyOf" in ours:
            ours = {**ours["anyOf"][0], **{key: value for key, value in ours.items() if key != "anyOf"}}
        for key in CONSTRAINTS & raw.keys():
            self.checked += 1
            if not same(key, raw[key], ours.get(key)):
                yield f"{place}: {key}"
        kept = {name: item for name, item in raw.get("properties", {}).items() if not self.target(item).get("readOnly")}
        if set(raw.get("required", ())) & kept.keys() != set(ours.get("required", ())) & kept.keys():
            yield f"{place}: required"
        if raw.get("additionalProperties") is False and ours.get("additionalProperties") is not False:
            yield f"{place}: additionalProperties"
        for name, item in kept.items():
            yield from self.compare(item, ours["properties"][name], whole, f"{place}.{name}", levels - 1)
        for key in ("items", "additionalProperties", "not"):
            if isinstance(raw.get(key), dict):
                yield from self.compare(raw[key], ours[key], whole, f"{place}.{key}", levels - 1)
        if "oneOf" in raw and "oneOf" not in ours:  # alternatives of one type
            raw = {**raw, "anyOf": raw["oneOf"], "oneOf": ()}
        for key in ("allOf", "anyOf", "oneOf"):
            if len(raw.get(key, ())) != len(ours.get(key, ())):
                yield f"{place}: {key}"
            for one, other in zip(raw.get(key, ()), ours.get(key, ()), strict=False):
                yield from self.compare(one, other, whole, f"{place}.{key}", levels - 1)


def same(key: str, raw: Any, ours: Any) -> bool:
    """Whether the keyword says the same, null aside, which `nullable` adds in its own way."""
    if key == "type":
        return ours == raw or set(ours) == {raw, "null"}
    if key == "enum":
        return [value for value in ours or () if value is not None] == [value for value in raw if value is not None]
    return bool(ours == raw)
