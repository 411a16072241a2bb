"""Hold the arguments against the tool's full schema, and say how to repair them when they do not fit.

The validator is jsonschema-rs: compiled once a tool, some microseconds a call, and hostile patterns or `uniqueItems`
over thousands of objects cost it milliseconds where others take seconds. It never fetches a `$ref`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

import jsonschema_rs
import orjson

from toolgate.burden import BACKTRACKS, Bounds, TooHard, bounds
from toolgate.calls import Call, Tool
from toolgate.chain import Coming, Handler
from toolgate.documents import deeper_than
from toolgate.errors import InvalidArguments, Misconfigured
from toolgate.pointer import referred

PROBLEMS = 5  # a model repairs a few at a time; more would drown them
EXPLAINED_LEVELS = 9  # of arguments; with recursive alternatives every level more doubles the work: 2.75 s at 14, 20 s at 18
QUOTED = 600  # characters of schema quoted a problem


class Validate:
    def __init__(self) -> None:
        self._validators: WeakKeyDictionary[Tool, tuple[jsonschema_rs.Validator, Bounds | None]] = WeakKeyDictionary()

    def __call__(self, call: Call, call_next: Handler) -> Coming:
        known = self._validators.get(call.tool)
        if known is None:
            limits = _bounds(call.tool)
            known = self._validators[call.tool] = _validator(call.tool), limits
        validator, limits = known
        if limits is not None and (why := limits.broken(call.arguments)):
            raise InvalidArguments(f"{call.tool.name} cannot take these arguments: they have {why}")
        if not validator.is_valid(call.arguments):
            raise _refusal(call, validator)
        return call_next(call)


def _validator(tool: Tool) -> jsonschema_rs.Validator:
    patterns = jsonschema_rs.FancyRegexOptions(backtrack_limit=BACKTRACKS)
    # `mask` keeps argument values out of every message.
    return jsonschema_rs.validator_for(tool.schema, mask="the value", offline=True, pattern_options=patterns)


def _bounds(tool: Tool) -> Bounds | None:
    """Of its arguments; None: any can be looked through.

    Raises:
        Misconfigured: any arguments would keep this process busy for hours.
    """
    try:
        return bounds(tool.schema)
    except TooHard as error:
        raise Misconfigured(f"{tool.name} cannot be called: {error}. Whoever describes it has to say it otherwise") from None


def _refusal(call: Call, validator: jsonschema_rs.Validator) -> InvalidArguments:
    if deeper_than(call.arguments, EXPLAINED_LEVELS):
        return InvalidArguments(f"{call.tool.name} cannot take these arguments, and they are nested too deep to say where they fail")
    problems = tuple(_problem(call.tool, error) for error in islice(validator.iter_errors(call.arguments), PROBLEMS))
    sentences = " ".join(
        f"{problem['path'] or 'arguments'}: {problem['message']}; expected {_quoted(problem['schema'])}." for problem in problems
    )
    return InvalidArguments(f"{call.tool.name} cannot take these arguments. {sentences}", problems)


def _problem(tool: Tool, error: jsonschema_rs.ValidationError) -> dict[str, Any]:
    path = "".join(f"/{part}" for part in error.instance_path)
    parent, keyword = _piece(tool.schema, error.schema_path)
    if keyword == "additionalProperties" and isinstance(parent, Mapping):
        piece: Any = {"properties": sorted(parent.get("properties", {}))}
    elif keyword == "required" and isinstance(parent, Mapping):
        piece = {"required": parent["required"]}
    else:
        piece = parent
    return {"path": path, "message": error.message[:300], "schema": piece}


def _piece(schema: Any, path: Iterable[str | int]) -> tuple[Any, str | int | None]:
    """The schema that holds the keyword at the end of `path`, following `$ref`s as the path does, and the keyword."""
    node, holder, last = schema, schema, None
    for part in path:
        if part == "$ref":
            node = referred(schema, node.get("$ref")) if isinstance(node, Mapping) else None
            continue
        holder, last = node, part
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return holder, last
    return holder, last


def _quoted(piece: Any) -> str:
    text = orjson.dumps(piece).decode()
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}… (cut; describe_tool shows all)"
