"""Between our nouns and MCP's: tools as clients see them, outcomes as results that every era can carry.

What old clients cannot take is left out rather than sent: a value that is no object is no `structuredContent` for
them (it fails their whole call), and a sound before 2025-03-26 is a resource.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any

import mcp_types as types
import orjson
from mcp_types import methods
from mcp_types.version import is_version_at_least
from pydantic import TypeAdapter, ValidationError

from toolgate.audit.line import whole
from toolgate.calls import UNSET, Binary, Content, Outcome, Passed, Problem, Text, Tool
from toolgate.gateway.discover import effects
from toolgate.money import Micros
from toolgate.settings import problems_of

BLOCK: TypeAdapter[types.ContentBlock] = TypeAdapter(types.ContentBlock)
SINCE: Mapping[Any, str] = {
    **dict.fromkeys(("text", "image", "resource"), "2024-11-05"),
    "audio": "2025-03-26",
    "resource_link": "2025-06-18",
}
"""The first version that knows a type of block."""
META = "toolgate"
"""The key of what we say to programs, in `_meta`."""
NEWEST = "2026-07-28"
ONLY_TEXTS = frozenset({Text})
COMPLETE = b',"resultType":"complete"'


def definition(tool: Tool, version: str = NEWEST) -> types.Tool:
    """The tool as clients of `version` list it."""
    told = effects(tool)
    passed = dict(tool.passed)
    output = passed.get("outputSchema")
    if output is not None and output.get("type") != "object" and not is_version_at_least(version, NEWEST):
        del passed["outputSchema"]  # before, only objects could be structured
    listed = types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema,
        annotations=types.ToolAnnotations(
            read_only_hint=told.read_only,
            destructive_hint=told.destructive,
            idempotent_hint=told.idempotent,
            open_world_hint=told.open_world,
        ),
    )
    return types.Tool.model_validate({**listed.model_dump(by_alias=True, exclude_none=True), **passed}) if passed else listed


def misfit(tool: types.Tool, version: str) -> str | None:
    """Why a list with `tool` in it could not be sent to a client of `version`; None: it can."""
    page = types.ListToolsResult(tools=[tool], ttl_ms=0, cache_scope="private")
    try:
        methods.serialize_server_result("tools/list", version, page.model_dump(by_alias=True, mode="json", exclude_none=True))
    except ValidationError as error:
        return problems_of(error, 3)
    return None


def result(outcome: Outcome, version: str) -> types.CallToolResult:
    """`outcome` as the result of `tools/call`, in terms that a client of `version` understands."""
    content = [_block(piece, version) for piece in outcome.content]
    if outcome.problem is not None:
        return types.CallToolResult(content=[_text(advice(outcome.problem)), *content], is_error=True, _meta=_meta(outcome))
    structured = outcome.structured
    if not content and structured is not UNSET:
        content = [_text(whole(structured).decode())]
    return types.CallToolResult(
        content=content,
        structured_content=structured if _carried(structured, version) else None,
        _meta=_meta(outcome),
    )


def wire(outcome: Outcome, stamp: Mapping[str, Any], version: str = NEWEST) -> bytes:
    """`result` in JSON, as the SDK would send it to a client of `version`.

    Args:
        stamp: what `_meta` of every result says of this server.

    Raises:
        ValidationError: it cannot be sent.
    """
    if not outcome.passed and ONLY_TEXTS.issuperset(map(type, outcome.content)):
        try:
            return _texts(outcome, stamp, version)
        except TypeError:  # a lone surrogate, a number over 64 bits
            pass
    return dumped(shaped(result(outcome, version), version), stamp)


def shaped(answer: types.CallToolResult | types.InputRequiredResult, version: str = NEWEST) -> Mapping[str, Any]:
    """`answer` as a client of `version` takes it. Raises ValidationError when it cannot be sent."""
    return methods.serialize_server_result("tools/call", version, answer.model_dump(by_alias=True, mode="json", exclude_none=True))


def dumped(shape: Mapping[str, Any], stamp: Mapping[str, Any]) -> bytes:
    """In JSON, with what `_meta` of every result says."""
    meta = {**shape.get("_meta", {}), **stamp}
    return json.dumps({**shape, "_meta": meta} if meta else shape, separators=(",", ":")).encode()


def _texts(outcome: Outcome, stamp: Mapping[str, Any], version: str) -> bytes:
    """A result whose content is text. Raises TypeError for what orjson does not write."""
    problem, structured, carried = outcome.problem, outcome.structured, b""
    texts = [piece.text for piece in outcome.content if isinstance(piece, Text)]
    if problem is not None:
        texts.insert(0, advice(problem))
    elif structured is not UNSET:
        value = orjson.dumps(structured)
        texts = texts or [value.decode()]
        if structured is not None and _carried(structured, version):
            carried = b',"structuredContent":' + value
    said = {**(_meta(outcome) or {}), **stamp}
    meta = b',"_meta":' + orjson.dumps(said) if said else b""
    content = orjson.dumps([{"type": "text", "text": text} for text in texts])
    failed = b"false" if problem is None else b"true"
    return b'{"isError":%b%b%b%b,"content":%b}' % (failed, COMPLETE if version == NEWEST else b"", meta, carried, content)


def advice(problem: Problem) -> str:
    """What a model is told of a problem, with when to come back where waiting helps."""
    if problem.retry_after is None or "again in" in problem.message:
        return problem.message
    return f"{problem.message.rstrip('.')}. Try again in {problem.retry_after:g} s."


def _carried(structured: Any, version: str) -> bool:
    if structured is UNSET:
        return False
    return version == NEWEST or (is_version_at_least(version, "2025-06-18") and isinstance(structured, Mapping))


def _meta(outcome: Outcome) -> dict[str, Any] | None:
    said = dict(outcome.meta)
    if outcome.problem is not None:
        said |= {"code": outcome.problem.code, **outcome.problem.details}
        if outcome.problem.retry_after is not None:
            said["retry_after"] = outcome.problem.retry_after
    if outcome.cost:
        said["cost"] = _dollars(outcome.cost)
    if outcome.replayed:
        said["replayed"] = True
    every = {**outcome.passed, META: said} if said else dict(outcome.passed)
    return every or None


@lru_cache(maxsize=256)
def _dollars(cost: Micros) -> str:
    return f"{Decimal(cost) / 1_000_000:f}"


def _text(text: str) -> types.ContentBlock:
    return types.TextContent(type="text", text=text)


def _block(piece: Content, version: str) -> types.ContentBlock:
    if isinstance(piece, Passed):
        return _passed(piece, version)
    if isinstance(piece, Text):
        return _text(piece.text)
    data, media_type = b64encode(piece.data).decode(), piece.media_type.partition(";")[0].strip().lower()
    if media_type.startswith("image/"):
        return types.ImageContent(type="image", data=data, mime_type=media_type)
    if media_type.startswith("audio/") and is_version_at_least(version, "2025-03-26"):
        return types.AudioContent(type="audio", data=data, mime_type=media_type)
    return _resource(piece, data)


def _passed(piece: Passed, version: str) -> types.ContentBlock:
    """The block as it came, or its words where the client knows no such block: it would cost it the whole result."""
    if is_version_at_least(version, SINCE.get(piece.block.get("type"), NEWEST)):
        with suppress(ValidationError):
            return BLOCK.validate_python(dict(piece.block))
    return _text(piece.text)


def _resource(piece: Binary, data: str) -> types.ContentBlock:
    blob = types.BlobResourceContents(uri=piece.uri, mime_type=piece.media_type, blob=data)
    return types.EmbeddedResource(type="resource", resource=blob)
