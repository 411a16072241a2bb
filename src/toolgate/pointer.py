"""JSON pointers (RFC 6901), and `$ref`s to a part of the document that they stand in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote


def escape(token: str) -> str:
    """A key as one token of a pointer."""
    return token.replace("~", "~0").replace("/", "~1") if "~" in token or "/" in token else token


def unescape(token: str) -> str:
    """A token of a pointer as the key that it names."""
    return token.replace("~1", "/").replace("~0", "~") if "~" in token else token


def join(pointer: str, *keys: str | int) -> str:
    """`pointer`, continued by keys and indices."""
    return pointer + "".join(f"/{escape(str(key))}" for key in keys)


def child(node: Any, key: str, absent: Any = None) -> Any:
    """What `node` has under `key`, in a list by its number; else `absent`."""
    if isinstance(node, Mapping):
        return node.get(key, absent)
    if isinstance(node, list) and key.isascii() and key.isdigit() and len(key) < 10 and int(key) < len(node):
        return node[int(key)]
    return absent


def at(root: Any, pointer: str) -> Any:
    """What stands at `pointer`; None: nothing."""
    for token in pointer.split("/")[1:]:
        root = child(root, unescape(token))
    return root


def referred(root: Any, reference: Any) -> Any:
    """What a `$ref` in `root` leads to; None: to nothing, or elsewhere."""
    local = isinstance(reference, str) and reference[:2] in ("#", "#/")
    return at(root, unquote(reference[1:])) if local else None
