"""`x-mcp`, what a description says to tool makers, and Speakeasy's extension read into the same words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HINTS = {"readOnlyHint": "readOnly", "destructiveHint": "destructive", "idempotentHint": "idempotent", "openWorldHint": "openWorld"}


def merged(*levels: Mapping[str, Any]) -> dict[str, Any]:
    """The extensions of root, path item and operation as one mapping, the nearer over the farther."""
    whole: dict[str, Any] = {}
    for level in levels:
        for said in (_speakeasy(level.get("x-speakeasy-mcp")), _mcp(level.get("x-mcp"))):
            annotations = {**_mapping(whole.get("annotations")), **_mapping(said.get("annotations"))}
            whole |= said
            if annotations:
                whole["annotations"] = annotations
    return whole


def _mcp(said: Any) -> dict[str, Any]:
    """`true` and `false` are short for `{enabled: …}`."""
    return {"enabled": said} if isinstance(said, bool) else dict(_mapping(said))


def _speakeasy(said: Any) -> dict[str, Any]:
    words = _mapping(said)
    found: dict[str, Any] = {key: words[key] for key in ("name", "title", "description") if key in words}
    if isinstance(words.get("disabled"), bool):
        found["enabled"] = not words["disabled"]
    if isinstance(words.get("scopes"), list):
        found["tags"] = words["scopes"]
    if annotations := {word: words[hint] for hint, word in HINTS.items() if hint in words}:
        found["annotations"] = annotations
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
