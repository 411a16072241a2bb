"""Outcomes and tools in MCP's terms; expected values are from the schema of each protocol version."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import methods

from toolgate.calls import UNSET, Annotations, Binary, Outcome, Passed, Problem, Text, Tool
from toolgate.catalog import Catalog
from toolgate.gateway.discover import discovery
from toolgate.gateway.search import Search
from toolgate.server.convert import definition, misfit, result, wire
from toolgate.testing import a_tool

VERSIONS = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
OLD, NEW = "2025-11-25", "2026-07-28"


def on_the_wire(outcome: Outcome, version: str) -> dict[str, Any]:
    """What a client of `version` receives: the SDK's own check of the result against that version's schema."""
    dumped = result(outcome, version).model_dump(by_alias=True, mode="json", exclude_none=True)
    sent = methods.serialize_server_result("tools/call", version, dumped)
    sent.pop("resultType", None)
    return sent


@pytest.mark.parametrize(
    ("structured", "carried_by"),
    [
        ({"a": None}, ["2025-06-18", "2025-11-25", "2026-07-28"]),
        ({}, ["2025-06-18", "2025-11-25", "2026-07-28"]),
        ([1, {"a": 2}], ["2026-07-28"]),
        ("text", ["2026-07-28"]),
        (7, ["2026-07-28"]),
        (False, ["2026-07-28"]),
        (None, []),  # the specification allows it; the SDK drops it, so the text has to say it
        (UNSET, []),
    ],
)
def test_a_structured_answer_goes_to_those_who_can_take_it(structured: Any, carried_by: list[str]) -> None:
    outcome = Outcome(content=(Text("said"),), structured=structured)

    sent = {version: on_the_wire(outcome, version) for version in VERSIONS}

    assert {version: answer.get("structuredContent", UNSET) for version, answer in sent.items()} == {
        version: structured if version in carried_by else UNSET for version in VERSIONS
    }
    assert all(answer["content"] == [{"type": "text", "text": "said"}] for answer in sent.values())


@pytest.mark.parametrize("version", VERSIONS)
def test_a_structured_answer_without_words_is_put_into_text_for_everybody(version: str) -> None:
    assert on_the_wire(Outcome(structured=[None, {"a": 1}]), version)["content"] == [{"type": "text", "text": '[null,{"a":1}]'}]


@pytest.mark.parametrize(
    ("media_type", "version", "block"),
    [
        ("image/png", "2024-11-05", {"type": "image", "mimeType": "image/png"}),
        ("IMAGE/SVG+xml; charset=utf-8", NEW, {"type": "image", "mimeType": "image/svg+xml"}),
        ("audio/wav", "2025-03-26", {"type": "audio", "mimeType": "audio/wav"}),
        ("audio/wav", NEW, {"type": "audio", "mimeType": "audio/wav"}),
    ],
)
def test_pictures_and_sounds_are_blocks_of_their_own(media_type: str, version: str, block: dict[str, str]) -> None:
    sent = on_the_wire(Outcome(content=(Binary(b"\x00\xff", media_type),)), version)

    assert sent["content"] == [{**block, "data": b64encode(b"\x00\xff").decode()}]


@pytest.mark.parametrize(("media_type", "version"), [("application/pdf", OLD), ("application/pdf", NEW), ("audio/wav", "2024-11-05")])
def test_other_bytes_are_an_embedded_resource(media_type: str, version: str) -> None:
    sent = on_the_wire(Outcome(content=(Binary(b"\x00\xff", media_type, "toolgate:report.pdf"),)), version)

    assert sent["content"] == [
        {"type": "resource", "resource": {"uri": "toolgate:report.pdf", "mimeType": media_type, "blob": b64encode(b"\x00\xff").decode()}}
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_problem_is_an_error_that_a_model_can_act_on(version: str) -> None:
    problem = Problem("upstream_failed", "GitHub answered 503.", retry_after=15.0, details={"status": 503})
    outcome = Outcome(content=(Text("maintenance"),), structured={"never": "sent"}, problem=problem, meta={"next": {"page": 2}})

    assert on_the_wire(outcome, version) == {
        "content": [{"type": "text", "text": "GitHub answered 503. Try again in 15 s."}, {"type": "text", "text": "maintenance"}],
        "isError": True,
        "_meta": {"toolgate": {"next": {"page": 2}, "code": "upstream_failed", "status": 503, "retry_after": 15.0}},
    }


def test_a_sentence_that_says_when_to_come_back_is_not_repeated() -> None:
    problem = Problem("limit_reached", "60 calls are used up; try again in 15 s", retry_after=15.0)

    assert on_the_wire(Outcome(problem=problem), NEW)["content"] == [{"type": "text", "text": "60 calls are used up; try again in 15 s"}]


def test_cost_paging_and_replay_are_told_to_programs() -> None:
    outcome = Outcome(content=(Text("x"),), cost=1_500, replayed=True, meta={"status": 200, "next": {"page": 2}})

    assert on_the_wire(outcome, NEW)["_meta"] == {
        "toolgate": {"status": 200, "next": {"page": 2}, "cost": "0.0015", "replayed": True},
    }


def test_a_tool_is_shown_with_its_slim_schema_and_what_it_does() -> None:
    tool = Tool(
        name="files_delete",
        title="Delete a file",
        description="Deletes it.",
        schema={"type": "object", "properties": {"path": {"type": "string", "minLength": 1}}},
        advertised={"type": "object", "properties": {"path": {"type": "string"}}},
        run=a_tool().run,
        annotations=Annotations(read_only=False, destructive=True, idempotent=True, open_world=False),
    )

    assert definition(tool).model_dump(by_alias=True, mode="json", exclude_none=True) == {
        "name": "files_delete",
        "title": "Delete a file",
        "description": "Deletes it.",
        "inputSchema": {"type": "object", "properties": {"path": {"type": "string"}}},
        "annotations": {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
    }


def test_a_schema_is_listed_as_the_tool_has_it() -> None:
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": {"tags": {"type": "array"}}}

    listed = definition(replace(a_tool(schema=schema), passed={"outputSchema": schema}))

    # Each list asks for each tool: what has to be done to a schema is done where the tool is made.
    assert (listed.input_schema, listed.output_schema) == (schema, schema)


def test_what_the_newest_draft_says_at_the_top_reaches_clients_as_it_was() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"id": {"type": "integer"}},
        "allOf": [{"anyOf": [{"required": ["id"]}, {"required": ["name"]}]}],
        "if": {"required": ["id"]},
        "then": {"properties": {"id": {"minimum": 1}}},
        "else": {"properties": {"name": {"type": "string"}}},
    }

    assert definition(a_tool(schema=schema)).input_schema == schema


def test_calling_any_tool_is_not_shown_as_reading() -> None:
    effects = {tool.name: definition(tool).annotations for tool in discovery(lambda _principal: {}, Search(lambda: Catalog(())))}

    assert {name: (hints.read_only_hint, hints.destructive_hint) for name, hints in effects.items() if hints} == {
        "search_tools": (True, False),
        "describe_tool": (True, False),
        "call_tool": (False, True),
    }


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("schema", [{"type": "array"}, {}, {"type": ["object", "null"]}, {"$ref": "#/$defs/x", "$defs": {"x": {}}}])
def test_a_schema_that_would_lose_a_client_its_list_is_recognised(schema: dict[str, Any], version: str) -> None:
    fits = misfit(definition(a_tool()), version)
    why = misfit(definition(a_tool(schema=schema)), version)

    assert (fits, why is not None and "inputSchema" in why) == (None, True)


WORDS = st.text(st.characters(exclude_categories=()), max_size=5)  # lone surrogates too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.just(UNSET),
    lambda inner: (
        st.lists(inner.filter(lambda value: value is not UNSET), max_size=3)
        | st.dictionaries(st.text(max_size=3), inner.filter(lambda value: value is not UNSET), max_size=3)
    ),
    max_leaves=6,
)
PIECES = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Binary, st.binary(max_size=4), st.sampled_from(["image/png", "audio/wav", "x/y"])),
    st.just(Passed("a link", {"type": "resource_link", "uri": "a:b", "name": "n"})),
)
OUTCOMES = st.builds(
    Outcome,
    content=st.lists(PIECES, max_size=3).map(tuple),
    structured=VALUES,
    problem=st.none() | st.builds(Problem, st.just("odd"), st.text(max_size=5), st.none() | st.just(2.0), st.just({"status": 500})),
    cost=st.sampled_from([0, 5]),
    meta=st.sampled_from([{}, {"next": None}]),
    passed=st.sampled_from([{}, {"vendor.example/a": 1}]),
)


@given(OUTCOMES, st.sampled_from(VERSIONS))
def test_what_is_written_at_once_says_what_the_sdk_would_send(outcome: Outcome, version: str) -> None:
    shape = methods.serialize_server_result(
        "tools/call", version, result(outcome, version).model_dump(by_alias=True, mode="json", exclude_none=True)
    )
    stamp = {"us": 1} if version == NEW else {}
    stamped = {**shape, "_meta": {**shape.get("_meta", {}), **stamp}} if stamp else shape

    assert json.loads(wire(outcome, stamp, version)) == json.loads(json.dumps(stamped))
