"""How long the patterns of a JSON Schema from outside take to be compiled, before any is.

A repetition is compiled as often as it may be repeated, and a class of Unicode's letters has hundreds of ranges each time: 16
characters cost 70 ms, and a megabyte of such an hour. So the time is counted beforehand, from what the parts of patterns took.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

TOKEN = re.compile(r"\[(?:\\.|[^\]\\])*\]|\\[pP]\{[^}]*\}|\\.|\{(\d{1,9})(,(\d{0,9}))?\}|.", re.DOTALL)
LETTERS = re.compile(r"\\[pP]")
LITERAL, CLASS, UNICODE = 1, 10, 450  # microseconds that one takes, measured with jsonschema-rs 0.60
MOST = 150_000
"""Microseconds of one pattern: the engine gives up then."""


def compiling(schema: Any) -> int:
    """Microseconds that all patterns in `schema` take, a guess that is right within a factor of three."""
    return sum(min(MOST, _weight(pattern)) for pattern in _patterns(schema))


def _patterns(schema: Any) -> Iterator[str]:
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Mapping):
            if isinstance(pattern := node.get("pattern"), str):
                yield pattern
            if isinstance(named := node.get("patternProperties"), Mapping):
                yield from (name for name in named if isinstance(name, str))
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _weight(pattern: str) -> int:
    groups, last = [0], 0
    for token in TOKEN.finditer(pattern):
        text = token[0]
        if text == "(":
            groups.append(0)
            continue
        if token[1] is not None:
            last, before = last * max(1, int(token[3] or token[1])), last
            groups[-1] += last - before
            continue
        if text == ")" and len(groups) > 1:
            last = groups.pop()
        else:
            last = UNICODE if LETTERS.search(text) else CLASS if text[0] in "[.\\" else LITERAL
        groups[-1] += last
    return sum(groups)
