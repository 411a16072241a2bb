"""Outcomes as JSON and back: what is kept of an answer that may be given again.

What a call has cost, and what the steps of the gate had to say about it, belongs to that one call and is not kept.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import orjson

from toolgate.calls import UNSET, Binary, Content, Outcome, Passed, Problem, Text


def dumps(outcome: Outcome) -> bytes | None:
    """`outcome` as JSON; None when it holds what JSON has no place for."""
    data: dict[str, Any] = {"content": [_piece(piece) for piece in outcome.content], "effect": outcome.effect}
    if outcome.meta:
        data["meta"] = dict(outcome.meta)
    if outcome.passed:
        data["passed"] = dict(outcome.passed)
    if outcome.problem is not None:
        problem = outcome.problem
        data["problem"] = [problem.code, problem.message, problem.retry_after, dict(problem.details)]
    try:
        if outcome.structured is not UNSET:
            text = orjson.dumps(outcome.structured)
            # Most answers have their JSON as their first text too, and are not kept twice.
            data["structured"] = None if (told := _is_first(text, outcome)) else orjson.Fragment(text)
            data["told"] = told
        return orjson.dumps(data)
    except TypeError:  # half of a surrogate pair, an integer past 64 bits, more than 254 levels, a type that JSON has not
        return None


def loads(text: bytes | str) -> Outcome:
    """The outcome that `dumps` told."""
    data = orjson.loads(text)
    content = tuple(_content(piece) for piece in data["content"])
    structured = data.get("structured", UNSET)
    if data.get("told"):
        first = content[0]
        assert isinstance(first, Text)
        structured = orjson.loads(first.text)
    problem = Problem(*data["problem"]) if "problem" in data else None
    return Outcome(content, structured, problem, effect=data["effect"], meta=data.get("meta", {}), passed=data.get("passed", {}))


def _is_first(text: bytes, outcome: Outcome) -> bool:
    first = outcome.content[0] if outcome.content else None
    return isinstance(first, Text) and first.text.encode(errors="replace") == text


def _piece(piece: Content) -> dict[str, Any]:
    if isinstance(piece, Passed):
        return {"text": piece.text, "block": dict(piece.block)}
    if isinstance(piece, Text):
        return {"text": piece.text}
    return {"data": b64encode(piece.data).decode(), "media_type": piece.media_type, "uri": piece.uri}


def _content(piece: Mapping[str, Any]) -> Content:
    if "block" in piece:
        return Passed(piece["text"], piece["block"])
    if "text" in piece:
        return Text(piece["text"])
    return Binary(b64decode(piece["data"]), piece["media_type"], piece["uri"])
