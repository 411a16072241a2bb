"""What a query string may say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from starlette.datastructures import QueryParams


class BadQuery(ValueError):
    """What is wrong with a query or a body, in a sentence."""

    code = "bad_request"


def choice(query: QueryParams, name: str, default: str, known: Collection[str]) -> str:
    """
    Raises:
        BadQuery: the value is none of `known`.
    """
    value = query.get(name, default)
    if value not in known:
        raise BadQuery(f"{name} is one of {', '.join(known)}")
    return value


def number(query: QueryParams, name: str, most: int) -> int | None:
    """The whole number from 1 to `most` that `name` holds; None when it is not there.

    Raises:
        BadQuery: it is something else.
    """
    value = query.get(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and len(value) <= 19 and 1 <= int(value) <= most):
        raise BadQuery(f"{name} is a whole number from 1 to {most}")
    return int(value)


def arguments_in(body: Any) -> Mapping[str, Any]:
    """The arguments of a call that a body holds.

    Raises:
        BadQuery: it holds something else.
    """
    arguments = body.get("arguments", {}) if isinstance(body, dict) and body.keys() <= {"arguments"} else None
    if not isinstance(arguments, dict):
        raise BadQuery('the body is an object with one key, "arguments", that holds an object')
    return arguments
