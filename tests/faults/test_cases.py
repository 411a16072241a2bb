"""The fault table says what is so."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

from tests.faults.cases import ASKED, CASES, PAGE, page

TESTS = Path(__file__).parents[1]


@cache
def defined(file: str) -> frozenset[str]:
    """The tests of a file, and its classes of tests."""
    names = set()
    for node in ast.parse((TESTS / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(name for name in names if name.lower().startswith("test"))


def test_every_case_that_is_asked_for_is_there_once_and_no_other() -> None:
    assert [case.id for case in CASES] == ASKED


def test_every_case_is_proven_by_tests_that_exist() -> None:
    missing = [test for case in CASES for test in case.proof if test.partition("::")[2] not in defined(test.partition("::")[0])]

    assert missing == []
    assert [case.id for case in CASES if not case.proof] == []
    assert [case.id for case in CASES if max(Counter(case.proof).values()) > 1] == []


def test_every_test_of_faults_proves_a_case() -> None:
    """Those of this folder are written for the table; a new one belongs to a row."""
    ours = {f"faults/{file.name}::{name}" for file in TESTS.glob("faults/test_*.py") for name in defined(f"faults/{file.name}")}
    beside = {
        f"faults/{Path(__file__).name}",
        "faults/test_full.py::test_a_key_that_others_may_read_stops_the_start",  # no fault of the table
        "faults/test_full.py::test_a_second_place_that_cannot_be_written_stops_no_call",
    }
    named = {test for case in CASES for test in case.proof}

    assert {test for test in ours - named if test not in beside and test.partition("::")[0] not in beside} == set()


def test_the_page_is_what_the_cases_make() -> None:
    assert PAGE.read_text() == page()
