"""The result of a server's tool becomes an outcome, without loss: what we have no word for is carried as it is."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error
from collections.abc import Mapping
from typing import Any

from toolgate.audit.line import whole
from toolgate.calls import UNSET, Binary, Content, Outcome, Passed, Problem, Text, changed
from toolgate.errors import ToolFailed, UpstreamFailed
from toolgate.upstream.messages import SERVER_INFO, meta

DICTS = frozenset({dict})
GOOD = Outcome()  # to make one from this costs a third of making it from nothing


def outcome(result: Mapping[str, Any], who: str, *, reads: bool) -> Outcome:
    """
    Args:
        reads: the tool only reads, so that a failure has done nothing.

    Raises:
        UpstreamFailed: it is no result of a tool.
    """
    blocks = result.get("content")
    if blocks is None:  # a Go server's empty list
        blocks = []
    if not isinstance(blocks, list) or not DICTS.issuperset(map(type, blocks)):
        raise UpstreamFailed(f"{who} answered with something that is no result of a tool")
    content = tuple(map(piece, blocks))
    structured = result.get("structuredContent", UNSET)
    # The stamp says who answers, and towards the caller that is us.
    passed = {key: value for key, value in meta(result).items() if key != SERVER_INFO}
    if result.get("isError") is not True:
        return changed(GOOD, content=content, structured=structured, passed=passed, effect="none" if reads else "done")
    first = content[0] if content and type(content[0]) is Text else None
    problem = Problem(ToolFailed.code, first.text if first else f"{who} says that it failed")
    return Outcome(content[1:] if first else content, structured, problem, passed=passed, effect="none" if reads else "unknown")


def piece(block: Mapping[str, Any]) -> Content:
    """A content block in our terms where nothing of it is lost, else as it is."""
    match block:
        case {"type": "text", "text": str(text)} if len(block) == 2:
            return Text(text)
        case {"type": "image" | "audio" as kind, "data": str(data), "mimeType": str(media_type)} if len(block) == 3:
            if media_type.startswith(f"{kind}/") and media_type == media_type.lower() and ";" not in media_type:
                try:
                    return Binary(b64decode(data, validate=True), media_type)
                except (Error, ValueError):
                    pass
    return Passed(_in_words(block), block)


def _in_words(block: Mapping[str, Any]) -> str:
    resource = block.get("resource")
    for text in (block.get("text"), resource.get("text") if isinstance(resource, dict) else None):
        if isinstance(text, str):
            return text
    return whole(block).decode()
