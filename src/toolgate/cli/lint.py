"""What a model or a client would stumble over in a tool. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import jsonschema_rs
import orjson

from toolgate.calls import Tool
from toolgate.cli.arguments import branches

NAME = re.compile(r"[A-Za-z0-9_-]{1,48}")
KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
LARGE = 16 * 1024  # bytes of a schema that a model reads before it chooses
LONG = 1024  # characters of a description; OpenAI's limit


@dataclass(frozen=True, slots=True)
class Finding:
    level: Literal["warning", "error"]
    """error: clients refuse the tool, or the whole list with it; warning: models use it badly."""
    tool: str
    code: str
    message: str


def look_over(tool: Tool) -> Iterator[Finding]:
    """What is wrong with `tool`, errors first."""
    yield from (Finding("error", tool.name, code, message) for code, message in _errors(tool))
    yield from (Finding("warning", tool.name, code, message) for code, message in _warnings(tool))


def _errors(tool: Tool) -> Iterator[tuple[str, str]]:
    if not NAME.fullmatch(tool.name):
        yield "name", "a name has 1 to 48 characters of A-Z, a-z, 0-9, _ and -"
    if not all(jsonschema_rs.meta.is_valid(schema) for schema in (tool.schema, tool.input_schema)):
        yield "schema", "the arguments' schema is not valid JSON Schema 2020-12"
        return
    schema = tool.input_schema
    if schema.get("type") != "object":
        yield "not-an-object", "the arguments' schema must have the type object"
    if combined := sorted({"oneOf", "anyOf", "allOf"} & schema.keys()):
        yield "combined", f"{combined[0]} at the top of the arguments' schema makes OpenAI and Anthropic refuse the whole list"
    for key in schema.get("properties", {}):
        if not KEY.fullmatch(key):
            yield "key", f"the argument {key!r} must have 1 to 64 characters of A-Z, a-z, 0-9, _ and -"


def _warnings(tool: Tool) -> Iterator[tuple[str, str]]:
    text = tool.description.strip()
    if not text or re.sub(r"\W|_", "", text).casefold() == re.sub(r"\W|_", "", tool.name).casefold():
        yield "undescribed", "nothing says what it does; an overlay can"
    if len(text) > LONG:
        yield "long", f"the description has {len(text)} characters; {LONG} are read everywhere"
    properties = tool.schema.get("properties", {})
    bare = [key for key, schema in properties.items() if not _described(schema, tool.schema)]
    if bare:
        yield "bare-arguments", f"nothing says what these mean: {', '.join(bare[:5])}{' …' if len(bare) > 5 else ''}"
    size = len(orjson.dumps(tool.input_schema))
    if size > LARGE:
        yield "large", f"the advertised schema has {size} bytes, more than {LARGE}"


def _described(schema: Any, root: dict[str, Any]) -> bool:
    return any("description" in branch or "enum" in branch or "const" in branch for branch in branches(schema, root))
