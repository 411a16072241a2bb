"""What a call of an operation does to the world, by its verb, unless the description says better in `x-mcp`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from toolgate.calls import Annotations
from toolgate.openapi.operation import Operation

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "QUERY", "TRACE"})
"""Safe by RFC 9110, section 9.2.1, and the QUERY draft."""
IDEMPOTENT = SAFE | {"PUT", "DELETE"}
WORDS: Mapping[str, tuple[str, ...]] = {
    "read_only": ("read_only", "readOnly", "readOnlyHint"),
    "destructive": ("destructive", "destructiveHint"),
    "idempotent": ("idempotent", "idempotentHint"),
    "open_world": ("open_world", "openWorld", "openWorldHint"),
}
MUTATIONS = frozenset(
    {
        *("activate", "add", "approve", "archive", "cancel", "clear", "create", "deactivate", "delete", "destroy", "disable", "drop"),
        *("enable", "erase", "evict", "expire", "flush", "insert", "invalidate", "kill", "modify", "patch", "purge", "reboot"),
        *("regenerate", "remove", "rename", "reset", "restart", "revoke", "set", "shutdown", "terminate", "truncate", "unsubscribe"),
        *("update", "upload", "wipe"),
    }
)


def hints(operation: Operation) -> Annotations:
    """By the verb: reads are read-only, PUT and DELETE can be repeated, everything else may destroy."""
    read_only = operation.method in SAFE
    told = {word: value for word, keys in WORDS.items() if (value := _told(operation.extensions, keys)) is not None}
    if told.get("read_only"):
        told = {"destructive": False, "idempotent": True, **told}
    by_verb = {"read_only": read_only, "destructive": not read_only, "idempotent": operation.method in IDEMPOTENT}
    return Annotations(**{**by_verb, **told})


def mutating_word(operation: Operation) -> str | None:
    """The word in the name of a read that says it is none, such as `GET /cache/evict`."""
    if operation.method not in SAFE:
        return None
    segments = [segment for segment in operation.path.split("/") if segment and "{" not in segment]
    for text in [operation.operation_id] if operation.operation_id else segments[-1:]:
        # The verb of `evictAll`, `cache/evict-all` and `cache.evict`, but not of `address` or `sets`.
        for part in re.split(r"[./]", text):
            verb = re.match(r"[A-Z]?[a-z]+|[A-Z]+", part)
            if verb and verb[0].lower() in MUTATIONS:
                return verb[0].lower()
    return None


def _told(extensions: Mapping[str, Any], keys: tuple[str, ...]) -> bool | None:
    said = extensions.get("annotations")
    for source in (extensions, said if isinstance(said, Mapping) else {}):
        for key in keys:
            if isinstance(source.get(key), bool):
                return bool(source[key])
    return None
