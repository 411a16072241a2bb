"""Patterns are weighed by what they took when they were measured."""

from __future__ import annotations

import time

import jsonschema_rs
import pytest

from toolgate.patterns import MOST, compiling


@pytest.mark.parametrize(
    ("pattern", "microseconds"),
    [
        ("^abc$", 5),
        (r"^\p{L}{0,200}$", 90_002),
        (r"^[\p{L}\p{N}_-]{2}$", 902),
        (r"^(?:ab{3}){0,10}$", 62),
        (r"a{2}{3}|b{4,}", 11),
        (r"(\(\)[)]){2}x", 61),
        (r"((\p{L}{99}){99}){99}", MOST),
        (")))((({9", 5),
    ],
)
def test_a_pattern_weighs_as_often_as_it_may_be_repeated(pattern: str, microseconds: int) -> None:
    assert compiling({"properties": {"a": {"pattern": pattern}}}) == microseconds
    assert compiling({"anyOf": [{"patternProperties": {pattern: {}}}]}) == microseconds


@pytest.mark.parametrize("pattern", [r"^\p{L}{0,150}$", r"^[\p{Lu}\p{N}]{1,100}$", r"^a{0,50000}$", r"^.{0,5000}$", r"^\S{0,1000}$"])
def test_what_is_weighed_is_what_it_takes(pattern: str) -> None:
    """Within a factor of ten, whatever machine it is: what matters is that nothing is taken for nothing."""
    took = []
    for _ in range(3):
        began = time.thread_time()
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True)
        took.append((time.thread_time() - began) * 1e6)

    assert compiling({"pattern": pattern}) > min(took) / 10
