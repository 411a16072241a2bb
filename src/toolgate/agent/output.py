"""A model's answer as JSON that fits a schema, or what is wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from toolgate.burden import bounds


def read(text: str, schema: Mapping[str, Any]) -> tuple[Any, str | None]:
    """The value; or None, and what is wrong with it."""
    try:
        value = orjson.loads(text.strip().removeprefix("```json").removeprefix("```").removesuffix("```"))
    except orjson.JSONDecodeError:
        return None, "it is not JSON"
    if (limits := bounds(schema)) and (why := limits.broken(value)):
        return None, f"it has {why}"
    errors = list(jsonschema_rs.validator_for(dict(schema), offline=True).iter_errors(value))
    said = "; ".join(f"{'/'.join(map(str, error.instance_path)) or 'the whole'}: {error.message[:200]}" for error in errors[:5])
    return (None, said) if errors else (value, None)
