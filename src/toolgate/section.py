"""What sections of the operator's files are made of: strict models, and seconds that may be written `2m`."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Strict(BaseModel):
    """A section: unknown keys are an error, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(value: Any) -> Any:
    """`30s`, `500ms`, `2m` or a number, in seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", value)):
        return float(match[1]) * SECONDS[match[2]]
    return value


Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0)]
