"""What sections of the operator's files are made of: strict models, and seconds that may be written `2m`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from toolgate.times import span


class Strict(BaseModel):
    """A section: unknown keys are an error, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def seconds(value: Any) -> Any:
    """`30s`, `500ms`, `2m` or a number, in seconds."""
    found = span(value) if isinstance(value, str) else None
    return value if found is None else found


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0)]
