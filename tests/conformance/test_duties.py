"""The table of duties says what is so, in both directions."""

from __future__ import annotations

from collections import Counter

from tests.conformance.duties import BEHIND, COUNT, DUTIES, PAGE, page
from tests.faults.test_cases import defined

MADE_FOR_IT = "server/test_protocol.py"
"""The file whose tests are there for the table alone."""


def test_every_duty_is_there_once_and_in_order() -> None:
    assert [duty.id for duty in DUTIES] == [f"S{n}" for n in range(1, COUNT + 1)] + [f"U{n}" for n in range(1, BEHIND + 1)]


def test_every_duty_has_tests_that_exist() -> None:
    missing = [test for duty in DUTIES for test in duty.proof if test.partition("::")[2] not in defined(test.partition("::")[0])]

    assert missing == []
    assert [duty.id for duty in DUTIES if not duty.proof] == []
    assert [duty.id for duty in DUTIES if max(Counter(duty.proof).values()) > 1] == []


def test_every_test_of_the_protocol_is_for_a_duty() -> None:
    named = {test for duty in DUTIES for test in duty.proof}

    assert {f"{MADE_FOR_IT}::{name}" for name in defined(MADE_FOR_IT)} - named == set()


def test_every_duty_says_where_it_is_said() -> None:
    assert [duty.id for duty in DUTIES if not duty.source.startswith(("basic", "server/")) or not duty.sentence.endswith(".")] == []


def test_the_page_is_what_the_duties_make() -> None:
    assert PAGE.read_text() == page()
