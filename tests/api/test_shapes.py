"""How long a description may get where a provider limits it."""

from __future__ import annotations

import pytest

from toolgate.api.shapes import anthropic, mcp, openai, shortened
from toolgate.testing import a_tool


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("x" * 1024, "x" * 1024),
        ("x" * 1025, "x" * 1023 + "…"),
        ("a" * 600 + ". " + "b" * 600, "a" * 600 + "."),
        ("a. " + "b" * 1100, "a. " + "b" * 1020 + "…"),
    ],
    ids=["fits", "one too many", "a sentence", "an early sentence"],
)
def test_a_description_is_cut_where_a_sentence_ends(text: str, short: str) -> None:
    assert shortened(text) == short


def test_alternatives_at_the_top_are_told_to_providers_in_words() -> None:
    ways = [{"properties": {"name": {"type": "string"}}, "required": ["name"]}, {"required": ["id"]}]
    schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "oneOf": ways}
    words = {
        "type": "object",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
        "description": 'Exactly one of these has to be given: [["name"], ["id"]]',
    }

    tool = a_tool(schema=schema)

    assert anthropic(tool)["input_schema"] == openai(tool)["function"]["parameters"] == words
    assert mcp(tool)["inputSchema"] == schema
