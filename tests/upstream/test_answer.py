"""Results of servers become outcomes and results again, without loss, for clients of every era."""

from __future__ import annotations

from typing import Any

import mcp_types as types
import pytest

from toolgate.calls import Binary, Passed, Problem, Text
from toolgate.errors import UpstreamFailed
from toolgate.server import convert
from toolgate.stores.outcome import dumps, loads
from toolgate.upstream.answer import outcome

BLOCKS: list[dict[str, Any]] = [
    {"type": "text", "text": "plain"},
    {"type": "text", "text": "with more", "annotations": {"audience": ["user"]}, "_meta": {"a": {"b": None}}},
    {"type": "image", "data": "AAEC", "mimeType": "image/png"},
    {"type": "image", "data": "AAEC", "mimeType": "image/PNG"},
    {"type": "audio", "data": "AAEC", "mimeType": "audio/wav"},
    {"type": "resource", "resource": {"uri": "test://a", "mimeType": "text/plain", "text": "inside"}},
    {"type": "resource", "resource": {"uri": "test://a", "mimeType": "image/png", "blob": "AAEC"}},
    {"type": "resource_link", "uri": "test://b", "name": "b", "description": "B"},
]


def sent(result: dict[str, Any], version: str = "2026-07-28") -> Any:
    """What a client of `version` gets of `result`."""
    return convert.result(outcome(result, "files", reads=True), version).model_dump(by_alias=True, exclude_none=True, mode="json")


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: str(block)[:40])
def test_a_block_comes_out_as_it_went_in(block: dict[str, Any]) -> None:
    expected = types.CallToolResult.model_validate({"content": [block]}).model_dump(by_alias=True, exclude_none=True, mode="json")

    assert sent({"content": [block]})["content"] == expected["content"]


def test_meta_and_structured_content_come_out_too_and_the_stamp_does_not() -> None:
    stamp = {"io.modelcontextprotocol/serverInfo": {"name": "theirs", "version": "1"}}
    result = {"content": [], "structuredContent": [1, {"a": None}], "_meta": {"theirs": {"x": None}, **stamp}}

    assert sent(result)["structuredContent"] == [1, {"a": None}]
    assert sent(result)["_meta"] == {"theirs": {"x": None}}


def test_a_block_that_nobody_knows_is_told_in_words_and_costs_no_other() -> None:
    result = {"content": [{"type": "hologram", "data": 1}, {"type": "text", "text": "plain"}]}

    for version in ("2024-11-05", "2025-11-25", "2026-07-28"):
        assert sent(result, version)["content"] == [
            {"type": "text", "text": '{"type":"hologram","data":1}'},
            {"type": "text", "text": "plain"},
        ]


def test_old_clients_get_new_blocks_in_words() -> None:
    link = {"type": "resource_link", "uri": "test://b", "name": "b"}

    assert sent({"content": [link]}, "2025-03-26")["content"][0]["type"] == "text"
    assert sent({"content": [link]}, "2025-06-18")["content"][0]["type"] == "resource_link"


def test_a_tool_that_says_it_failed_has_failed_with_its_own_words() -> None:
    result = {"content": [{"type": "text", "text": "no such file"}, {"type": "text", "text": "look elsewhere"}], "isError": True}

    ended = outcome(result, "files", reads=False)

    assert (ended.problem, ended.content, ended.effect) == (Problem("tool_failed", "no such file"), (Text("look elsewhere"),), "unknown")
    assert [block["text"] for block in sent(result)["content"]] == ["no such file", "look elsewhere"]
    assert sent(result)["isError"] is True


@pytest.mark.parametrize("bad", [{"content": "text"}, {"content": [1]}, {"content": {}}])
def test_what_is_no_result_is_the_servers_failure(bad: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailed, match="no result of a tool"):
        outcome(bad, "files", reads=True)


def test_what_is_kept_for_later_is_the_same_then() -> None:
    told = outcome({"content": BLOCKS, "structuredContent": {"a": 1}, "_meta": {"theirs": 1}}, "files", reads=True)

    kept = dumps(told)

    assert kept is not None
    assert [type(piece) for piece in loads(kept).content] == [type(piece) for piece in told.content]
    assert {Text, Passed, Binary} == {type(piece) for piece in told.content}
    assert convert.result(loads(kept), "2026-07-28") == convert.result(told, "2026-07-28")
