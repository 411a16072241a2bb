from __future__ import annotations

from toolgate.upstream.modern import marks, repeated

SCHEMA = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "at": {"type": "object", "properties": {"zone": {"type": "integer", "x-mcp-header": "Zone"}}},
        "word": {"type": "string"},
    },
}


def test_headers_repeat_the_arguments_that_a_schema_marks_and_no_others() -> None:
    marked = marks(SCHEMA)

    assert repeated(marked, {"region": "eu", "at": {"zone": 7}, "word": "w"}) == {"Mcp-Param-Region": "eu", "Mcp-Param-Zone": "7"}
    assert repeated(marked, {"word": "w"}) == {}
    assert repeated(marks({"type": "object"}), {"region": "eu"}) == {}
