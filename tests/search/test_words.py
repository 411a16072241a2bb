from __future__ import annotations

import doctest

import pytest

from toolgate.search import words
from toolgate.search.synonyms import GROUP, GROUPS, groups
from toolgate.search.words import terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listIssues", ["list", "issu"]),
        ("GETRepos_v2", ["get", "repo", "v", "2"]),
        ("", []),
        ("必应搜", ["必应", "应搜"]),
        ("Ünïcode", ["unicod"]),
    ],
)
def test_identifiers_are_split_and_stemmed_and_unspaced_scripts_cut_in_pairs(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_the_examples_are_true() -> None:
    assert doctest.testmod(words).failed == 0


def test_groups_have_names_of_their_own() -> None:
    firsts = [group.split()[0] for group in GROUPS.strip().splitlines()]

    assert len(set(firsts)) == len(firsts)
    assert f"{GROUP}buy" in groups()["purchas"]
    assert not terms(GROUP)
