"""What a query string and a body may say."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from types import UnionType
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request

Keys = Mapping[str, type | UnionType]
"""Of a JSON object, with what they hold; a whole number is a `float` too."""


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


async def body_of(request: Request, wanted: str, needed: Keys, allowed: Keys | None = None) -> dict[str, Any]:
    """The body, an object with all keys of `needed`, perhaps some of `allowed`, and no others.

    Args:
        wanted: the same in words: "the body is …".

    Raises:
        BadQuery: it is something else.
    """
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    known = {**needed, **(allowed or {})}
    if not isinstance(body, dict) or not needed.keys() <= body.keys() <= known.keys():
        raise BadQuery(wanted)
    if not all(isinstance(value, known[key]) or (known[key] is float and type(value) is int) for key, value in body.items()):
        raise BadQuery(wanted)
    return body


async def arguments_of(request: Request) -> Mapping[str, Any]:
    """The arguments of a call that a body holds. Raises BadQuery as `body_of`."""
    body = await body_of(request, 'the body is an object with one key, "arguments", that holds an object', {}, {"arguments": dict})
    arguments: Mapping[str, Any] = body.get("arguments", {})
    return arguments
